"""What the management calls of the gateway raise."""

from crm_recharge.gateway.masking import mask


class GatewayError(Exception):
	"""Stripe refused a call, or could not be reached.

	`code` is Stripe's error code (or `connection_error`, `api_error`, `rate_limit`), `message` a text without
	secrets, `retryable` whether the same call may work later. With `retryable` the call may have taken
	effect: repeat it with the same key.
	"""

	def __init__(self, code: str, message: str, retryable: bool = False, retry_after: float | None = None):
		self.code = code
		self.message = mask(message or "")
		self.retryable = retryable
		self.retry_after = retry_after
		super().__init__(f"{code}: {self.message}")


class CustomerGone(GatewayError):
	"""Stripe has no such customer: deleted there, or made under keys of the other mode or of another Stripe account."""


class GatewayUnavailable(GatewayError):
	"""Stripe could not be asked, or did not answer: nothing is known."""

	def __init__(self, code: str, message: str, retry_after: float | None = None):
		super().__init__(code, message, retryable=True, retry_after=retry_after)
