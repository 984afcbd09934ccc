"""Reports that Frappe mails by its Auto Email Report: of this app's tables, none holds formulas or markup.

The mails are written by a job, not by a request; `web` takes care of the exports of those.
"""

import frappe
from frappe.email.doctype.auto_email_report.auto_email_report import AutoEmailReport
from frappe.utils import escape_html, sanitize_html

from crm_recharge import web

MARKUP = ("Link", "Dynamic Link", "HTML")
"""Columns that Frappe itself, or the report, has made links of."""


class MailedReport(AutoEmailReport):
	"""Frappe's own, whose tables of this app are only read, not run."""

	def get_report_content(self):
		"""As Frappe has it: text of a CSV file or of the mail, or bytes of an Excel file; None where there is no data."""
		content = super().get_report_content()
		kind = str(self.format).lower()
		if not content or kind not in web.SAFE or not self._is_ours():
			return content
		safe = web.SAFE[kind](content.encode() if isinstance(content, str) else content, {})
		return safe.decode() if isinstance(content, str) else safe

	def get_html_table(self, columns=None, data=None):
		"""The text of the mail. What people have written is text there."""
		if columns and data and self._is_ours():
			kinds = {column.get("fieldname"): column.get("fieldtype") for column in columns}
			data = [
				frappe._dict({name: _shown(value, kinds.get(name)) for name, value in row.items()})
				for row in data
			]
		return super().get_html_table(columns, data)

	def _is_ours(self) -> bool:
		return web.is_our_doctype(frappe.db.get_value("Report", self.report, "ref_doctype"))


def _shown(value, kind: str | None):
	if not isinstance(value, str):
		return value
	return sanitize_html(value, always_sanitize=True) if kind in MARKUP else escape_html(value)
