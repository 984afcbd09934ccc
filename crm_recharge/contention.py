"""Trying again after a deadlock, a lock time-out or a stale snapshot: bounded, with jitter."""

import functools
import random
import time

import frappe

TRIES = 6
# MariaDB: deadlock, lock wait time-out, "record has changed since last read" (snapshot isolation).
CODES = (1213, 1205, 1020)


def is_contention(error: Exception) -> bool:
	"""Whether `error` means that the database asks to try the transaction again."""
	return isinstance(error, frappe.QueryDeadlockError | frappe.QueryTimeoutError) or (
		bool(error.args) and error.args[0] in CODES
	)


def retry_on_contention(function):
	"""Decorator: run `function` again when the database asks for it.

	Only where the transaction is its own to drop: once the caller has written something, the error is the
	caller's to handle, for a rollback would undo the caller's part too.
	"""

	@functools.wraps(function)
	def wrapper(*args, **kwargs):
		owns = not frappe.db.transaction_writes
		for attempt in range(TRIES):
			try:
				return function(*args, **kwargs)
			except Exception as error:
				if not owns or attempt == TRIES - 1 or not is_contention(error):
					raise
				_begin_again()
				if attempt:  # a snapshot that was too old is mended by the first new try
					time.sleep(random.uniform(0.01, 0.05) * 2**attempt)

	return wrapper


def _begin_again() -> None:
	"""End the transaction, but keep what its caller wants done after the commit: `frappe.db.rollback` forgets it.

	What the failed try itself wanted done stays as well, and finds no row to do it for.
	"""
	frappe.db.sql("rollback")
	frappe.db.begin()
	frappe.db.value_cache.clear()
