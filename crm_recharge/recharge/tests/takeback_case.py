"""What tests of refunds and disputes share: paid recharges, webhooks delivered, what is told."""

import email
import email.policy
import itertools
import threading
import time
from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge.credits.money import exact
from crm_recharge.gateway import inbox
from crm_recharge.gateway.stripe.events import translate
from crm_recharge.recharge import by_hand, events, refunds
from crm_recharge.recharge.performer import Performer
from crm_recharge.tests.case import GOOD, RechargeCase


class TakebackCase(RechargeCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.owner, cls.manager = cls.user("Credit User"), cls.user("Credit Manager")
		# An outgoing e-mail account, by this process' configuration alone.
		for key, value in (("mail_server", "localhost"), ("auto_email_id", "credits@test.example")):
			cls.conf_before[key] = frappe.local.conf.get(key)
			frappe.local.conf[key] = value
		frappe.local.outgoing_email_account = {}
		cls.addClassCleanup(setattr, frappe.local, "outgoing_email_account", {})

	@classmethod
	def user(cls, role: str) -> str:
		"""A user with this role alone; the same one again, for Frappe throttles new ones."""
		email = f"takeback-{role.lower().replace(' ', '-')}@example.com"
		if not frappe.db.exists("User", email):
			doc = frappe.get_doc(
				{"doctype": "User", "email": email, "first_name": role, "send_welcome_email": 0}
			)
			doc.insert(ignore_permissions=True).add_roles(role)
			frappe.db.commit()
		return email

	def paid(
		self, amount="100", number: str = GOOD, account: str | None = None, **setting
	) -> tuple[str, str]:
		"""An account (with auto-recharge switched on at 20, balance from this payment alone) and a paid recharge."""
		account = account or self.account_with(
			number, balance=0, enabled=False, **{"falls_below": 20, "recharge_up_to": 120} | setting
		)
		frappe.db.set_value("Credit Account", account, "account_owner", self.owner)
		recharge = by_hand.start(account, amount, frappe.generate_hash(length=12))["recharge"]
		frappe.db.commit()
		self.assertEqual(self.work(recharge), "Succeeded")
		return account, recharge

	def switch_on(self, account: str) -> None:
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		setting.enabled = 1
		setting.save()
		frappe.db.commit()

	def refund(self, recharge: str, amount=None, key: str | None = None) -> str:
		answer = refunds.request(recharge, key or frappe.generate_hash(length=12), amount, "test")
		return answer["refund"]

	def intent(self, recharge: str) -> str:
		return self.value("Recharge", recharge, "settled_intent")

	def row(self, doctype: str, name: str):
		frappe.db.rollback()
		return frappe.db.get_value(doctype, name, "*", as_dict=True)

	def balance(self, account: str) -> Decimal:
		frappe.db.rollback()
		return exact(
			frappe.db.sql(
				"SELECT CAST(`balance` AS CHAR) FROM `tabCredit Account` WHERE `name` = %s", account
			)[0][0]
		)

	def lot(self, recharge: str) -> tuple[Decimal, Decimal]:
		"""What remains of the payment's lot, and what was taken back of it."""
		frappe.db.rollback()
		return tuple(
			map(
				exact,
				frappe.db.sql(
					"SELECT CAST(`remaining` AS CHAR), CAST(`returned` AS CHAR) FROM `tabCredit Lot` WHERE `recharge` = %s",
					recharge,
				)[0],
			)
		)

	def rows_of(self, account: str) -> list[tuple[str, Decimal]]:
		"""The account's ledger, in order: type and amount."""
		frappe.db.rollback()
		rows = frappe.db.sql(
			"SELECT `entry_type`, CAST(`amount` AS CHAR) FROM `tabCredit Ledger` WHERE `credit_account` = %s"
			" ORDER BY `sequence`",
			account,
		)
		return [(kind, exact(amount)) for kind, amount in rows]

	def told(self, doctype: str, name: str) -> list[tuple[str, str]]:
		"""Mails about a refund or a dispute, by subject: (recipient, subject)."""
		frappe.db.rollback()
		mails = frappe.get_all(
			"Email Queue", {"reference_doctype": doctype, "reference_name": name}, ["name", "message"]
		)
		return sorted(
			(recipient, str(email.message_from_string(mail.message, policy=email.policy.default)["Subject"]))
			for mail in mails
			for recipient in frappe.get_all("Email Queue Recipient", {"parent": mail.name}, pluck="recipient")
		)

	def subjects(self, doctype: str, name: str, recipient: str) -> set[str]:
		return {subject for address, subject in self.told(doctype, name) if address == recipient}

	def deliver(self, kind: str, obj: dict) -> str:
		"""A webhook of Stripe's about `obj`, received and worked on. Returns its outcome."""
		name = f"evt_{frappe.generate_hash(length=16)}"
		event = {
			"id": name,
			"object": "event",
			"type": kind,
			"created": int(time.time()),
			"livemode": False,
			"data": {"object": obj},
		}
		inbox.keep("Stripe", translate(event))
		frappe.db.commit()
		events.process(name)
		row = self.row("Gateway Event", name)
		self.assertIn(row.status, ("Processed", "Ignored"), row.error)
		return row.outcome

	def open_recharges(self, account: str) -> list[str]:
		frappe.db.rollback()
		return frappe.get_all(
			"Recharge", {"credit_account": account, "status": ["in", ["Queued", "Charging"]]}, pluck="name"
		)

	def at_once(self, number: int, act) -> list:
		site, conf, answers, errors = frappe.local.site, dict(frappe.local.conf), [], []
		ready = threading.Barrier(number)

		def work(n):
			frappe.init(site=site, sites_path=".")
			try:
				frappe.connect()
				frappe.local.conf.update(conf)
				frappe.set_user("Administrator")
				ready.wait(20)
				answers.append(act(n))
				frappe.db.commit()
			except Exception as error:
				errors.append(error)
			finally:
				frappe.destroy()

		threads = [threading.Thread(target=work, args=(n,)) for n in range(number)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join(60)
		self.assertEqual(errors, [])
		return answers

	def dies_at(self, number: int, act) -> bool:
		"""Run `act`, and die before its `number`-th effect; whether it came that far."""
		count, do = itertools.count(), Performer.do

		def dying(performer, effect):
			if next(count) == number:
				raise SystemExit
			return do(performer, effect)

		with patch.object(Performer, "do", dying):
			try:
				act()
			except SystemExit:
				frappe.db.rollback()
				return True
		return False
