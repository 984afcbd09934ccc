import frappe
from frappe import _
from frappe.model.document import Document


class UsageCategory(Document):
	def validate(self):
		if not self.unit_price or self.unit_price <= 0:
			frappe.throw(_("Unit price must be above zero."), title=_("Unit price missing"))
		companies = [row.company for row in self.accounts]
		for row in self.accounts:
			if companies.count(row.company) > 1:
				frappe.throw(
					_("Row {0}: {1} is listed twice. Keep one row a company.").format(row.idx, row.company),
					title=_("Company twice"),
				)
