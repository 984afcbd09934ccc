import frappe
from frappe import _

from crm_recharge.credits.errors import for_people
from crm_recharge.domain.money import parse_positive
from crm_recharge.doors.guard import GuardedDocument


class UsageCategory(GuardedDocument):
	@for_people
	def validate(self):
		# Finer than nine places it would be stored as another price, or as none.
		parse_positive(self.unit_price or 0, _("Unit Price"))

	def before_rename(self, *args, **kwargs):
		if frappe.db.exists("Credit Ledger", {"category": self.name}):
			frappe.throw(
				_(
					"Usage category {0} is named in the ledger, whose rows are never changed. Disable it and make a new one."
				).format(self.name),
				title=_("Category is in use"),
			)
