from crm_recharge.doors.guard import GuardedDocument


class ReorderCustomer(GuardedDocument):
	pass
