from crm_recharge.doors.guard import GuardedDocument


class CreditTeam(GuardedDocument):
	"""A part of an account: its usage is told apart from that of the others."""
