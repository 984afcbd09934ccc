import frappe
from frappe import _

from crm_recharge.clock import now_datetime
from crm_recharge.domain.payment import DOES_NOT_FIT, HELD
from crm_recharge.doors.guard import GuardedDocument


class GatewayDifference(GuardedDocument):
	"""What the gateway and this site disagree on. A person says what was done about it, and nothing else."""

	def validate(self):
		if self.flags.by_machine or not self.has_value_changed("status"):
			return
		resolved = self.status == "Resolved"
		if resolved and self.waits_for_a_decision():
			frappe.throw(
				_(
					"Recharge {0} is held because of this payment. Choose Credit, Refund or Dismiss above: that resolves it, and the recharge with it."
				).format(frappe.bold(self.recharge)),
				title=_("Decide First"),
			)
		self.resolved_at = now_datetime() if resolved else None
		self.resolved_by = frappe.session.user if resolved else None

	def waits_for_a_decision(self) -> bool:
		"""Whether a recharge stays blocked until somebody has decided about the payment."""
		held = self.kind == DOES_NOT_FIT and self.recharge
		return bool(held) and frappe.db.get_value("Recharge", self.recharge, "status") == HELD
