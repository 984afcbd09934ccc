"""A kind of background work: whose rows it is about, when one is due, what is done then, and what if that fails.

The row is the promise, written in the transaction that makes the work; the job only carries it out. So losing a job
is harmless: the sweep finds the row.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import lru_cache

import frappe

from crm_recharge.domain.back_off import BackOff

HOOK = "crm_recharge_work"
FILLED = "filled"


class Told(Enum):
	"""When a failure is written to the Error Log, besides the row itself."""

	AT_ONCE = "the first in a row, and each unexpected one"
	GIVEN_UP = "when it is not tried again by itself"


@dataclass(frozen=True, kw_only=True)
class Due:
	"""Rows that are due: all of this holds. Times are as columns keep them, on the site's clock.

	where: column → the values it may have; None among them: empty.
	come: times that are set and lie in the past. free: times that are empty or lie in the past (a lease, a next try).
	empty, filled: columns. older: made at least so long ago. order: the first of these that is set sorts.
	"""

	where: dict[str, tuple] = field(default_factory=dict)
	come: tuple[str, ...] = ()
	free: tuple[str, ...] = ()
	empty: tuple[str, ...] = ()
	filled: tuple[str, ...] = ()
	older: timedelta | None = None
	order: tuple[str, ...] = ("creation",)


@dataclass(frozen=True, kw_only=True)
class Retry:
	"""What is kept of a failure on the row, and when it is tried again.

	tries, next_try: columns for the number of failures in a row, and the time of the next try (empty: given up).
	done: column → values with which the row needs the work no more (FILLED: any); a failure that comes late changes
	nothing then. failed: what a failure writes besides.
	says: path of a function (error, trace, name of the Error Log or None, whether it is tried again) → column: text.
	title: of the Error Log, with {0} for the row. tells: path of a function (DocType, name, text) that tells a person
	when it is given up.
	"""

	back_off: BackOff
	tries: str
	next_try: str
	done: dict[str, tuple | str]
	says: str
	title: str
	failed: dict[str, str] = field(default_factory=dict)
	told: Told = Told.AT_ONCE
	tells: str | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
	"""One kind of work.

	name: unlike all others; of another app, beginning with that app's name.
	job: path of a function that takes the row's name; it may run twice, and at once: the row's lock or lease decides.
	due: when a row is due; several are asked in their order. Or the path of a function () → names.
	only_if: path of a function; where it says no, nothing is swept or done.
	every: minutes between two sweeps. limit: rows of one sweep.
	retry: None where the job keeps its own times on the row, as the payment machine does (domain/payment.py).
	"""

	name: str
	doctype: str
	job: str
	due: "Due | tuple[Due, ...] | str"
	queue: str = "short"
	only_if: str | None = None
	every: int = 1
	limit: int = 200
	retry: Retry | None = None


def all_works() -> dict[str, Work]:
	"""Every kind that is declared, by name, in the order of the apps."""
	return _named(tuple(frappe.get_hooks(HOOK)))


def find(name: str) -> Work:
	"""The kind of that name. Raises KeyError."""
	return all_works()[name]


@lru_cache(maxsize=8)
def _named(paths: tuple[str, ...]) -> dict[str, Work]:
	found: dict[str, Work] = {}
	for path in paths:
		for work in _declared(path):
			if found.setdefault(work.name, work) is not work:
				_note(path, ValueError(f"there is another kind of work named {work.name}"))
	return found


def _declared(path: str) -> tuple[Work, ...]:
	"""What another app declares wrongly must not stop the work of the others; it is in the Error Log."""
	try:
		declared = frappe.get_attr(path)
		works = (declared,) if isinstance(declared, Work) else tuple(declared)
		if wrong := next((work for work in works if not isinstance(work, Work)), None):
			raise TypeError(f"{wrong!r} is no Work")
		return works
	except Exception as error:
		if path.startswith("crm_recharge."):
			raise
		_note(path, error)
		return ()


def _note(path: str, error: Exception) -> None:
	frappe.log_error(title=f"{HOOK}: {path} is left out", message=repr(error), defer_insert=True)
