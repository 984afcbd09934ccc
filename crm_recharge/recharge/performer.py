"""Performs the machines' effects on Frappe: rows, commits, calls to the gateway.

The rules are in domain/payment.py; here is only how each effect is done. Those of refunds and disputes are in
takebacks.py.
"""

import frappe

from crm_recharge import clock, transactions
from crm_recharge.credits import ledger
from crm_recharge.domain import effects, payment
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.cards import REMOVED, UNUSABLE
from crm_recharge.domain.steps import RechargeView
from crm_recharge.doors.guard import new
from crm_recharge.gateway import home, registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.gateway.port import MISSING
from crm_recharge.outbox import changes
from crm_recharge.outbox.queue import enqueue_after_commit
from crm_recharge.recharge import cards, differences, notices, takeback_notices, takebacks
from crm_recharge.recharge.asking import ask
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import switch_off
from crm_recharge.recharge.reading import customer_of, customers_of, recharge_row, recharge_view


def perform(machine):
	"""Run `machine` (a generator of effects) to its end; returns what it returns.

	An error ends the run with a rollback of what was not committed; the sweeper takes the recharge up again.
	"""
	performer = Performer()
	result = None
	try:
		while True:
			result = performer.do(machine.send(result))
	except StopIteration as end:
		return end.value
	except BaseException:
		frappe.db.rollback()
		raise


class Performer:
	"""One run of the machine on this site's database."""

	def __init__(self):
		# What this connection has read before must not answer for what is committed now. The clock's time zone
		# comes from the database the first time: read then, the snapshot would be older than the lock.
		clock.now_datetime()
		frappe.db.rollback()
		self._handlers = {
			effects.Now: lambda e: clock.now(),
			effects.Commit: lambda e: transactions.commit(),
			effects.Rollback: lambda e: frappe.db.rollback(),
			effects.LockAccount: self.lock_account,
			effects.LockRecharge: self.lock_recharge,
			effects.UpdateRecharge: self.update_recharge,
			effects.InsertAttempt: self.insert_attempt,
			effects.UpdateAttempt: self.update_attempt,
			effects.UpdateCard: self.update_card,
			effects.Charge: self.charge,
			effects.Cancel: self.cancel,
			effects.LookUp: self.look_up,
			effects.ClosePage: self.close_page,
			effects.Search: self.search,
			effects.PostCredits: self.post_credits,
			effects.ClearOpenRecharge: self.clear_open_recharge,
			effects.DisableAutoRecharge: self.disable_auto_recharge,
			effects.Notify: self.notify,
			effects.RefundDuplicate: lambda e: takebacks.duplicate(e.recharge, e.answer, e.held),
			effects.NoteDifference: differences.note_misfit,
			effects.CloseDifference: lambda e: differences.close(e.kind, e.subject, e.decision),
			effects.EnqueueAfterCommit: lambda e: enqueue_after_commit(e.job, e.recharge),
			**takebacks.handlers(),
		}

	def do(self, effect):
		return self._handlers[type(effect)](effect)

	# -- rows --------------------------------------------------------------------------------------------

	def lock_account(self, effect: effects.LockAccount) -> None:
		frappe.db.sql("SELECT `name` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", effect.account)

	def lock_recharge(self, effect: effects.LockRecharge) -> RechargeView | None:
		row = recharge_row(effect.recharge, lock=True)
		return recharge_view(row) if row else None

	def update_recharge(self, effect: effects.UpdateRecharge) -> None:
		values = clock.in_columns(effect.values)
		if values.get("status") == payment.FAILED:
			values["failure_reason"] = notices.failure_reason(effect.recharge)
		if values.get("status") == payment.CANCELLED:
			values["docstatus"] = 2
		if values.get("status") == payment.SUCCEEDED:
			# Paid after it was cancelled: it counts all the same.
			values["docstatus"] = 1
		values = {key: _plain(value) for key, value in values.items()}
		changes.write("Recharge", effect.recharge, values)

	def insert_attempt(self, effect: effects.InsertAttempt) -> None:
		card = effect.card and frappe.db.get_value(
			"Recharge Card", effect.card, ["brand", "last4", "fingerprint"], as_dict=True
		)
		attempt = new("Recharge Attempt")
		# Whatever becomes of the account's customer: this try is asked, and looked for, under the one of now.
		attempt.gateway_customer = customer_of(effect.recharge)
		attempt.update({"recharge": effect.recharge, "number": effect.number, "card": effect.card})
		attempt.update(card or {})
		attempt.update({key: _plain(value) for key, value in clock.in_columns(effect.values).items()})
		attempt.created_at = attempt.created_at or clock.now_datetime()
		attempt.insert(ignore_permissions=True, set_name=effect.name)

	def update_attempt(self, effect: effects.UpdateAttempt) -> None:
		values = clock.in_columns(effect.values)
		if values.get("message"):
			values["message"] = values["message"][:500]
		frappe.db.set_value("Recharge Attempt", effect.name, values)

	def update_card(self, effect: effects.UpdateCard) -> None:
		own = {"name": effect.card, "credit_account": effect.account}
		if frappe.db.get_value("Recharge Card", own, "status", for_update=True) in (None, REMOVED):
			return
		if effect.status == UNUSABLE:
			cards.mark_unusable(effect.card)
			return
		frappe.db.set_value(
			"Recharge Card", effect.card, {"status": effect.status, "status_reason": effect.reason}
		)
		frappe.db.set_value("Auto-Recharge Card", {"card": effect.card}, "card_status", effect.status)

	def clear_open_recharge(self, effect: effects.ClearOpenRecharge) -> None:
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `open_recharge` = NULL WHERE `name` = %s AND `open_recharge` = %s",
			(effect.account, effect.recharge),
		)

	def disable_auto_recharge(self, effect: effects.DisableAutoRecharge) -> None:
		switch_off(effect.account, notices.failure_reason(effect.recharge))

	def post_credits(self, effect: effects.PostCredits) -> str:
		entry, balance_after = ledger.post_payment(
			effect.account, effect.recharge, effect.intent, effect.amount
		)
		changes.write(
			"Recharge",
			effect.recharge,
			{"ledger_entry": entry, "balance_after": str(balance_after), "accounting_status": "Pending"},
		)
		return entry

	def notify(self, effect: effects.Notify) -> None:
		if effect.kind in takeback_notices.NOTICES:
			takeback_notices.send(effect.kind, effect.details)
		else:
			notices.send(effect.kind, effect.recharge, effect.details)

	# -- the gateway: never inside a transaction -------------------------------------------------------------

	def charge(self, effect: effects.Charge) -> Answer:
		if effect.until and clock.is_past(effect.until):
			return Answer(Outcome.UNKNOWN, code="too_late", message="The key may no longer be remembered.")
		recharge = frappe.db.get_value(
			"Recharge", effect.recharge, ["credit_account", "customer"], as_dict=True
		)
		customer = frappe.db.get_value("Recharge Attempt", effect.key, "gateway_customer")
		own = {"name": effect.card, "credit_account": recharge.credit_account}
		method = frappe.db.get_value("Recharge Card", own, "payment_method")
		if not method:
			frappe.db.rollback()
			return Answer(Outcome.ERROR, code="card_of_another_account", message="No card of this account.")
		return self._ask(
			effect.recharge,
			lambda gateway: gateway.charge(
				key=effect.key,
				amount=effect.amount,
				currency=effect.currency,
				customer=customer,
				payment_method=method,
				# Not translated: the same key must always carry the same content.
				description=f"Prepaid credits, recharge {effect.recharge}",
				metadata={
					"recharge": effect.recharge,
					"account": recharge.credit_account,
					**home.marks(),
				},
				off_session=True,
			),
		)

	def cancel(self, effect: effects.Cancel) -> Answer:
		recharge = frappe.db.get_value("Recharge Attempt", {"intent": effect.intent}, "recharge")
		return self._ask(recharge, lambda gateway: gateway.cancel(effect.intent, key=effect.key))

	def look_up(self, effect: effects.LookUp) -> Answer | None:
		customer = frappe.db.get_value("Recharge Attempt", effect.key, "gateway_customer")
		customer = customer or customer_of(effect.recharge)

		def find(gateway):
			if effect.intent:
				answer = gateway.retrieve(effect.intent)
				if answer.code != MISSING:
					return answer
			return gateway.find_by_attempt(effect.key, customer, effect.since)

		return self._ask(effect.recharge, find)

	def search(self, effect: effects.Search) -> tuple[Answer, ...] | Answer:
		customers = customers_of(effect.recharge)
		return self._ask(
			effect.recharge,
			lambda gateway: gateway.find_by_recharge(effect.recharge, customers, effect.since),
		)

	def close_page(self, effect: effects.ClosePage) -> Answer | None:
		recharge = frappe.db.get_value("Recharge Attempt", {"checkout_session": effect.page}, "recharge")
		return self._ask(recharge, lambda gateway: _close_page(gateway, effect.page))

	def _ask(self, recharge: str | None, call) -> Answer | None:
		name = registry.of_recharge(recharge)
		return ask(name, call, Answer, not_set_up=Outcome.ERROR, not_possible=Outcome.ERROR)


def _close_page(gateway, page: str) -> Answer | None:
	try:
		closed = gateway.expire_checkout(page)
	except GatewayError as error:
		if error.code == MISSING:
			return None
		outcome = Outcome.UNKNOWN if error.retryable else Outcome.ERROR
		return Answer(outcome, code=error.code, message=error.message, retry_after=error.retry_after)
	return gateway.retrieve(closed.intent) if closed.intent else None


def _plain(value):
	return str(value) if hasattr(value, "as_tuple") else value
