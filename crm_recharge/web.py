"""What happens around a request, before its method is reached and after it has answered.

`before_request` refuses what another site may have sent with somebody's cookie. `after_request` answers what Frappe
could not even read, and takes formulas out of exported tables.
"""

import csv
import io
import json
import re

import frappe
import openpyxl
from frappe import _
from frappe.utils import cint, cstr

from crm_recharge import forged, frappe_versions
from crm_recharge.credits.errors import raise_for_people
from crm_recharge.domain import cells
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.inputs import an_object
from crm_recharge.private_pages import page_of

REPORT = re.compile(r"/api/(?:v[12]/)?method/frappe\.desk\.query_report\.")
METHOD = re.compile(r"/api/(?:v[12]/)?method/(?P<method>crm_recharge\.[\w.]+)")
RECORD = re.compile(r"/api/(?:v[12]/)?(?:resource|document)/(?P<doctype>[^/]+)")
LONGEST_NAME = 61
"""Of a DocType."""
# Where Frappe's own methods are sent whole documents.
DOCUMENTS = ("doc", "docs", "document")


# -- before ----------------------------------------------------------------------------------------------------


def before_request() -> None:
	"""Runs before every request, so it looks at little. Raises frappe.CSRFTokenError (400), InvalidRequestError (422)."""
	request = frappe.local.request
	if _method(request) or page_of(request.path):
		frappe.local.flags.disable_traceback = True
	if _asks_for_a_report(request):
		_check_filters()
	if forged.may_be(request) and _changes_ours(request):
		forged.refuse()


def _asks_for_a_report(request) -> bool:
	"""Whether one of this app's reports is asked for, with filters."""
	form = frappe.local.form_dict
	if not REPORT.match(request.path) and not cstr(form.get("cmd")).startswith("frappe.desk.query_report."):
		return False
	return form.get("filters") not in (None, "") and is_our_doctype(_subject_of(form.get("report_name")))


def _subject_of(report) -> str | None:
	known = isinstance(report, str) and report.isprintable()
	return frappe.db.get_value("Report", report, "ref_doctype", cache=True) if known else None


def _check_filters() -> None:
	"""Raises InvalidRequestError (422) for filters that are no object: Frappe fails on them before the report reads them."""
	try:
		an_object(frappe.local.form_dict["filters"], "filters")
	except InvalidRequest as error:
		frappe.local.flags.disable_traceback = True
		raise_for_people(error)


def _changes_ours(request) -> bool:
	"""Whether the request may change something of this app. What carries a signed token of its own is left out."""
	if method := _method(request):
		return not _is_signed(method)
	if page := page_of(request.path):
		return not page.token
	return any(_names_ours(value) for value in _named(request))


def _method(request) -> str | None:
	"""The method of this app that the request calls."""
	if found := METHOD.match(request.path):
		return found["method"]
	cmd = frappe.local.form_dict.get("cmd")
	return cmd if isinstance(cmd, str) and cmd.startswith("crm_recharge.") else None


def _is_signed(method: str) -> bool:
	"""Methods that are open to guests ask for a signature or a signed token (a test holds them to it)."""
	try:
		return frappe.get_attr(method) in frappe.guest_methods
	except Exception:
		return False


def _named(request) -> list:
	"""What the request may name a DocType or a method by: Frappe has methods of its own that write any record, and some
	that call any method."""
	form = frappe.local.form_dict
	found = list(form.values())
	if record := RECORD.match(request.path):
		found.append(record["doctype"])
	for name in DOCUMENTS:
		try:
			documents = frappe.parse_json(form.get(name))
		except (ValueError, RecursionError):
			continue
		for document in documents if isinstance(documents, list) else [documents]:
			if isinstance(document, dict):
				found.append(document.get("doctype"))
	return found


def _names_ours(value) -> bool:
	return isinstance(value, str) and (value.startswith("crm_recharge.") or is_our_doctype(value))


def is_our_doctype(doctype) -> bool:
	"""Whether that is a DocType of this app, whatever it is."""
	if not isinstance(doctype, str) or not doctype.isprintable() or len(doctype) > LONGEST_NAME:
		return False
	module = frappe.db.get_value("DocType", doctype, "module", cache=True)
	return module in frappe.get_module_list("crm_recharge")


# -- after -----------------------------------------------------------------------------------------------------


def after_request(response, request) -> None:
	"""Runs after every request, so it looks at little."""
	if response is None:
		return
	ours = METHOD.match(request.path) or page_of(request.path)
	# Frappe 16 has refused it by then, with words of its own and no code.
	if response.status_code >= 417 and ours and not _is_readable(request):
		_say_unreadable(response)
	elif _is_our_export():
		_take_out_formulas(response)


def _is_readable(request) -> bool:
	"""Whether Frappe could read the parameters: it expects JSON where the request says so."""
	if not request.is_json:
		return True
	try:
		frappe_versions.read_json(request.get_data(as_text=True) or "{}")
	except (ValueError, RecursionError):
		return False
	return True


def _say_unreadable(response) -> None:
	text = _("The request's body is not JSON that can be read. Nothing was changed.")
	message = json.dumps({"message": text, "title": _("Not possible"), "indicator": "red"})
	response.status_code = 422
	response.mimetype = "application/json"
	response.data = json.dumps(
		{
			"error": {"code": "unreadable_json"},
			"exc_type": "InvalidRequestError",
			"_server_messages": json.dumps([message]),
		}
	)


# -- exported tables -------------------------------------------------------------------------------------------

EXPORTS = (
	"frappe.desk.reportview.export_query",
	"frappe.desk.query_report.export_query",
	"frappe.core.doctype.data_export.exporter.export_data",
	"frappe.core.doctype.data_import.data_import.download_template",
	"frappe.email.doctype.auto_email_report.auto_email_report.download",
)


def _is_our_export() -> bool:
	form = getattr(frappe.local, "form_dict", None) or {}
	if form.get("cmd") not in EXPORTS:
		return False
	report = form.get("report_name")
	if str(form["cmd"]).endswith("auto_email_report.download"):
		report = frappe.db.get_value("Auto Email Report", cstr(form.get("name")), "report")
	of_report = _subject_of(report)
	return is_our_doctype(of_report or form.get("doctype"))


def _take_out_formulas(response) -> None:
	name = str(response.headers.get("Content-Disposition", "")).lower()
	if response.status_code == 200 and (kind := next((k for k in SAFE if f".{k}" in name), None)):
		response.data = SAFE[kind](response.get_data(), frappe.local.form_dict)


def on_file(doc, method=None) -> None:
	"""A table of this app that was written in the background, to be fetched by a link in a mail."""
	kind = str(doc.file_name or "").rpartition(".")[2].lower()
	if doc.attached_to_doctype != "Report" or kind not in SAFE or not doc.get("content"):
		return
	name = cstr(doc.attached_to_name)
	if is_our_doctype(frappe.db.get_value("Report", name, "ref_doctype") or name):
		content = doc.content if isinstance(doc.content, bytes) else doc.content.encode()
		# Frappe has written it by now.
		doc.save_file(content=SAFE[kind](content, {}), ignore_existing_file_check=True, overwrite=True)


def safe_csv(content: bytes, asked: dict) -> bytes:
	"""A CSV file without formulas; `asked` are the parameters of Frappe's export, which say how it is written."""
	quoting = asked.get("csv_quoting")
	return cells.csv(
		content.decode("utf-8", "replace"),
		cstr(asked.get("csv_delimiter"))[:1] or ",",
		quoting in (None, "") or cint(quoting) == csv.QUOTE_NONNUMERIC,
	).encode()


def safe_xlsx(content: bytes, asked: dict) -> bytes:
	"""An Excel file without formulas. Each of its cells is a text or a number by itself."""
	book = openpyxl.load_workbook(io.BytesIO(content))
	for sheet in book:
		for row in sheet.iter_rows():
			for found in row:
				if isinstance(found.value, str) and (safe := cells.cell(found.value)) != found.value:
					found.value, found.data_type = safe, "s"
	file = io.BytesIO()
	book.save(file)
	return file.getvalue()


SAFE = {"csv": safe_csv, "xlsx": safe_xlsx}
