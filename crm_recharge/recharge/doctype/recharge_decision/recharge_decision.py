from crm_recharge.doors.guard import GuardedDocument


class RechargeDecision(GuardedDocument):
	pass
