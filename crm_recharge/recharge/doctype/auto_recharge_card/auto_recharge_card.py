from crm_recharge.doors.guard import Row


class AutoRechargeCard(Row):
	pass
