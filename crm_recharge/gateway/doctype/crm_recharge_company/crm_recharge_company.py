from crm_recharge.doors.guard import Row


class CRMRechargeCompany(Row):
	pass
