"""The ways in that Frappe gives to every DocType: each a request about one record, or about all of them.

A door names the right of table.py that it asks for. `Target.values` is what a writing request sends: of the record
itself, or, disguised, with the customer and company of somebody whose records the sender may write.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import frappe

from crm_recharge.tests.doors import table
from crm_recharge.tests.doors.runner import Ask


@dataclass
class Target:
	"""What a request is about: a record of `doctype`, and what is sent of it."""

	doctype: str
	name: str
	edit: dict
	draft: str | None = None
	submitted: str | None = None
	# The links of a record of somebody else, and what of them is sent instead of the record's own.
	others: dict = field(default_factory=dict)
	disguise: dict = field(default_factory=dict)
	new: dict = field(default_factory=dict)
	among: list[str] = field(default_factory=list)
	loaded: dict = field(default_factory=dict)
	recipient: str = ""
	tag: str = ""
	file: str = ""
	word: str = ""

	@cached_property
	def meta(self):
		return frappe.get_meta(self.doctype)

	@property
	def values(self) -> dict:
		"""What an edit sends."""
		return self.edit | self.disguise

	def document(self, name: str | None = None) -> str:
		"""The whole record with its edit, as a form sends it."""
		name = name or self.name
		if name not in self.loaded:
			self.loaded[name] = frappe.get_doc(self.doctype, name).as_dict(convert_dates_to_str=True)
		return json.dumps(self.loaded[name] | self.values, default=str)

	@property
	def fresh(self) -> dict:
		"""A new record beside this one."""
		return {"doctype": self.doctype, **self.new, **self.disguise}


@dataclass(frozen=True)
class Door:
	"""`ask` makes the request, None where a DocType has no such door.

	`quiet`: who is refused gets an answer in which there is nothing, or another error than 403. `shows`: who is let in
	sees the record in the answer. `breaks`: why Frappe itself answers 500 instead of refusing. `with_parent`: a row is
	written by saving the document it stands in. `asks_more`: what else Frappe asks of who has the right.
	"""

	name: str
	right: str
	ask: Callable[[Target], Ask | None]
	quiet: bool = False
	shows: bool = True
	breaks: str = ""
	with_parent: bool = False
	asks_more: str = ""


def get(method: str, /, **args) -> Ask:
	return Ask("GET", f"/api/method/{method}", args)


def post(method: str, /, **args) -> Ask:
	return Ask("POST", f"/api/method/{method}", args)


def _of(t: Target) -> dict:
	return {"doctype": t.doctype, "name": t.name}


def _path(t: Target, version: str = "") -> str:
	kind = "v2/document" if version else "resource"
	return f"/api/{kind}/{t.doctype}/{t.name}"


def _only(condition: Callable[[Target], bool], ask: Callable[[Target], Ask | None]):
	return lambda t: ask(t) if condition(t) else None


def _plain(t: Target) -> bool:
	return not t.meta.istable and not t.meta.issingle


def _document(t: Target) -> bool:
	return not t.meta.istable


def _row(t: Target) -> bool:
	return bool(t.meta.istable)


def _parent(t: Target) -> str | None:
	return table.CHILDREN.get(t.doctype)


def _columns(t: Target) -> list[str]:
	"""The columns of a list that tell the most."""
	skip = ("Password", "Table", *frappe.model.no_value_fields)
	return ["name", *(df.fieldname for df in t.meta.fields if df.fieldtype not in skip)]


def _full(t: Target) -> list[str]:
	return [f"`tab{t.doctype}`.`{column}`" for column in _columns(t)]


def _by_name(t: Target) -> list:
	return [[t.doctype, "name", "=", t.name]]


def _among(t: Target) -> list:
	"""Of the records of the matrix alone: whatever else the site holds would only make answers long."""
	return [[t.doctype, "name", "in", t.among]]


MANY = 500
FEW = ("Credit Account", "Recharge", "Reorder Message")
"""For doors that take long and go one way for all."""

# -- reading one record ------------------------------------------------------------------------------------

READING = (
	Door("GET /api/resource", "read", lambda t: Ask("GET", _path(t))),
	Door("GET /api/v2/document", "read", lambda t: Ask("GET", _path(t, "2"))),
	Door("GET /api/v2/document/copy", "read", _only(_plain, lambda t: Ask("GET", f"{_path(t, '2')}/copy"))),
	Door("client.get", "read", lambda t: get("frappe.client.get", **_of(t), parent=_parent(t))),
	Door(
		"client.get by filter", "read",
		_only(_plain, lambda t: get("frappe.client.get", doctype=t.doctype, filters={"name": t.name})),
	),
	Door(
		"client.get_value", "read",
		_only(lambda t: not t.meta.issingle, lambda t: get(
			"frappe.client.get_value", doctype=t.doctype, fieldname=_columns(t), filters=t.name, parent=_parent(t)
		)), quiet=True,
	),
	Door(
		"client.get_list by name", "read",
		_only(lambda t: not t.meta.issingle, lambda t: get(
			"frappe.client.get_list", doctype=t.doctype, fields=["*"], filters={"name": t.name}, parent=_parent(t)
		)), quiet=True,
	),
	Door(
		"client.validate_link", "read",
		_only(_plain, lambda t: get(
			"frappe.client.validate_link", doctype=t.doctype, docname=t.name, fields=_columns(t)
		)),
		quiet=True, shows=False,
	),
	Door(
		"client.is_document_amended", "read",
		_only(_plain, lambda t: get("frappe.client.is_document_amended", doctype=t.doctype, docname=t.name)),
		quiet=True, shows=False,
	),
	Door("form.load.getdoc", "read", lambda t: get("frappe.desk.form.load.getdoc", **_of(t))),
	Door("form.load.get_docinfo", "read", lambda t: get("frappe.desk.form.load.get_docinfo", **_of(t)), shows=False),
	Door(
		"form.load.get_communications", "read",
		_only(_plain, lambda t: get("frappe.desk.form.load.get_communications", **_of(t))), shows=False,
	),
	Door(
		"form.linked_with.get", "read",
		_only(lambda t: t.doctype in FEW, lambda t: get("frappe.desk.form.linked_with.get", doctype=t.doctype, docname=t.name)),
		shows=False,
	),
	Door(
		"form.linked_with.get_submitted_linked_docs", "read",
		_only(lambda t: t.doctype in FEW, lambda t: get("frappe.desk.form.linked_with.get_submitted_linked_docs", **_of(t))),
		shows=False,
	),
	Door(
		"notifications.get_open_count", "read",
		_only(_plain, lambda t: get("frappe.desk.notifications.get_open_count", **_of(t))),
		shows=False, breaks="a PermissionError without a text is looked at as one of the database's",
	),
	Door(
		"link_preview", "read",
		_only(_plain, lambda t: get("frappe.desk.link_preview.get_preview_data", doctype=t.doctype, docname=t.name)),
		quiet=True, shows=False,
	),
	Door(
		"search.get_link_title", "read",
		_only(_plain, lambda t: get("frappe.desk.search.get_link_title", doctype=t.doctype, docname=t.name)),
		quiet=True, shows=False,
	),
	Door("share.get_users", "read", lambda t: get("frappe.share.get_users", **_of(t)), quiet=True, shows=False),
	Door(
		"reportview.get by name", "read",
		_only(_plain, lambda t: post(
			"frappe.desk.reportview.get", doctype=t.doctype, fields=_full(t), filters=_by_name(t)
		)), quiet=True,
	),
	# Frappe prints for whoever may read.
	Door("printview.get_html_and_style", "read", _only(_document, lambda t: get(
		"frappe.www.printview.get_html_and_style", doc=t.doctype, name=t.name
	))),
	Door("/printview", "read", _only(lambda t: t.doctype in FEW[:1], lambda t: Ask(
		"GET", "/printview", {"doctype": t.doctype, "name": t.name, "format": "Standard"}
	))),
	Door("a private file of the record", "read", _only(lambda t: bool(t.file), lambda t: Ask("GET", t.file))),
	Door("download_file", "read", _only(lambda t: bool(t.file), lambda t: get("download_file", file_url=t.file))),
	Door("reportview.export_query of one", "export", _only(_plain, lambda t: post(
		"frappe.desk.reportview.export_query", doctype=t.doctype, fields=_full(t), filters=_by_name(t),
		file_format_type="CSV", title="x", selected_items=[t.name],
	)), quiet=True),
)  # fmt: skip

# -- reading all records -----------------------------------------------------------------------------------


def _list(ask):
	return _only(lambda t: not t.meta.issingle, ask)


def _export_fields(t: Target) -> dict:
	return {t.doctype: _columns(t)}


LISTING = (
	Door("GET /api/resource list", "read", _list(lambda t: Ask(
		"GET", f"/api/resource/{t.doctype}", {
			"fields": _columns(t), "filters": _among(t), "limit_page_length": MANY, "parent": _parent(t)
		}
	))),
	Door("GET /api/v2/document list", "read", _only(_plain, lambda t: Ask(
		"GET", f"/api/v2/document/{t.doctype}", {
			# Without a filter: the records of the matrix are the newest.
			"fields": _columns(t), "order_by": "creation desc", "limit": MANY,
		}
	))),
	Door("client.get_list", "read", _list(lambda t: get(
		"frappe.client.get_list", doctype=t.doctype, fields=["*"], filters=_among(t), limit_page_length=MANY,
		parent=_parent(t),
	))),
	Door("reportview.get", "read", _list(lambda t: post(
		"frappe.desk.reportview.get", doctype=t.doctype, fields=_full(t), filters=_among(t), page_length=MANY,
		parent_doctype=_parent(t),
	))),
	Door("reportview.get_list", "read", _list(lambda t: post(
		"frappe.desk.reportview.get_list", doctype=t.doctype, fields=_full(t), filters=_among(t), page_length=MANY,
		parent_doctype=_parent(t),
	))),
	Door("reportview.get_stats", "read", _only(_plain, lambda t: get(
		"frappe.desk.reportview.get_stats", doctype=t.doctype, stats=_columns(t)[:12], filters=_among(t)
	)), shows=False),
	Door("listview.get_group_by_count", "read", _only(_plain, lambda t: get(
		"frappe.desk.listview.get_group_by_count", doctype=t.doctype, current_filters=_among(t), field="name"
	))),
	Door("search_link", "read", _only(_plain, lambda t: get(
		"frappe.desk.search.search_link", doctype=t.doctype, txt="", filters=_among(t), page_length=MANY
	)), quiet=True),
	Door("search_link past user permissions", "read", _only(_plain, lambda t: get(
		"frappe.desk.search.search_link", doctype=t.doctype, txt="", filters=_among(t), page_length=MANY,
		ignore_user_permissions="1",
	)), quiet=True),
	Door("search_widget", "read", _only(_plain, lambda t: get(
		"frappe.desk.search.search_widget", doctype=t.doctype, txt="", filters=_among(t), page_length=MANY,
		as_dict="1",
	)), quiet=True),
	Door("reportview.export_query", "export", _only(_plain, lambda t: post(
		"frappe.desk.reportview.export_query", doctype=t.doctype, fields=_full(t), filters=_among(t),
		file_format_type="Excel", title="x",
	))),
	Door("data_export", "export", _only(_plain, lambda t: get(
		"frappe.core.doctype.data_export.exporter.export_data", doctype=t.doctype, with_data="1", file_type="CSV",
		select_columns=_export_fields(t), all_doctypes="1", parent_doctype=t.doctype, filters=_among(t),
	))),
	Door("data_import.download_template", "export", _only(_plain, lambda t: get(
		"frappe.core.doctype.data_import.data_import.download_template", doctype=t.doctype, export_records="all",
		export_fields=_export_fields(t), export_filters=_among(t), file_type="CSV",
	))),
	Door("dashboard_chart.get", "read", _only(_plain, lambda t: post(
		"frappe.desk.doctype.dashboard_chart.dashboard_chart.get", no_cache="1", chart={
			"chart_type": "Group By", "document_type": t.doctype, "group_by_type": "Count", "name": "x",
			"group_by_based_on": "name", "number_of_groups": 0, "filters_json": "[]", "doctype": "Dashboard Chart",
		}, filters=_among(t),
	))),
	Door("calendar.get_events", "read", _only(_plain, lambda t: get(
		"frappe.desk.calendar.get_events", doctype=t.doctype, start="2000-01-01", end="2100-01-01",
		field_map={"start": "creation", "end": "creation", "title": "name"}, fields=_columns(t), filters=_among(t),
	))),
	Door("form.utils.get_next", "read", _only(_plain, lambda t: get(
		"frappe.desk.form.utils.get_next", doctype=t.doctype, value=t.name, prev="0", sort_order="asc",
		sort_field="creation", filters=_among(t),
	)), shows=False),
	Door("global search", "read", lambda t: get(
		"frappe.utils.global_search.search", text=t.word, doctype=t.doctype
	), quiet=True, shows=False),
	Door("getdoctype", "read", lambda t: get(
		"frappe.desk.form.load.getdoctype", doctype=t.doctype
	), quiet=True, shows=False),
)  # fmt: skip

# How many there are: answered with a number, which must be that of the records one may see.
COUNTING = (
	Door("client.get_count", "read", _only(_plain, lambda t: get(
		"frappe.client.get_count", doctype=t.doctype, filters=_among(t)
	))),
	Door("reportview.get_count", "read", _only(_plain, lambda t: post(
		"frappe.desk.reportview.get_count", doctype=t.doctype, filters=_among(t)
	))),
	Door("GET /api/v2/doctype/count", "read", _only(_plain, lambda t: Ask(
		"GET", f"/api/v2/doctype/{t.doctype}/count", {"filters": _among(t)}
	))),
	Door("number_card.get_result", "read", _only(_plain, lambda t: post(
		"frappe.desk.doctype.number_card.number_card.get_result",
		doc={"document_type": t.doctype, "function": "Count", "name": "x"}, filters=_among(t),
	))),
)  # fmt: skip

# -- changing a record -------------------------------------------------------------------------------------


def _bulk(t: Target) -> Ask:
	return post("frappe.client.bulk_update", docs=[{"doctype": t.doctype, "docname": t.name, **t.values}])


CHANGING = (
	Door("PUT /api/resource", "write", lambda t: Ask("PUT", _path(t), t.values, as_json=True)),
	Door("PATCH /api/v2/document", "write", lambda t: Ask("PATCH", _path(t, "2"), t.values, as_json=True)),
	Door("client.set_value", "write", lambda t: post(
		"frappe.client.set_value", **_of(t), fieldname=t.values
	), with_parent=True),
	Door("client.save", "write", lambda t: post("frappe.client.save", doc=t.document())),
	Door("client.bulk_update", "write", _bulk, quiet=True),
	Door("form.save.savedocs Save", "write", lambda t: post(
		"frappe.desk.form.save.savedocs", doc=t.document(), action="Save"
	)),
	Door("bulk_update update", "write", _only(_document, lambda t: post(
		"frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs", doctype=t.doctype,
		docnames=[t.name], action="update", data=t.values,
	)), quiet=True),
	Door("calendar.update_event", "write", _only(_plain, lambda t: post(
		"frappe.desk.calendar.update_event", args={**_of(t), **t.values}, field_map=dict.fromkeys(("start", "end"), next(iter(t.edit))),
	))),
	Door("gantt.update_task", "write", _only(_plain, lambda t: post(
		"frappe.desk.gantt.update_task", args={**_of(t), **t.values}, field_map=dict.fromkeys(("start", "end"), next(iter(t.edit))),
	))),
)  # fmt: skip

# -- submitting and cancelling -----------------------------------------------------------------------------


def _draft(t: Target) -> bool:
	return bool(t.draft)


def _submitted(t: Target) -> bool:
	return bool(t.submitted)


def _method(t: Target, name: str, method: str, version: str = "") -> Ask:
	path = _path(t, version).replace(t.name, name)
	return Ask("POST", f"{path}/method/{method}" if version else f"{path}?run_method={method}")


def _with(**values) -> Callable:
	"""What is sent of a submittable document, beside what it is."""
	return lambda t, name: json.dumps(json.loads(t.document(name)) | values, default=str)


SUBMITTING = (
	Door("client.submit", "submit", lambda t: post("frappe.client.submit", doc=t.document(t.draft))),
	Door("form.save.savedocs Submit", "submit", lambda t: post(
		"frappe.desk.form.save.savedocs", doc=t.document(t.draft), action="Submit"
	)),
	Door("PUT docstatus 1", "submit", lambda t: Ask(
		"PUT", f"/api/resource/{t.doctype}/{t.draft}", {"docstatus": 1} | t.disguise, as_json=True
	)),
	Door("client.set_value docstatus 1", "submit", lambda t: post(
		"frappe.client.set_value", doctype=t.doctype, name=t.draft, fieldname={"docstatus": 1, **t.disguise}
	)),
	Door("bulk_update submit", "submit", lambda t: post(
		"frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs", doctype=t.doctype,
		docnames=[t.draft], action="submit",
	), quiet=True),
	Door("run_doc_method submit", "submit", lambda t: post(
		"run_doc_method", dt=t.doctype, dn=t.draft, method="submit"
	)),
	Door("run_doc_method submit, sent in", "submit", lambda t: post(
		"run_doc_method", docs=t.document(t.draft), method="submit"
	)),
	Door("POST ?run_method=submit", "submit", lambda t: Ask(
		"POST", f"/api/resource/{t.doctype}/{t.draft}", {"run_method": "submit"}
	)),
	Door("POST /api/v2/…/method/submit", "submit", lambda t: _method(t, t.draft, "submit", "2")),
	# There is no workflow on these: nobody may.
	Door("workflow.apply_workflow", "workflow", lambda t: post(
		"frappe.model.workflow.apply_workflow", doc=t.document(t.draft), action="Approve"
	)),
)  # fmt: skip
CANCELLING = (
	Door("client.cancel", "cancel", lambda t: post("frappe.client.cancel", doctype=t.doctype, name=t.submitted)),
	Door("form.save.cancel", "cancel", lambda t: post(
		"frappe.desk.form.save.cancel", doctype=t.doctype, name=t.submitted
	)),
	Door("form.save.savedocs Cancel", "cancel", lambda t: post(
		"frappe.desk.form.save.savedocs", doc=_with(docstatus=2)(t, t.submitted), action="Cancel"
	)),
	Door("PUT docstatus 2", "cancel", lambda t: Ask(
		"PUT", f"/api/resource/{t.doctype}/{t.submitted}", {"docstatus": 2} | t.disguise, as_json=True
	)),
	Door("bulk_update cancel", "cancel", lambda t: post(
		"frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs", doctype=t.doctype,
		docnames=[t.submitted], action="cancel",
	), quiet=True),
	Door("run_doc_method cancel", "cancel", lambda t: post(
		"run_doc_method", dt=t.doctype, dn=t.submitted, method="cancel"
	)),
	Door("run_doc_method cancel, sent in", "cancel", lambda t: post(
		"run_doc_method", docs=t.document(t.submitted), method="cancel"
	)),
	Door("form.linked_with.cancel_all_linked_docs", "cancel", lambda t: post(
		"frappe.desk.form.linked_with.cancel_all_linked_docs",
		docs=[{"doctype": t.doctype, "name": t.submitted, "docstatus": 1}],
	), quiet=True),
)  # fmt: skip

# -- making and taking away --------------------------------------------------------------------------------

CREATING = (
	Door("POST /api/resource", "create", lambda t: Ask("POST", f"/api/resource/{t.doctype}", t.fresh, as_json=True)),
	Door("POST /api/v2/document", "create", lambda t: Ask(
		"POST", f"/api/v2/document/{t.doctype}", t.fresh, as_json=True
	)),
	Door("client.insert", "create", lambda t: post("frappe.client.insert", doc=t.fresh)),
	Door("client.insert_many", "create", lambda t: post("frappe.client.insert_many", docs=[t.fresh])),
	Door("form.save.savedocs new", "create", lambda t: post(
		"frappe.desk.form.save.savedocs", action="Save",
		doc={**t.fresh, "__islocal": 1, "name": f"new-{t.doctype.lower().replace(' ', '-')}-door"},
	)),
	Door("form.save.savedocs new, submitted", "submit", _only(lambda t: bool(t.meta.is_submittable), lambda t: post(
		"frappe.desk.form.save.savedocs", action="Submit",
		doc={**t.fresh, "__islocal": 1, "name": f"new-{t.doctype.lower().replace(' ', '-')}-door"},
	))),
	Door("client.insert submitted", "submit", _only(lambda t: bool(t.meta.is_submittable), lambda t: post(
		"frappe.client.insert", doc={**t.fresh, "docstatus": 1}
	))),
)  # fmt: skip
DELETING = (
	Door("DELETE /api/resource", "delete", lambda t: Ask("DELETE", _path(t))),
	Door("DELETE /api/v2/document", "delete", lambda t: Ask("DELETE", _path(t, "2")), with_parent=True),
	Door("client.delete", "delete", lambda t: post("frappe.client.delete", **_of(t)), with_parent=True),
	Door("reportview.delete_items", "delete", _only(_plain, lambda t: post(
		"frappe.desk.reportview.delete_items", doctype=t.doctype, items=[t.name]
	)), quiet=True),
)  # fmt: skip
# What is not writable is refused with a ValidationError.
RENAMING = (
	Door("client.rename_doc", "write", lambda t: post(
		"frappe.client.rename_doc", doctype=t.doctype, old_name=t.name, new_name=f"{t.name}-x"
	), quiet=True),
	Door("update_document_title", "write", lambda t: post(
		"frappe.model.rename_doc.update_document_title", doctype=t.doctype, docname=t.name, title="x", name=f"{t.name}-x"
	), quiet=True),
	Door("run_doc_method rename", "write", lambda t: post(
		"run_doc_method", dt=t.doctype, dn=t.name, method="rename", args={"name": f"{t.name}-x"}
	), quiet=True),
)  # fmt: skip

# -- beside a record ---------------------------------------------------------------------------------------

BESIDE = (
	Door("form.utils.add_comment", "read", lambda t: post(
		"frappe.desk.form.utils.add_comment", reference_doctype=t.doctype, reference_name=t.name, content="x",
		comment_email="x@test.example", comment_by="x",
	)),
	Door("client.insert Comment", "read", lambda t: post("frappe.client.insert", doc={
		"doctype": "Comment", "comment_type": "Comment", "reference_doctype": t.doctype, "reference_name": t.name,
		"content": "x",
	}), asks_more="a right on Comment"),
	# The assignee may not read the record, so it is shared.
	Door("form.assign_to.add", "share", lambda t: post(
		"frappe.desk.form.assign_to.add", **_of(t), assign_to=[t.recipient], description="x"
	)),
	Door("client.insert ToDo", "read", lambda t: post("frappe.client.insert", doc={
		"doctype": "ToDo", "allocated_to": t.recipient, "reference_type": t.doctype, "reference_name": t.name,
		"description": "x",
	}), asks_more="that it be one's own"),
	Door("client.insert Communication", "read", lambda t: post("frappe.client.insert", doc={
		"doctype": "Communication", "reference_doctype": t.doctype, "reference_name": t.name, "content": "x",
		"subject": "x", "communication_medium": "Other",
	}), asks_more="a right on Communication"),
	Door("client.insert File", "read", lambda t: post("frappe.client.insert", doc={
		"doctype": "File", "file_name": "x.txt", "content": "x", "is_private": 1, "attached_to_doctype": t.doctype,
		"attached_to_name": t.name,
	}), asks_more="a right on File"),
	Door("client.insert Tag Link", "write", lambda t: post("frappe.client.insert", doc={
		"doctype": "Tag Link", "document_type": t.doctype, "document_name": t.name, "tag": t.tag, "title": "x",
	}), asks_more="a right on Tag Link"),
	Door("share.add", "share", lambda t: post("frappe.share.add", **_of(t), user=t.recipient, write=1)),
	Door("share.set_permission", "share", lambda t: post(
		"frappe.share.set_permission", **_of(t), user=t.recipient, permission_to="write", value=1
	)),
	Door("client.insert DocShare", "share", lambda t: post("frappe.client.insert", doc={
		"doctype": "DocShare", "user": t.recipient, "share_doctype": t.doctype, "share_name": t.name, "read": 1, "write": 1,
	}), asks_more="a right on DocShare"),
	Door("communication.email.make", "email", lambda t: post(
		"frappe.core.doctype.communication.email.make", **_of(t), content="x", subject="x",
		recipients="x@test.example", send_email="0", print_format="Standard",
	)),
	Door("tag.add_tag", "write", lambda t: post("frappe.desk.doctype.tag.tag.add_tag", tag="x", dt=t.doctype, dn=t.name),
		breaks="a PermissionError without a text is looked at as one of the database's"),
	Door("like.toggle_like", "read", lambda t: post("frappe.desk.like.toggle_like", **_of(t), add="Yes")),
	Door("form.document_follow", "read", lambda t: post(
		"frappe.desk.form.document_follow.update_follow", doctype=t.doctype, doc_name=t.name, following="1"
	), quiet=True),
	Door("upload_file", "write", lambda t: Ask(
		"POST", "/api/method/upload_file", {"doctype": t.doctype, "docname": t.name, "is_private": "1"}, upload=b"x"
	)),
	# Frappe lets whoever may read attach by this method.
	Door("client.attach_file", "read", lambda t: post(
		"frappe.client.attach_file", filename="x.txt", filedata="x", doctype=t.doctype, docname=t.name, is_private=1
	)),
	Door("client.get_password", "password", _only(lambda t: t.meta.has_field("stripe_secret_key"), lambda t: post(
		"frappe.client.get_password", **_of(t), fieldname="stripe_secret_key"
	))),
)  # fmt: skip

ROWS = (
	Door("client.insert of a row", "write", lambda t: post("frappe.client.insert", doc=t.fresh), with_parent=True),
	Door("POST /api/resource of a row", "write", lambda t: Ask(
		"POST", f"/api/resource/{t.doctype}", t.fresh, as_json=True
	)),
)  # fmt: skip
