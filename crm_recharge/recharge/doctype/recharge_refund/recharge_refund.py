import frappe
from frappe import _

from crm_recharge.outbox.announced import AnnouncedDocument


class RechargeRefund(AnnouncedDocument):
	"""Money sent back for a recharge, or for a capture that bought nothing. Its name is the gateway's key."""

	STATE = ("status", "accounting_status")

	def refuse_by_hand(self):
		frappe.throw(
			_("A refund is asked for on the recharge: open it and choose Refund."), frappe.PermissionError
		)

	def before_rename(self, *args, **kwargs):
		frappe.throw(
			_("A refund cannot be renamed: its name is the key at the gateway."), frappe.PermissionError
		)

	def on_trash(self):
		frappe.throw(_("A refund is kept."), frappe.PermissionError)


def on_doctype_update():
	frappe.db.add_index("Recharge Refund", ["status", "next_ask_at"])
	frappe.db.add_index("Recharge Refund", ["accounting_status", "accounting_next_try_at"])
