import frappe
from frappe.utils import now_datetime

from crm_recharge.doors.guard import GuardedDocument


class GatewayDifference(GuardedDocument):
	"""What the gateway and this site disagree on. A person says what was done about it, and nothing else."""

	def validate(self):
		if self.flags.by_machine or not self.has_value_changed("status"):
			return
		resolved = self.status == "Resolved"
		self.resolved_at = now_datetime() if resolved else None
		self.resolved_by = frappe.session.user if resolved else None
