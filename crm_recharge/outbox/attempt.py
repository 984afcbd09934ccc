"""Doing work on one row, and what is kept of it when it fails: on the row, in the Error Log, told to a person."""

from collections.abc import Callable
from typing import Any

import frappe
from frappe import _
from frappe.utils import cint

from crm_recharge import clock, transactions
from crm_recharge.contention import is_contention, retry_on_contention
from crm_recharge.outbox import changes, work
from crm_recharge.outbox.work import FILLED, Retry, Told, Work


def run(kind: str, name: str) -> Any:
	"""In a worker: do work of `kind` on the row `name`. Returns what the job returns, for the log."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	found = work.find(kind)
	if not is_wanted(found):
		return "away"
	try:
		return attempt(kind, name, frappe.get_attr(found.job))
	except Exception as error:
		# What the database wants tried again, Frappe does at once.
		if is_contention(error):
			raise
		frappe.db.rollback()
		_note(found, name)
		return "failed"


def _note(kind: Work, name: str) -> None:
	"""Called while handling an exception: an Error Log, at most one an hour for each row; the sweep tries again."""
	mark = frappe.cache.make_key(f"crm_recharge_failed:{kind.name}:{name}")
	try:
		# nosemgrep: frappe-cache-breaks-multitenancy -- make_key has put the site before the key
		is_new = frappe.cache.set(mark, 1, nx=True, ex=3600)
	except Exception:
		is_new = True
	if is_new:
		title = f"{kind.name} failed for {kind.doctype} {name}"
		frappe.log_error(title=title[:140], reference_doctype=kind.doctype, reference_name=name)
		transactions.commit()


def is_wanted(kind: Work) -> bool:
	"""Whether this site does work of that kind at present."""
	return not kind.only_if or bool(frappe.get_attr(kind.only_if)())


def attempt(kind: str, name: str, job: Callable[[str], Any]) -> Any:
	"""`job(name)` in transactions of its own. A failure is rolled back and kept on the row, to be tried again.

	Returns what the job returns; after a failure what `record_failure` does. Raises DoesNotExistError for a row that is
	gone, and where the kind keeps no failures whatever the job raises.
	"""
	if frappe.db.transaction_writes:
		raise RuntimeError(f"{kind} commits and rolls back: enqueue it, or commit first")
	frappe.db.rollback()
	try:
		return job(name)
	except Exception as error:
		trace = frappe.get_traceback()
		frappe.db.rollback()
		if work.find(kind).retry is None or isinstance(error, frappe.DoesNotExistError):
			raise
		return record_failure(kind, name, error, trace)


@retry_on_contention
def record_failure(kind: str, name: str, error: Exception, trace: str) -> str | None:
	"""Keep a failure on the row, say when it is tried again or give it up, and commit.

	Returns what the row says then in the column that the kind writes at a failure; None where there is none. A row that
	needs the work no more (another worker has done it meanwhile) stays as it is.
	"""
	found = work.find(kind)
	retry, doctype = found.retry, found.doctype
	assert retry
	row = _locked(doctype, name, retry)
	state = next((column for column in retry.failed), None)
	if row is None or _is_done(row, retry):
		frappe.db.rollback()
		return row[state] if row and state else None
	tries = cint(row[retry.tries]) + 1
	wait = retry.back_off.wait(tries)
	log = _log(found, name, error, trace, tries, wait is None)
	said = frappe.get_attr(retry.says)(error, trace, log, wait is not None)
	kept = {retry.tries: tries, retry.next_try: clock.later(wait) if wait else None}
	changes.write(doctype, name, {**retry.failed, **said, **kept})
	if wait is None and retry.tells:
		_tell(found, name, tries, next(iter(said.values()), None) or str(error))
	transactions.commit()
	return retry.failed[state] if state else None


def _tell(kind: Work, name: str, tries: int, last: str) -> None:
	"""Tell a person that it is given up; what cannot be told leaves an Error Log, and is given up all the same."""
	assert kind.retry and kind.retry.tells
	text = _("It was tried {0} times, and is not tried again by itself. The last time: {1}")
	try:
		frappe.get_attr(kind.retry.tells)(kind.doctype, name, text.format(tries, last))
	except Exception as error:
		if is_contention(error):
			raise
		title = f"Nobody was told of {name}"
		frappe.log_error(title=title[:140], reference_doctype=kind.doctype, reference_name=name)


def _locked(doctype: str, name: str, retry: Retry):
	columns = list(dict.fromkeys((*retry.failed, *retry.done, retry.tries)))
	return frappe.db.get_value(doctype, name, columns, as_dict=True, for_update=True)


def _is_done(row, retry: Retry) -> bool:
	return any(
		bool(row[column]) if values == FILLED else row[column] in values
		for column, values in retry.done.items()
	)


def _log(kind: Work, name: str, error: Exception, trace: str, tries: int, given_up: bool) -> str | None:
	retry = kind.retry
	assert retry
	unexpected = not isinstance(error, frappe.ValidationError)
	wanted = given_up if retry.told is Told.GIVEN_UP else (tries == 1 or unexpected or given_up)
	if not wanted:
		return None
	title = retry.title.format(name)
	log = frappe.log_error(title=title, message=trace, reference_doctype=kind.doctype, reference_name=name)
	return log.name if log else None
