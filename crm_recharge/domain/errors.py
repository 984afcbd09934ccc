"""What a rule refuses, by code. The rooms above turn a code into text for people."""


class RuleError(Exception):
	"""A request that a rule refuses; nothing has been changed.

	`code` is machine-readable, `http_status` the matching HTTP status, `figures` what the text needs.
	"""

	http_status = 422

	def __init__(self, code: str, **figures):
		self.code = code
		self.figures = figures
		super().__init__(f"{code}: {figures}" if figures else code)


class InvalidRequest(RuleError):
	"""The request itself is malformed: a missing key, a wrong number, an unknown field."""


class InsufficientCredits(RuleError):
	"""The account holds less than the charge asks for."""

	http_status = 402


class IdempotencyConflict(RuleError):
	"""The same idempotency key came with other content."""

	http_status = 409


class AccountClosed(RuleError):
	"""The account's status does not allow this movement."""

	http_status = 403
