"""Everything that moves credits, from many processes at once over the same accounts."""

import random
import traceback
from collections import Counter
from datetime import timedelta

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits import expiry, ledger, proof, usage
from crm_recharge.domain import payment
from crm_recharge.recharge import audit, by_hand, disputes, refunds, worker
from crm_recharge.tests.support.stripe_stand_in import StandIn


class Traffic:
	"""One process' part: `run(rounds)` does each of `ACTS` once a round, each on an account drawn from `accounts`."""

	def __init__(self, accounts: list[str], seed: int, gateway: str):
		self.accounts, self.draw, self.gateway = accounts, random.Random(seed), StandIn.at(gateway)
		self.done, self.refused, self.errors = Counter(), Counter(), []

	def run(self, rounds: int) -> dict:
		"""What was done, what the rules refused, and every error that came out of it otherwise."""
		for _ in range(rounds):
			acts = list(ACTS)
			self.draw.shuffle(acts)
			for act in acts:
				self.do(act, self.draw.choice(self.accounts))
		return {"done": self.done, "refused": self.refused, "errors": self.errors}

	def do(self, act, account: str):
		name = act.__name__
		try:
			act(self, account)
			frappe.db.commit()
			self.done[name] += 1
		except (frappe.DuplicateEntryError, frappe.UniqueValidationError):
			self.failed(name, account)
		except frappe.ValidationError as error:
			frappe.db.rollback()
			self.refused[name, type(error).__name__] += 1
		except Exception:
			self.failed(name, account)
		frappe.clear_messages()

	def failed(self, name: str, account: str):
		self.errors.append(f"{name} on {account}: {traceback.format_exc()}")
		frappe.db.rollback()

	def key(self) -> str:
		return frappe.generate_hash(length=16)

	# -- acts ----------------------------------------------------------------------------------------------

	def charge(self, account: str):
		usage.charge(account, {"amount": self.draw.choice(("0.5", "7", "90")), "idempotency_key": self.key()})

	def charge_in_a_batch(self, account: str):
		usage.charge_many(account, [{"amount": "0.25", "idempotency_key": self.key()} for _ in range(20)])

	def repeat_a_charge(self, account: str):
		raw = {"amount": "1", "idempotency_key": self.key()}
		usage.charge(account, raw)
		frappe.db.commit()
		if not usage.charge(account, raw)["repeated"]:
			raise AssertionError("charged twice under one key")

	def grant(self, account: str):
		ledger.grant(account, 40, self.key(), note="traffic")

	def grant_for_a_second(self, account: str):
		ledger.grant(account, 5, self.key(), expires_at=now_datetime() + timedelta(seconds=1), priority=1)

	def adjust(self, account: str):
		ledger.adjust(account, self.draw.choice((-3, 3)), self.key(), note="traffic")

	def reverse(self, account: str):
		entries = frappe.get_all(
			"Credit Ledger", {"credit_account": account, "entry_type": "Usage"}, pluck="name", limit=20
		)
		frappe.db.rollback()
		if entries:
			ledger.reverse(self.draw.choice(entries), note="traffic")

	def recharge_by_hand(self, account: str):
		by_hand.start(account, self.draw.choice((25, 60)), self.key())

	def carry_out(self, account: str):
		for recharge in self.waiting(account):
			worker.carry_out(recharge)

	def refund(self, account: str):
		paid = self.paid(account)
		if paid:
			asked = refunds.request(self.draw.choice(paid), self.key(), amount="5", reason="traffic")
			frappe.db.commit()
			refunds.carry_out(asked["refund"])

	def refund_at_the_gateway(self, account: str):
		paid = self.paid(account)
		if paid:
			intent = frappe.db.get_value("Recharge", self.draw.choice(paid), "settled_intent")
			frappe.db.rollback()
			try:
				self.gateway.control("refund", intent=intent, amount=300)
			except RuntimeError:
				return  # there is no more to refund
			refunds.follow(intent)

	def carry_out_refunds(self, account: str):
		for refund in self.latest("Recharge Refund", account):
			refunds.carry_out(refund)

	def dispute_and_win(self, account: str):
		"""On every fourth account: its auto-recharge stays held afterwards."""
		account = self.accounts[self.accounts.index(account) // 4 * 4]
		paid = self.paid(account)
		if not paid:
			return
		intent = frappe.db.get_value("Recharge", self.draw.choice(paid), "settled_intent")
		frappe.db.rollback()
		try:
			dispute = self.gateway.control("dispute", intent=intent)["id"]
		except RuntimeError:
			return  # it is disputed already, or refunded whole
		disputes.follow(dispute)
		self.gateway.control("close_dispute", dispute=dispute, won=True)
		disputes.follow(dispute)

	def follow_disputes(self, account: str):
		for dispute in self.latest("Recharge Dispute", account):
			disputes.follow(dispute)

	def save_setting(self, account: str):
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		setting.recharge_up_to = self.draw.choice((300, 400, 500))
		setting.save()

	def save_account(self, account: str):
		doc = frappe.get_doc("Credit Account", account)
		doc.alert_recipients = f"{self.key()}@test.example"
		doc.save()

	def expire(self, account: str):
		for due in expiry.due():
			expiry.post(due)

	def verify(self, account: str):
		found = proof.verify(account)
		if not found["holds"]:
			raise AssertionError(str(found["breaks"]))

	def checkpoint(self, account: str):
		proof.make_checkpoint(account)

	def audit(self, account: str):
		frappe.db.rollback()
		for rule, query in audit.RULES.items():
			wrong = [what for of, what in frappe.db.sql(query) if of in self.accounts]
			if wrong:
				raise AssertionError(f"{rule}: {wrong}")

	def latest(self, doctype: str, account: str) -> list[str]:
		return frappe.get_all(
			doctype, {"credit_account": account}, pluck="name", order_by="creation desc", limit=5
		)

	def waiting(self, account: str) -> list[str]:
		frappe.db.rollback()
		return frappe.get_all(
			"Recharge", {"credit_account": account, "status": ["in", payment.WORKABLE]}, pluck="name"
		)

	def paid(self, account: str) -> list[str]:
		frappe.db.rollback()
		return frappe.get_all(
			"Recharge", {"credit_account": account, "settled_intent": ["is", "set"]}, pluck="name"
		)


ACTS = (
	Traffic.charge,
	Traffic.charge,
	Traffic.charge_in_a_batch,
	Traffic.repeat_a_charge,
	Traffic.grant,
	Traffic.grant_for_a_second,
	Traffic.adjust,
	Traffic.reverse,
	Traffic.recharge_by_hand,
	Traffic.carry_out,
	Traffic.refund,
	Traffic.refund_at_the_gateway,
	Traffic.carry_out_refunds,
	Traffic.dispute_and_win,
	Traffic.follow_disputes,
	Traffic.save_setting,
	Traffic.save_account,
	Traffic.expire,
	Traffic.verify,
	Traffic.checkpoint,
	Traffic.audit,
)


def run(accounts: list[str], seed: int, gateway: str, rounds: int) -> dict:
	"""In a child: see Traffic."""
	return Traffic(accounts, seed, gateway).run(rounds)
