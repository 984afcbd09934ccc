"""How the effects of refunds and disputes are done on Frappe. The rules are in domain/takeback.py and beside it.

Everything here happens under the account's lock, which the machine has asked for first; so what is read after
it in plain reads is what is committed.
"""

import json

import frappe
from frappe import _

from crm_recharge import clock
from crm_recharge.credits.errors import raise_for_people
from crm_recharge.credits.money import as_text, exact
from crm_recharge.credits.store import BookStore, find_entries
from crm_recharge.domain import chain, credit_events, effects, takeback, views
from crm_recharge.domain.answers import RefundAnswer, RefundOutcome
from crm_recharge.domain.book import REINSTATEMENT
from crm_recharge.domain.dispute import ACTIVE, DISPUTED_ACCOUNT
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import stored
from crm_recharge.domain.takeback import DUPLICATE, HELD, OPEN, ORPHAN, PaymentView, RefundView
from crm_recharge.doors.guard import new
from crm_recharge.gateway import home, registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.gateway.port import MISSING
from crm_recharge.outbox import changes, events
from crm_recharge.outbox.queue import enqueue_after_commit
from crm_recharge.recharge import asking, reading, takeback_notices

REFUND_FIELDS = (
	"name",
	"kind",
	"status",
	"currency",
	"intent",
	"recharge",
	"gateway_refund",
	"moves",
	"asks",
	"asked_at",
	"next_ask_at",
	"lease_owner",
	"lease_until",
)
REFUND_COLUMNS = (
	", ".join(f"`{field}`" for field in REFUND_FIELDS)
	+ ", `credit_account` AS `account`, "
	+ as_text("amount", "taken")
)
DISPUTE_COLUMNS = "`name`, `status`, `currency`, `intent`, `moves`, `heard`, " + as_text(
	"amount", "taken", "withdrawn", "fees"
)
MONEY = ("amount", "taken", "withdrawn", "fees")
TIMES = ("asked_at", "next_ask_at", "lease_until")
REASONS = {DUPLICATE: "duplicate", ORPHAN: "duplicate"}


def handlers() -> dict:
	"""Effect class -> what does it."""
	return {
		effects.LockPayment: lambda e: lock_payment(e.recharge),
		effects.LockRefund: lambda e: lock_refund(e.refund),
		effects.FindRefund: lambda e: frappe.db.get_value("Recharge Refund", {"request_key": e.request_key}),
		effects.InsertRefund: lambda e: insert("Recharge Refund", e.name, e.values),
		effects.UpdateRefund: lambda e: update("Recharge Refund", e.name, e.values),
		effects.InsertDispute: lambda e: insert("Recharge Dispute", e.name, e.values),
		effects.UpdateDispute: lambda e: update("Recharge Dispute", e.name, e.values),
		effects.TakeCredits: take_credits,
		effects.GiveBack: give_back,
		effects.HoldAutoRecharge: lambda e: hold(e.account, e.mark),
		effects.FlagAccount: flag_account,
		effects.AskRefund: ask_refund,
		effects.LookUpRefund: lambda e: ask(
			gateway_of(e.key), lambda gateway: look_up(gateway, e.key, e.intent)
		),
		effects.CheckRefund: lambda e: ask(
			gateway_of_refund(e.gateway_refund), lambda gateway: gateway.retrieve_refund(e.gateway_refund)
		),
	}


# -- reading -----------------------------------------------------------------------------------------------


def lock_payment(recharge: str) -> PaymentView | None:
	"""The recharge's row, locked, with its lot and all claims on it. The account is locked already."""
	row = reading.recharge_row(recharge, lock=True)
	if not row:
		return None
	entry = frappe.db.get_value("Recharge", recharge, "ledger_entry")
	lot = entry and frappe.db.get_value("Credit Lot", {"recharge": recharge, "ledger_entry": entry})
	# The book, not the row: what has expired meanwhile is no longer unused.
	store = BookStore(row.account, (lot,) if lot else ())
	return views.paid(
		row,
		reading.plain_account(store.row),
		store.book.lots.get(lot),
		unasked_recharge(store.row.open_recharge),
		_views(takeback.refund_view, "Recharge Refund", REFUND_COLUMNS, recharge),
		_views(takeback.dispute_view, "Recharge Dispute", DISPUTE_COLUMNS, recharge),
		frappe.db.sql(
			"SELECT `name`, `status` FROM `tabRecharge Dispute` WHERE `credit_account` = %s", row.account
		),
	)


def lock_refund(refund: str) -> RefundView | None:
	"""A refund's row, locked. One that is not there is looked for without a lock, which would be on its gap."""
	if not frappe.db.exists("Recharge Refund", refund):
		return None
	# nosemgrep: frappe-sql-format-injection -- columns are a constant
	rows = frappe.db.sql(
		f"SELECT {REFUND_COLUMNS} FROM `tabRecharge Refund` WHERE `name` = %s FOR UPDATE",
		refund,
		as_dict=True,
	)
	return _view(takeback.refund_view, rows[0]) if rows else None


def refunds_of(intent: str) -> list[RefundView]:
	"""All refunds here of a payment, without a lock."""
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	rows = frappe.db.sql(
		f"SELECT {REFUND_COLUMNS} FROM `tabRecharge Refund` WHERE `intent` = %s", intent, as_dict=True
	)
	return [_view(takeback.refund_view, row) for row in rows]


def _views(view, doctype: str, columns: str, recharge: str):
	# nosemgrep: frappe-sql-format-injection -- columns and DocType are constants of the callers
	rows = frappe.db.sql(
		f"SELECT {columns} FROM `tab{doctype}` WHERE `recharge` = %s ORDER BY `creation`, `name`",
		recharge,
		as_dict=True,
	)
	return (_view(view, row) for row in rows)


def _view(view, row):
	clock.out_of_columns(row, *(field for field in TIMES if field in row))
	return view(row.name, row | {field: exact(row[field]) for field in MONEY if field in row})


def unasked_recharge(recharge: str | None) -> str | None:
	"""`recharge`, if it is automatic and no card was asked for it yet: it can still be called off."""
	row = reading.recharge_row(recharge) if recharge else None
	asked = frappe.get_all("Recharge Attempt", {"recharge": recharge}, pluck="status") if row else ()
	return views.unasked(row, asked)


# -- writing -----------------------------------------------------------------------------------------------


def insert(doctype: str, name: str, values: dict) -> None:
	"""A new refund or dispute, with what its recharge or account says of customer and company."""
	values = {key: _plain(value) for key, value in values.items()}
	account = values.pop("account", None)
	doc = new(doctype, values)
	if account:
		owner = frappe.db.get_value("Credit Account", account, ["customer", "company"], as_dict=True)
		doc.update({"credit_account": account, **owner})
	for field in ("currency", "balance_currency"):
		_drop_unknown_currency(doc, field)
	doc.insert(ignore_permissions=True, set_name=name)


def update(doctype: str, name: str, values: dict) -> None:
	values = {key: _plain(value) for key, value in values.items()}
	if values.get("message"):
		values["message"] = values["message"][:500]
	for field in ("currency", "balance_currency"):
		_drop_unknown_currency(values, field)
	changes.write(doctype, name, values)


def _drop_unknown_currency(values, field: str) -> None:
	if values.get(field) and not frappe.db.exists("Currency", values.get(field)):
		values.update({field: None})


def _plain(value):
	if clock.is_moment(value):
		return clock.stored(value)
	return str(value) if hasattr(value, "as_tuple") else value


def hold(account: str, mark: str) -> None:
	"""Hold the account's auto-recharge; the caller has locked its row."""
	_set_hold(account, lambda held: takeback.add_mark(held, mark))


def _set_hold(account: str, change) -> None:
	held = frappe.db.sql(
		"SELECT `held_because` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", account
	)[0][0]
	now = change(held)
	frappe.db.sql("UPDATE `tabCredit Account` SET `held_because` = %s WHERE `name` = %s", (now, account))
	if bool(now) != bool(held):
		events.tell(
			credit_events.HELD if now else credit_events.RESUMED,
			account,
			{"reason": now or held, "by": "system"},
		)


def release(account: str) -> None:
	"""Lift the hold, and the flag of a dispute that is over: a person has looked. The caller holds the lock.

	Raises frappe.ValidationError while a dispute is open: what is charged then may be taken back next.
	PermissionError for who is not of the company's own people, where there is a hold.
	"""
	held, status = frappe.db.get_value("Credit Account", account, ["held_because", "status"], for_update=True)
	if not held and status != DISPUTED_ACCOUNT:
		return
	frappe.only_for(("Credit Manager", "System Manager"))
	if still_open := frappe.db.get_value("Recharge Dispute", {"credit_account": account, "status": OPEN}):
		raise_for_people(InvalidRequest("dispute_open", dispute=still_open))
	values = {"status": ACTIVE, "status_reason": None} if status == DISPUTED_ACCOUNT else {}
	events.tell(credit_events.RESUMED, account, {"reason": held or status, "by": "person"})
	frappe.db.set_value("Credit Account", account, {"held_because": None, **values})
	frappe.get_doc("Credit Account", account).add_comment(
		"Info", _("{0} lifted the hold of auto recharge: {1}").format(frappe.session.user, held or _(status))
	)


def flag_account(effect: effects.FlagAccount) -> None:
	reason = None
	if effect.dispute:
		reason = _("Payment disputed: {0}. See the dispute.").format(effect.dispute)
	frappe.db.set_value("Credit Account", effect.account, {"status": effect.status, "status_reason": reason})


# -- credits -----------------------------------------------------------------------------------------------


def take_credits(effect: effects.TakeCredits) -> str:
	key = chain.request_key(effect.account, effect.entry_type, effect.key)
	known = find_entries([key], locking=True).get(key)
	if known:
		return known.name
	if effect.hold_if_low:
		_hold_if_low(effect)
	store = BookStore(effect.account, (effect.lot,))
	lot = store.book.lots[effect.lot]
	entry = store.book.take(
		effect.entry_type, effect.amount, store.now, lot, **_details(effect, key, effect.entry_type)
	)
	store.write()
	return entry.name


def _hold_if_low(effect: effects.TakeCredits) -> None:
	# Before the book that is written: its ledger hook decides by the row as it was locked.
	store = BookStore(effect.account)
	setting = json.loads(store.row.auto_recharge) if store.row.auto_recharge else None
	if takeback.must_hold(store.book.balance - effect.amount, setting):
		hold(effect.account, effect.hold_if_low)


def give_back(effect: effects.GiveBack) -> str:
	key = chain.request_key(effect.account, REINSTATEMENT, effect.key)
	known = find_entries([key], locking=True).get(key)
	if known:
		return known.name
	if effect.lift:
		_set_hold(effect.account, lambda held: takeback.drop_mark(held, effect.lift))
	taken = taken_from(effect)
	store = BookStore(effect.account, (effect.lot, *(name for name, _amount in taken)))
	entry = store.book.reinstate(
		store.book.lots[effect.lot],
		effect.amount,
		store.now,
		taken=taken,
		**_details(effect, key, REINSTATEMENT),
	)
	store.write()
	return entry.name


def taken_from(effect: effects.GiveBack) -> list:
	"""What each lot has lost to this claim so far: pairs of lot and amount above zero, its own first."""
	keys = [
		chain.request_key(effect.account, kind, moved)
		for moved in effect.moved
		for kind in (effect.entry_type, REINSTATEMENT)
	]
	found = frappe.db.sql(
		"SELECT `lots` FROM `tabCredit Ledger` WHERE `request_key` IN %s", (tuple(keys),), pluck=True
	)
	moves = [[(lot, exact(moved)) for lot, moved in json.loads(lots or "[]")] for lots in found]
	return takeback.taken_from(moves, first=effect.lot)


def _details(effect, key: str, entry_type: str) -> dict:
	is_refund = effect.entry_type == takeback.REFUND
	return {
		"request_key": key,
		"request_hash": chain.request_hash(entry_type, stored(effect.amount)),
		"idempotency_key": effect.key,
		"reference_type": "Recharge Refund" if is_refund else "Recharge Dispute",
		"reference_name": effect.claim,
		"gateway_reference": effect.intent,
	}


# -- captures that bought nothing --------------------------------------------------------------------------


def duplicate(recharge: str, answer, held: bool = False) -> str | None:
	"""Write down that a second capture for `recharge`, or one that was held, is refunded. Part of the caller's
	transaction. Returns the refund's name, None when it was known."""
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	return write_down(ORPHAN if held else DUPLICATE, answer, recharge, account, held)


def write_down(
	kind: str,
	answer,
	recharge: str | None,
	account: str | None,
	decided: bool = False,
	gateway: str | None = None,
) -> str | None:
	"""A refund of a capture that bought nothing, once for each payment. Returns its name, None when known.

	Part of the caller's transaction. The name is the payment's own, so that a second writer meets the first. Whoever
	has `decided` it is not told of it.
	"""
	name = f"RF-{chain.request_hash(kind, answer.intent)[:12].upper()}"
	if frappe.db.exists("Recharge Refund", name):
		return None
	insert(
		"Recharge Refund",
		name,
		{
			"kind": kind,
			"status": HELD,
			"amount": answer.amount,
			"currency": answer.currency,
			"intent": answer.intent,
			"charge": answer.charge,
			"recharge": recharge,
			"account": account,
			"gateway": gateway or registry.of_account(account),
			"reason": _why_refunded(kind, answer, decided),
			"accounting_status": takeback.NOT_NEEDED,
		}
		| ({"requested_by": frappe.session.user} if decided else {}),
	)
	if not decided:
		takeback_notices.send("captured_for_nothing", {"refund": name})
	enqueue_after_commit("refund", name)
	return name


def _why_refunded(kind: str, answer, decided: bool) -> str:
	recharge = answer.metadata.get("recharge")
	if decided:
		return _("Captured for recharge {0}, which it does not fit").format(recharge)
	if kind == DUPLICATE:
		return _("Captured a second time for the same recharge")
	return _("Captured for a recharge that does not exist: {0}").format(recharge)


# -- the gateway: never inside a transaction -----------------------------------------------------------------


def gateway_of(refund: str) -> str:
	"""The gateway that a refund's payment is at."""
	row = frappe.db.get_value("Recharge Refund", refund, ["gateway", "credit_account"], as_dict=True)
	return row.gateway or registry.of_account(row.credit_account)


def gateway_of_refund(gateway_refund: str) -> str:
	"""As `gateway_of`, for the gateway's own id of it."""
	return gateway_of(frappe.db.get_value("Recharge Refund", {"gateway_refund": gateway_refund}))


def ask_refund(effect: effects.AskRefund) -> RefundAnswer:
	if effect.until and clock.is_past(effect.until):
		return RefundAnswer(
			RefundOutcome.UNKNOWN, code="too_late", message="The key may no longer be remembered."
		)
	row = frappe.db.get_value("Recharge Refund", effect.key, ["recharge", "credit_account"], as_dict=True)
	return ask(
		gateway_of(effect.key),
		lambda gateway: gateway.refund(
			key=effect.key,
			intent=effect.intent,
			amount=effect.amount,
			currency=effect.currency,
			reason=REASONS.get(effect.kind, "requested_by_customer"),
			metadata={
				"refund": effect.key,
				"recharge": row.recharge or "",
				"account": row.credit_account or "",
				**home.marks(),
			},
		),
	)


def look_up(gateway, key: str, intent: str) -> RefundAnswer | None:
	"""The refund of `intent` that was asked for under `key`; None when the gateway has shown all and has none."""
	try:
		refunds = gateway.list_refunds(intent)
	except GatewayError as error:
		if error.code == MISSING:
			# A payment that the gateway does not have has no refunds.
			return None
		outcome = RefundOutcome.UNKNOWN if error.retryable else RefundOutcome.REFUSED
		return RefundAnswer(outcome, code=error.code, message=error.message, retry_after=error.retry_after)
	return next((r for r in refunds if key in (r.metadata.get("refund"), r.metadata.get("attempt"))), None)


def ask(name: str, call) -> RefundAnswer | None:
	"""As asking.ask: of a gateway that is not set up nothing is known, and what cannot be asked is refused."""
	return asking.ask(
		name, call, RefundAnswer, not_set_up=RefundOutcome.UNKNOWN, not_possible=RefundOutcome.REFUSED
	)
