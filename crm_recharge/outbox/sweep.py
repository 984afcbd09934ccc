"""The sweep: each minute all rows on which work is due, and which nobody holds, are enqueued.

A killed worker, an emptied Redis, a time-out to be asked again: all end here.
"""

from contextlib import contextmanager

import frappe
from frappe.query_builder import Order
from frappe.query_builder.functions import Coalesce

from crm_recharge import clock, transactions
from crm_recharge.outbox import attempt, queue, work
from crm_recharge.outbox.work import Due, Work

SWEPT, SWEEPING = "crm_recharge_swept", "crm_recharge_sweeping"
"""Keys of the cache: when a kind was swept last, and which is being swept."""
LONGEST_SWEEP = 3600


def sweep() -> dict[str, int]:
	"""Each minute: sweep every kind of work. Returns how many rows of each were enqueued.

	One that fails is noted and does not stop the others; one at which a worker has died or failed lately comes last.
	"""
	counts = {}
	for kind in sorted(work.all_works().values(), key=lambda kind: _is_being_swept(kind)):
		frappe.db.rollback()
		try:
			if attempt.is_wanted(kind) and _is_time(kind):
				with _marked(kind):
					counts[kind.name] = sweep_kind(kind.name)
		except Exception:
			frappe.db.rollback()
			frappe.log_error(title=f"The sweep of {kind.name} failed")
			transactions.commit()
	return counts


def once_more() -> dict[str, int]:
	"""Each minute as well: the same, under another name.

	Frappe starts no scheduled job while one of that name counts as running, and a job whose worker was killed does
	so until the queue is tidied up, a quarter of an hour later. A sweep that dies at its work must not stop the
	sweeping for that long. Sweeping twice is sweeping once.
	"""
	return sweep()


def sweep_kind(name: str, limit: int | None = None) -> int:
	"""Enqueue what is due of one kind, until Redis is away. Returns how many. `limit`: in place of the kind's own."""
	for number, row in enumerate(names := due(name, limit)):
		if not queue.enqueue(name, row, again=True):
			return number
	return len(names)


def due(name: str, limit: int | None = None) -> list[str]:
	"""Names of the rows on which work of that kind is due, up to its limit. Those tried last come last, so that some
	which fail each time do not keep the others out."""
	kind = work.find(name)
	limit = limit or kind.limit
	if isinstance(kind.due, str):
		return list(frappe.get_attr(kind.due)())[:limit]
	rules = kind.due if isinstance(kind.due, tuple) else (kind.due,)
	found: dict[str, None] = {}
	for rule in rules:
		if len(found) < limit:
			found |= dict.fromkeys(rows(kind.doctype, rule, limit - len(found)))
	return list(found)


def rows(doctype: str, rule: Due, limit: int) -> list[str]:
	"""Names of the rows of `doctype` for which `rule` holds."""
	table, now = frappe.qb.DocType(doctype), clock.now()
	times = [*rule.come, *rule.free, *(["creation"] if rule.older else [])]
	query = frappe.qb.from_(table).select(table.name, *(table[time] for time in times))
	for condition in _conditions(table, rule, now):
		query = query.where(condition)
	first, *others = (table[column] for column in rule.order)
	query = query.orderby(Coalesce(first, *others) if others else first, order=Order.asc).limit(limit)
	older = [now - rule.older] if rule.older else []
	moments = [now] * (len(rule.come) + len(rule.free)) + older
	# Around the hour that comes twice the query finds some more.
	return [
		name
		for name, *kept in query.run()
		if all(clock.is_past(time, moment) for time, moment in zip(kept, moments, strict=True))
	]


def _conditions(table, rule: Due, now):
	latest = clock.latest(now)
	for column, values in rule.where.items():
		given = [value for value in values if value is not None]
		condition = table[column].isin(given)
		yield (condition | table[column].isnull()) if None in values else condition
	for column in rule.come:
		yield table[column] <= latest
	for column in rule.free:
		yield table[column].isnull() | (table[column] <= latest)
	for column in rule.empty:
		yield table[column].isnull()
	for column in rule.filled:
		yield table[column].isnotnull()
	if rule.older:
		yield table.creation <= clock.latest(now - rule.older)


# -- which kinds, and in which order -------------------------------------------------------------------------


def _is_time(kind: Work) -> bool:
	"""Whether a kind that is not swept each minute is so now. Where the cache is away or emptied, it is."""
	if kind.every <= 1:
		return True
	try:
		key, seconds = frappe.cache.make_key(f"{SWEPT}:{kind.name}"), kind.every * 60 - 30
		# nosemgrep: frappe-cache-breaks-multitenancy -- make_key has put the site before the key
		return bool(frappe.cache.set(key, 1, nx=True, ex=seconds))
	except Exception:
		return True


@contextmanager
def _marked(kind: Work):
	"""While a kind is swept a mark stands in the cache. Whoever dies at it, or fails, leaves the mark."""
	_mark(kind, True)
	yield
	_mark(kind, False)


def _mark(kind: Work, stands: bool) -> None:
	try:
		key = frappe.cache.make_key(f"{SWEEPING}:{kind.name}")
		# nosemgrep: frappe-cache-breaks-multitenancy -- make_key has put the site before the key
		frappe.cache.set(key, 1, ex=LONGEST_SWEEP) if stands else frappe.cache.delete(key)
	except Exception:
		frappe.logger("crm_recharge").debug("the cache is away", exc_info=True)


def _is_being_swept(kind: Work) -> bool:
	try:
		return bool(frappe.cache.exists(f"{SWEEPING}:{kind.name}"))
	except Exception:
		return False
