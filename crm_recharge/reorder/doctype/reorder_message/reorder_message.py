from crm_recharge.doors.guard import GuardedDocument


class ReorderMessage(GuardedDocument):
	pass
