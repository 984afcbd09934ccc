"""The intake of every public method: what a request hands in is checked here, and only here.

	@frappe.whitelist(methods=["POST"])
	@intake
	def charge(account: str, amount: Amount | None = None, …) -> dict:

It binds the request to the method's signature (an unknown or missing parameter, or one of another kind, is
refused by name), and turns whatever is raised into an answer with `error.code` and a sentence. Frappe's own check of
types, which comes from whitelisting, sees a function without types and leaves them to it.
"""

import functools
import inspect
from typing import NoReturn

import frappe
from frappe import _

from crm_recharge.credits.errors import InvalidRequestError, raise_for_people, refuse
from crm_recharge.domain import cells
from crm_recharge.domain.errors import InvalidRequest, RuleError, shown
from crm_recharge.domain.inputs import Kind, Parameters, fields

# What Frappe itself puts among the parameters: the method, its guard against forged requests, the session, the
# language, and what a browser adds against caches.
OF_FRAPPE = frozenset({"cmd", "csrf_token", "sid", "_lang", "_"})
# What Frappe takes out of every call, which therefore no signature ever sees.
TAKEN_OUT = ("ignore_permissions", "flags")


def intake(
	function=None, *, aliases: dict[str, str] | None = None, beside: tuple[str, ...] = (), reads_itself=False
):
	"""Decorator of a whitelisted method, below `frappe.whitelist`.

	Args:
		aliases: names that requests may give to parameters, such as {"from": "from_date"}.
		beside: what may come beside the parameters and is not looked at.
		reads_itself: the method reads the request itself; whatever comes is let in.
	"""
	if function is None:
		return functools.partial(intake, aliases=aliases, beside=beside, reads_itself=reads_itself)
	parameters = Parameters.of(function, aliases)
	own = "self" in inspect.signature(function).parameters
	ignored = OF_FRAPPE | set(beside)

	# Not *args, **kwargs: for "args" Frappe would hand over a document's arguments in one piece.
	def opened(*positional, **named):
		try:
			if reads_itself:
				return function()
			_look_at_what_was_taken_out(function)
			owner, given = (positional[:1], positional[1:]) if own else ((), positional)
			values = parameters.bind(given, {k: v for k, v in named.items() if k not in ignored})
			return function(*owner, **values)
		except Exception as error:
			_answer(error)
			raise

	# Without __wrapped__ and annotations: Frappe is to hand over everything that came, and to check nothing of it.
	for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
		setattr(opened, attribute, getattr(function, attribute))
	opened.parameters, opened.function = parameters, function
	return opened


def _look_at_what_was_taken_out(function) -> None:
	"""Raises InvalidRequest unknown_parameter for what a request sent and Frappe silently took away."""
	form = getattr(frappe.local, "form_dict", None) or {}
	if str(form.get("cmd") or "").endswith(f"{function.__module__}.{function.__name__}"):
		if sent := [name for name in TAKEN_OUT if name in form]:
			raise InvalidRequest("unknown_parameter", parameters=", ".join(sent), known="–")


def filtered(**kinds):
	"""Decorator of a report's `execute`: its filters are read here, as parameters are by `intake`.

	For each filter its Kind, or the DocType of which it names a record, or a tuple of the texts it may be. What is
	empty is left out. Raises InvalidRequestError: unknown_field, unknown_record, not_one_of, and what the kinds raise.
	"""

	def decorate(execute):
		@functools.wraps(execute)
		def opened(filters=None):
			try:
				found = execute(frappe._dict(read_filters(filters or {}, kinds)))
			except Exception as error:
				frappe.local.flags.disable_traceback = True
				if isinstance(error, RuleError):
					raise_for_people(error)
				raise
			return found if _is_shown() else (found[0], _as_cells(found[1]), *found[2:])

		opened.kinds = kinds
		return opened

	return decorate


def _is_shown() -> bool:
	"""Whether a report is asked for by the desk, which shows it; else it may become a file: an export, a mail."""
	cmd = (getattr(frappe.local, "form_dict", None) or {}).get("cmd")
	return bool(getattr(frappe.local, "request", None)) and not str(cmd).endswith("export_query")


def _as_cells(rows: list) -> list:
	"""Rows of a report without texts that a spreadsheet would take for formulas."""
	return [
		frappe._dict(zip(row, cells.row(row.values()), strict=True))
		if isinstance(row, dict)
		else cells.row(row)
		for row in rows
	]


def read_filters(given: dict, kinds: dict) -> dict:
	"""As `filtered`, for a method that takes them among its parameters."""
	if not isinstance(given, dict):
		raise InvalidRequest("not_an_object", field="filters", value=shown(given))
	given = {name: value for name, value in given.items() if value not in (None, "")}
	found = fields(
		given, {name: kind if isinstance(kind, Kind) else Kind.TEXT for name, kind in kinds.items()}
	)
	for name, value in found.items():
		kind = kinds[name]
		if isinstance(kind, tuple) and value not in kind:
			raise InvalidRequest("not_one_of", field=name, value=shown(value), known=", ".join(kind))
		if isinstance(kind, str) and not frappe.db.exists(kind, value):
			raise InvalidRequest("unknown_record", field=name, doctype=_(kind), value=shown(value))
	first, last = found.get("from_date"), found.get("to_date")
	if first and last and first > last:
		raise InvalidRequest("period_backwards", start=str(first), end=str(last))
	return found


# -- answering -------------------------------------------------------------------------------------------------

# By the class that Frappe raises, the first that fits: the code, and the status of the answer.
_ANSWERS = (
	("TimestampMismatchError", "changed_meanwhile", 409),
	("DuplicateEntryError", "exists_already", 409),
	("UniqueValidationError", "exists_already", 409),
	("NameError", "name_refused", 409),
	("RateLimitExceededError", "too_many_requests", 429),
	("DoesNotExistError", "not_found", 404),
	("PermissionError", "not_permitted", 403),
	("LinkValidationError", "unknown_link", 422),
	("MandatoryError", "value_missing", 422),
	("OutgoingEmailError", "no_outgoing_mail", 422),
	("ValidationError", "refused", 422),
)
# What Frappe says of a refusal without saying more; a class of ours has a status of its own.
_UNSPECIFIC = (417, 501)


def _answer(error: Exception) -> None:
	"""Dress `error`, or raise another one for it: its answer has a code, a sentence, and no internals."""
	frappe.local.flags.disable_traceback = True
	if isinstance(error, RuleError):
		raise_for_people(error)
	if isinstance(error, UnicodeError) or (frappe.db and isinstance(error, frappe.db.DataError)):
		_refuse_unkept()
	for name, code, status in _ANSWERS:
		if isinstance(error, getattr(frappe, name)):
			return _dress(error, code, status)


def _dress(error: Exception, code: str, status: int) -> None:
	if getattr(error, "http_status_code", 417) in _UNSPECIFIC:
		error.http_status_code = status
	if (response := getattr(frappe.local, "response", None)) is not None:
		response.setdefault("error", {"code": getattr(error, "code", code)})
	if not frappe.local.message_log:
		frappe.msgprint(_sentences()[code], raise_exception=False)


def _sentences() -> dict[str, str]:
	"""For what is raised without a word."""
	return {
		"changed_meanwhile": _("It was changed meanwhile. Look at it again, then repeat."),
		"exists_already": _("There is one already."),
		"name_refused": _("This name cannot be used."),
		"too_many_requests": _("Too many requests. Wait a while, then try again."),
		"not_found": _("There is no such record."),
		"not_permitted": _("You may not do this. Ask your administrator for the right to."),
		"unknown_link": _("A value names a record that does not exist."),
		"value_missing": _("A value is missing."),
		"no_outgoing_mail": _("No Email Account can send yet: set up a default outgoing one."),
		"refused": _("The request was refused."),
	}


def _refuse_unkept() -> NoReturn:
	"""A value that the tables do not take and no check has found. The check is to be added: the trace stays."""
	frappe.log_error(title="A value of a request could not be kept", defer_insert=True)
	refuse(
		InvalidRequestError,
		"value_not_kept",
		_("A value is too large, too long, or holds characters that cannot be kept. Nothing was changed."),
		{},
	)
