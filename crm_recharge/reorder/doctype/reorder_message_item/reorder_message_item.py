from crm_recharge.doors.guard import Row


class ReorderMessageItem(Row):
	pass
