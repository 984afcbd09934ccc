import frappe
from frappe import _

from crm_recharge.outbox.announced import AnnouncedDocument


class RechargeDispute(AnnouncedDocument):
	"""A payment the card holder's bank takes back, or asks or warns about. Named by the gateway's id."""

	STATE = ("status", "gateway_status", "amount", "withdrawn", "accounting_status")

	def refuse_by_hand(self):
		frappe.throw(_("Disputes come from the payment gateway."), frappe.PermissionError)

	def before_rename(self, *args, **kwargs):
		frappe.throw(_("A dispute cannot be renamed: its name is the gateway's."), frappe.PermissionError)

	def on_trash(self):
		frappe.throw(_("A dispute is kept."), frappe.PermissionError)


def on_doctype_update():
	frappe.db.add_index("Recharge Dispute", ["accounting_status", "accounting_next_try_at"])
