from crm_recharge.doors.guard import Row


class UsageCategoryAccount(Row):
	pass
