"""Frappe's REST API hands out the records that a record links to, whole and without asking, for `expand_links`.

A recharge would show its card to people who may read recharges and no cards. They are asked for by themselves.
"""

import re

import frappe
from frappe import _
from frappe.utils import sbool

from crm_recharge.doors import records

RECORD = re.compile(r"/api/(?:v1/)?resource/(?P<doctype>[^/]+)/")


def before_request() -> None:
	"""Runs before every request, so it looks at little. Raises frappe.PermissionError (403)."""
	if not sbool(frappe.local.form_dict.get("expand_links")):
		return
	found = RECORD.match(frappe.local.request.path)
	if found and found["doctype"] in records.declared():
		frappe.throw(
			_("Records that a {0} links to are asked for by themselves: leave out expand_links.").format(
				_(found["doctype"])
			),
			frappe.PermissionError,
			title=_("Not permitted"),
		)
