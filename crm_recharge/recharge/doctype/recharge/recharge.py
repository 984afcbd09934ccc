import frappe
from frappe import _

from crm_recharge.clock import now_datetime
from crm_recharge.credits.errors import InvalidRequestError, for_people, messages, refuse
from crm_recharge.credits.money import exact
from crm_recharge.credits.store import lock_row
from crm_recharge.domain import payment
from crm_recharge.domain.errors import AccountClosed, InvalidRequest
from crm_recharge.domain.money import parse_positive, plain
from crm_recharge.domain.threshold import cap_figures, check_payment
from crm_recharge.outbox.announced import AnnouncedDocument
from crm_recharge.outbox.queue import enqueue_after_commit
from crm_recharge.recharge.caps import account_caps
from crm_recharge.recharge.decisions import cap_label, frees
from crm_recharge.recharge.limits import payment_limits


class Recharge(AnnouncedDocument):
	"""One top-up, by hand or automatic. Submitted means authorised; the worker does the rest."""

	STATE = ("status", "docstatus", "refunded_amount", "accounting_status")

	def own_name(self):
		# By chance, not by series: a series' row would be locked until the charge that started it commits,
		# and a copy of this site must never meet this one's idempotency keys at the gateway.
		return None if self.amended_from else "RC-" + frappe.generate_hash(length=12).upper()

	@for_people
	def validate(self):
		account = frappe.db.get_value(
			"Credit Account", self.credit_account, ["currency", "company", "customer", "status"], as_dict=True
		)
		if not account:
			raise InvalidRequest("unknown_account", account=self.credit_account)
		parse_positive(self.amount or 0, self.meta.get_label("amount"))
		self.currency, self.company, self.customer = account.currency, account.company, account.customer
		self.requested_by = self.requested_by or frappe.session.user
		check_payment(exact(self.amount), self.currency, payment_limits(self.currency))
		if account.status == "Disabled":
			raise AccountClosed("account_disabled", account=self.credit_account, status=account.status)
		if self.card:
			self.check_card()

	def check_if_latest(self):
		# The account's row before this one, as the worker locks them.
		if not self.is_new() and not self.flags.account_row:
			lock_row(self.credit_account)
		super().check_if_latest()

	def check_card(self):
		card = frappe.db.get_value(
			"Recharge Card", self.card, ["credit_account", "status", "last4"], as_dict=True
		)
		if not card:
			raise InvalidRequest("unknown_card", card=self.card)
		if card.credit_account != self.credit_account:
			raise InvalidRequest("card_of_another_account", card=self.card, account=self.credit_account)
		if card.status != "Active":
			raise InvalidRequest("card_not_usable", card=self.card, last4=card.last4, status=_(card.status))

	@for_people
	def before_submit(self):
		account = self.flags.account_row or self.lock_account()
		if account.open_recharge:
			refuse(
				InvalidRequestError,
				"recharge_open",
				messages()["recharge_open"].format(recharge=account.open_recharge),
				{"recharge": account.open_recharge},
			)
		if not self.card and not frappe.db.exists(
			"Auto-Recharge Card",
			{"parenttype": "Auto-Recharge Setting", "parent": f"ARS-{self.credit_account}"},
		):
			refuse(
				InvalidRequestError,
				"no_card",
				messages()["no_card"].format(account=self.credit_account),
				{"account": self.credit_account},
			)
		if not self.flags.account_row:
			self.check_caps(account)
		self.status = payment.QUEUED

	def check_caps(self, account):
		"""The account's own limits hold for recharges by hand too; an automatic one has been checked."""
		for cap in account_caps(account):
			if not cap.leaves_room(exact(self.amount)):
				figures = cap_figures(cap) | {"amount": plain(exact(self.amount)), "currency": self.currency}
				figures |= {"cap": cap_label(cap.name), "frees": frees(figures.get("frees_at"))}
				raise InvalidRequest("payment_capped", **figures)

	def on_submit(self):
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `open_recharge` = %s WHERE `name` = %s",
			(self.name, self.credit_account),
		)
		enqueue_after_commit("carry_out", self.name)

	@for_people
	def before_cancel(self):
		self.lock_account()
		self.status = frappe.db.get_value("Recharge", self.name, "status", for_update=True)
		if not self.may_cancel():
			raise InvalidRequest("cannot_cancel", recharge=self.name, status=_(self.status))

	def may_cancel(self) -> bool:
		"""Whether its status allows it to be cancelled: no card has been asked, or the asking has ended."""
		if self.status == payment.QUEUED:
			return not frappe.db.exists("Recharge Attempt", {"recharge": self.name})
		return self.status in (payment.ACTION_REQUIRED, payment.FAILED)

	def on_cancel(self):
		# What its card holder could still confirm is closed next; the sweeper finds it, too.
		now = now_datetime()
		self.db_set({"status": payment.CANCELLED, "ended_at": now, "next_try_at": now})
		enqueue_after_commit("close_up", self.name)
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `open_recharge` = NULL WHERE `name` = %s AND `open_recharge` = %s",
			(self.credit_account, self.name),
		)

	def lock_account(self):
		return frappe.db.sql(
			"SELECT `name`, `open_recharge`, `time_zone`, CAST(`cap_amount_day` AS CHAR) AS `cap_amount_day`,"
			" CAST(`cap_amount_month` AS CHAR) AS `cap_amount_month` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE",
			self.credit_account,
			as_dict=True,
		)[0]

	def on_trash(self):
		if self.settled_intent or frappe.db.exists("Recharge Attempt", {"recharge": self.name}):
			frappe.throw(_("A recharge that has asked a card is kept."), frappe.PermissionError)


def on_doctype_update():
	frappe.db.add_index("Recharge", ["status", "next_try_at"])
	frappe.db.add_index("Recharge", ["credit_account", "creation"])
