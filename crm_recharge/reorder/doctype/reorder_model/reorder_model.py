from crm_recharge.doors.guard import GuardedDocument


class ReorderModel(GuardedDocument):
	pass
