from crm_recharge.doors.guard import GuardedDocument


class CreditTeam(GuardedDocument):
	"""A budget inside an account: who used how much, at most how much a month."""
