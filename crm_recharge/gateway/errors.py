"""What the calls of a gateway that move no money raise, and what a delivery to the webhook is refused for."""

from crm_recharge.gateway.masking import mask


class GatewayError(Exception):
	"""The gateway refused a call, or could not be reached.

	`code` is the gateway's error code (or `connection_error`, `api_error`, `rate_limit`), `message` a text without
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
	"""The gateway has no such customer: deleted there, or made under keys of the other mode or of another account."""


class GatewayUnavailable(GatewayError):
	"""The gateway could not be asked, or did not answer: nothing is known."""

	def __init__(self, code: str, message: str, retry_after: float | None = None):
		super().__init__(code, message, retryable=True, retry_after=retry_after)


class WebhookError(Exception):
	"""A delivery that is not accepted. `code` is a word for logs, the text is for people."""

	code = "invalid_webhook"


class MissingSignature(WebhookError):
	"""There is no usable signature."""

	code = "missing_signature"


class WrongSignature(WebhookError):
	"""No signature matches: another secret, or the body was changed on its way."""

	code = "wrong_signature"


class OutsideTolerance(WebhookError):
	"""Signed too long ago (perhaps replayed), or ahead of this machine's clock."""

	code = "outside_tolerance"


class UnreadablePayload(WebhookError):
	"""Properly signed, but no event of the gateway."""

	code = "unreadable_payload"
