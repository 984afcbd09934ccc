import re

import frappe
from frappe import _

from crm_recharge.doors.guard import GuardedDocument

BRANDS = {
	"amex": "American Express",
	"diners": "Diners Club",
	"jcb": "JCB",
	"unionpay": "UnionPay",
	"us_bank_account": "Bank Account",
}


class RechargeCard(GuardedDocument):
	"""A card saved at the gateway. There is no number in it, ever."""

	def refuse_by_hand(self):
		# Brand, digits and kind are the gateway's word: recharge/cards.py asks it, a form or a request cannot.
		frappe.throw(
			_("Cards are saved through the gateway's own form. Use Add Card in the auto-recharge setting."),
			frappe.PermissionError,
			title=_("Card not saved"),
		)

	def validate(self):
		brand = self.brand or self.kind or "card"
		self.card_label = f"{BRANDS.get(brand, brand.title())} •••• {self.last4 or '????'}"
		# An id has letters; what is digits alone, with or without blanks, may be a number of a card.
		if not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9_.:\-]{3,140}", self.payment_method or ""):
			frappe.throw(
				_("{0} is not the id of a saved payment method. Card numbers are never kept here.").format(
					_("Payment Method")
				),
				title=_("Not a payment method"),
			)

	def on_trash(self):
		used = frappe.db.get_value("Auto-Recharge Card", {"card": self.name}, "parent")
		if used:
			frappe.throw(
				_("Card •••• {0} is listed in {1}. Take it off that list first.").format(self.last4, used),
				frappe.LinkExistsError,
				title=_("Card in use"),
			)
		if frappe.db.exists("Recharge Attempt", {"card": self.name}):
			frappe.throw(
				_("Card •••• {0} has been charged; its record stays. Remove the card instead.").format(
					self.last4
				),
				frappe.LinkExistsError,
				title=_("Card has a history"),
			)
