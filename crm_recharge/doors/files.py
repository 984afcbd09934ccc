"""A private file of a record is fetched by who may see the record, and by nobody who merely knows its address.

Frappe lets everybody make a File that names the address, or the name on disk, of any other, and from then on it is
theirs as well. Where that other hangs on a record of the app, whoever may not see the record must have sent the content.
"""

import frappe
from frappe import _
from frappe.core.doctype.file.utils import decode_file_content, get_content_hash

from crm_recharge.doors import records


def check(doc, method: str | None = None) -> None:
	"""File, validate: refuse one that takes another's content. Raises frappe.PermissionError.

	What the site's own code attaches, outside of a request, is let through.
	"""
	if frappe.session.user == "Administrator" or not getattr(frappe.local, "request", None):
		return
	before = doc.get_doc_before_save()
	if before and (before.file_url, before.content_hash) == (doc.file_url, doc.content_hash):
		return
	if _is_kept_from_user(doc) and not _was_sent(doc.content_hash):
		frappe.throw(
			_("There is no such file for you. Upload it."), frappe.PermissionError, title=_("Not permitted")
		)


def _is_kept_from_user(doc) -> bool:
	"""Whether what it names is the private file of a record that the user may not see."""
	same = {field: doc.get(field) for field in ("file_url", "content_hash") if doc.get(field)}
	others = frappe.get_all(
		"File",
		{
			"name": ["!=", doc.name or ""],
			"is_private": 1,
			"attached_to_doctype": ["in", sorted(records.declared())],
		},
		["attached_to_doctype", "attached_to_name"],
		or_filters=same,
	)
	return any(
		not frappe.has_permission(other.attached_to_doctype, "read", doc=other.attached_to_name)
		for other in others
		if other.attached_to_name and frappe.db.exists(other.attached_to_doctype, other.attached_to_name)
	)


def _was_sent(content_hash: str | None) -> bool:
	"""Whether the request held the content itself: who has it learns nothing."""
	return bool(content_hash) and any(get_content_hash(content) == content_hash for content in _sent())


def _sent():
	form = frappe.local.form_dict
	if uploaded := getattr(frappe.local, "uploaded_file", None):
		yield uploaded
	for document in (form, *_documents(form)):
		for field in ("content", "filedata"):
			if (content := document.get(field)) and isinstance(content, str | bytes):
				yield content
				try:
					yield decode_file_content(content.encode() if isinstance(content, str) else content)
				except ValueError:
					continue


def _documents(form: dict) -> list[dict]:
	found = []
	for name in ("doc", "docs"):
		try:
			sent = frappe.parse_json(form.get(name))
		except ValueError:
			continue
		found += sent if isinstance(sent, list) else [sent]
	return [document for document in found if isinstance(document, dict)]
