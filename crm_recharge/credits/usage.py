"""Charging usage: lock the account, recognise a repeat, draw the lots, write the row. See docs/architecture.md, 2."""

from datetime import datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import get_system_timezone

from crm_recharge.clock import now_datetime
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.money import exact
from crm_recharge.credits.store import BookStore, find_entries
from crm_recharge.domain import chain, moments, usage
from crm_recharge.domain.book import USAGE
from crm_recharge.domain.errors import InsufficientCredits, InvalidRequest, RuleError, shown
from crm_recharge.domain.money import plain
from crm_recharge.domain.usage import Price, UsageRequest


@for_people
@retry_on_contention
def charge(account: str, raw: dict) -> dict:
	"""Charge one usage to `account`; `raw` has the fields of domain.usage.FIELDS.

	Returns `answer`'s dict. Raises the errors of credits.errors; then nothing is written. The caller commits.
	"""
	request = read_request(raw, now_datetime())
	store = BookStore(account)
	key = chain.request_key(store.book.account, USAGE, request.idempotency_key)
	# No look-up first: the unique key finds a repeat, and only then is there something to read.
	try:
		_spend(store, request, key, {})
		store.write()
	except Exception as error:
		if not isinstance(error, RuleError) and not frappe.db.is_duplicate_entry(error):
			raise
		known = find_entries([key], locking=True).get(key)
		if not known:
			announce_refusal(store.book.account, error)
			raise
		return repeat(request, known)
	entry = store.book.entries[-1]
	return answer(store.book.account, entry.name, -entry.amount, entry.balance_after, store.recharge_started)


@for_people
@retry_on_contention
def charge_many(account: str, events: list[dict]) -> dict:
	"""Charge many usages to `account` in order, all or none, with one threshold check at the end.

	Events that were charged before (same key and content), or stand twice in the batch, count as repeats.
	Raises the errors of credits.errors, naming the event; then nothing is written. The caller commits.
	"""
	_check_batch(events)
	now = now_datetime()
	requests = [_in_batch(i, raw, lambda raw=raw: read_request(raw, now)) for i, raw in enumerate(events)]
	store = BookStore(account)
	keys = [chain.request_key(store.book.account, USAGE, r.idempotency_key) for r in requests]
	# No look-up first, as in `charge`.
	try:
		charged, repeats = _spend_all(store, requests, keys, {})
		store.write(hooks_once=True)
	except Exception as error:
		if not isinstance(error, RuleError) and not frappe.db.is_duplicate_entry(error):
			raise
		known = find_entries(keys, locking=True)
		if not known:
			_announce_refused_batch(store, error)
			raise
		store = BookStore(account)
		try:
			charged, repeats = _spend_all(store, requests, keys, known)
		except RuleError as again:
			_announce_refused_batch(store, again)
			raise
		store.write(hooks_once=True)
	return {
		"account": store.book.account,
		"charged": len(charged),
		"repeats": repeats,
		"amount": plain(-sum((e.amount for e in charged), Decimal(0))),
		"balance_after": plain(store.book.balance),
		"entries": [e.name for e in charged],
		"recharge_started": bool(store.recharge_started),
		"recharge": store.recharge_started,
	}


def announce_refusal(account: str, error: Exception, drawn: Decimal = Decimal(0)) -> None:
	"""Tell whoever listens (hook `usage_refused`: account, amount) that credits did not suffice.

	`drawn` is what the same batch had drawn before. Once this transaction has been rolled back, for a refused
	charge writes nothing.
	"""
	if isinstance(error, InsufficientCredits):
		amount = plain(drawn + Decimal(error.figures["amount"]))
		frappe.db.after_rollback.add(lambda: _tell_refusal(account, amount))


def _announce_refused_batch(store: BookStore, error: Exception) -> None:
	drawn = -sum((e.amount for e in store.book.entries if e.entry_type == USAGE), Decimal(0))
	announce_refusal(store.book.account, error.__cause__ or error, drawn)


def _tell_refusal(account: str, amount: str) -> None:
	for listener in frappe.get_hooks("usage_refused"):
		frappe.get_attr(listener)(account, amount)


def _spend_all(store: BookStore, requests, keys, known) -> tuple[list, int]:
	charged, repeats, seen = [], 0, {}
	for index, (request, key) in enumerate(zip(requests, keys, strict=True)):
		if key in known:
			_in_batch(index, request, lambda: check_repeat(request, known[key]))
			repeats += 1
			continue
		entry = _in_batch(index, request, lambda: _spend(store, request, key, seen))
		known[key] = _as_known(entry)
		charged.append(entry)
	return charged, repeats


def _spend(store: BookStore, request: UsageRequest, key: str, seen: dict):
	"""Draw one request from the book. `seen` keeps prices and teams within a batch."""
	category = price = team = None
	if request.category:
		category, price = _once(seen, ("price", request.category), lambda: read_price(request.category))
	if request.team:
		team = _once(seen, ("team", request.team), lambda: read_team(request.team, store.book.account))
	return store.book.use(
		usage.cost(request, price, store.book.currency),
		store.now,
		request_key=key,
		request_hash=request.fingerprint,
		idempotency_key=request.idempotency_key,
		occurred_at=request.occurred_at,
		category=category,
		quantity=request.quantity,
		unit_price=price.unit_price if price and request.quantity else None,
		team=team,
		user=request.user,
		note=request.note,
	)


def _once(seen: dict, key, read):
	if key not in seen:
		seen[key] = read()
	return seen[key]


def _as_known(entry) -> frappe._dict:
	return frappe._dict(
		name=entry.name,
		amount=entry.amount,
		category=entry.category,
		quantity=entry.quantity,
		team=entry.team,
		user=entry.user,
		note=entry.note,
		occurred_at=entry.occurred_at,
		request_hash=entry.request_hash,
	)


def _check_batch(events) -> None:
	if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
		raise InvalidRequest("batch_not_a_list")
	if not events:
		raise InvalidRequest("batch_empty")
	if len(events) > usage.LARGEST_BATCH:
		raise InvalidRequest("batch_too_large", count=len(events), limit=usage.LARGEST_BATCH)


def _in_batch(index: int, event, function):
	"""Run `function`; an error says which event it was (counted from 1)."""
	try:
		return function()
	except RuleError as error:
		key = event.get("idempotency_key") if isinstance(event, dict) else event.idempotency_key
		figures = error.figures | {"index": index + 1, "key": str(key)[:140], "reason": error.code}
		raise type(error)("batch_event", **figures) from error


# -- reading -----------------------------------------------------------------------------------------------


def read_request(raw: dict, now: datetime) -> UsageRequest:
	"""`raw` as a checked UsageRequest, its time in the site's time zone, as `now` is."""
	when = raw.get("occurred_at")
	if when is None or when == "":
		return usage.read({**raw, "occurred_at": None}, now)
	moment, local = _read_moment(when, "occurred_at")
	# In UTC: of two times in one zone Python compares the clock alone, and an hour that comes twice, when summer
	# time ends, would seem to lie ahead.
	request = usage.read({**raw, "occurred_at": moment}, datetime.now(timezone.utc))
	return request._replace(occurred_at=local)


def read_time(value, field: str) -> datetime | None:
	"""ISO 8601 text or datetime as a naive time in the site's zone, as Frappe stores it; no zone means that.

	Raises InvalidRequest bad_time.
	"""
	return None if value is None or value == "" else _read_moment(value, field)[1]


def _read_moment(value, field: str) -> tuple[datetime, datetime]:
	"""The moment with its zone, and as the site's clock shows it."""
	try:
		moment = (
			value
			if isinstance(value, datetime)
			else datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
		)
		zone = ZoneInfo(get_system_timezone())
		local = moments.to_wall(moment, zone) if moment.tzinfo else moment
		if local.year < 2000:
			raise ValueError(local)
		return moment if moment.tzinfo else moment.replace(tzinfo=zone), local
	except (ValueError, OverflowError):
		raise InvalidRequest("bad_time", field=field, value=shown(value)) from None


def read_price(category: str) -> tuple[str, Price]:
	"""Name and unit price of a usage category, exact. Raises InvalidRequest unknown_category."""
	rows = frappe.db.sql(
		"SELECT `name`, CAST(`unit_price` AS CHAR), `currency`, `disabled` FROM `tabUsage Category` WHERE `name` = %s",
		(category,),
	)
	if not rows:
		raise InvalidRequest("unknown_category", category=category)
	name, unit_price, currency, disabled = rows[0]
	return name, Price(exact(unit_price), currency, bool(disabled))


def read_team(team: str, account: str) -> str:
	"""Name of a team of `account`, given by its id or by its team name.

	Raises InvalidRequest unknown_team, team_disabled.
	"""
	rows = frappe.db.sql(
		"SELECT `name`, `disabled` FROM `tabCredit Team`"
		" WHERE `credit_account` = %s AND (`name` = %s OR `team_name` = %s) ORDER BY `name` = %s DESC, `name` LIMIT 1",
		(account, team, team, team),
	)
	if not rows:
		raise InvalidRequest("unknown_team", team=team, account=account)
	if rows[0][1]:
		raise InvalidRequest("team_disabled", team=team)
	return rows[0][0]


# -- answering ---------------------------------------------------------------------------------------------


def answer(account: str, entry: str, amount: Decimal, balance_after: Decimal, recharge: str | None) -> dict:
	"""What a caller gets; amounts as text, exact, in the account's currency. `amount` is what was charged, given, or
	(signed) adjusted or reversed."""
	return {
		"account": account,
		"entry": entry,
		"amount": plain(amount),
		"balance_after": plain(balance_after),
		"recharge_started": bool(recharge),
		"recharge": recharge,
		"repeated": False,
	}


def repeat(request: UsageRequest, known) -> dict:
	"""The first answer again. Raises IdempotencyConflict when the content differs."""
	check_repeat(request, known)
	recharge = frappe.db.get_value("Recharge", {"triggered_by": known.name}, "name")
	first = answer(
		known.credit_account, known.name, -exact(known.amount), exact(known.balance_after), recharge
	)
	return first | {"repeated": True}


def check_repeat(request: UsageRequest, known) -> None:
	"""As domain.usage.check_repeat, for a ledger row."""
	usage.check_repeat(
		request,
		known.request_hash,
		{
			"entry": known.name,
			"amount": plain(abs(exact(known.amount))),
			"category": known.category,
			"quantity": plain(exact(known.quantity)) if exact(known.quantity) else None,
			"team": known.team,
			"user": known.user,
			"note": known.note,
			"occurred_at": str(known.occurred_at),
		},
	)
