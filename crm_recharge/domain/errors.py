"""What a rule refuses, by code. The rooms above turn a code into text for people."""

import json
from typing import Any

SHOWN = 50
"""Characters of a bad value that its refusal repeats."""


class RuleError(Exception):
	"""A request that a rule refuses; nothing has been changed.

	`code` is machine-readable, `figures` what the text needs.
	"""

	def __init__(self, code: str, **figures: Any) -> None:
		self.code = code
		self.figures = figures
		super().__init__(f"{code}: {figures}" if figures else code)


class InvalidRequest(RuleError):
	"""The request itself is malformed: a missing key, a wrong number, an unknown field."""


class InsufficientCredits(RuleError):
	"""The account holds less than the charge asks for."""


class IdempotencyConflict(RuleError):
	"""The same idempotency key came with other content."""


class Outdated(RuleError):
	"""What the request was made on has changed meanwhile, or was not told to who made it."""


class AccountClosed(RuleError):
	"""The account's status does not allow this movement."""


def shown(value: Any) -> str:
	"""A value as a refusal may repeat it: at most `SHOWN` characters, readable whatever it is."""
	text = value if isinstance(value, str) else _written(value)
	text = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
	text = text.encode("utf-8", "replace").decode()
	return "".join(sign if sign.isprintable() else "?" for sign in text)


def _written(value: Any) -> str:
	if isinstance(value, list | dict):
		return "[…]" if isinstance(value, list) else "{…}"
	# Python refuses to write a whole number of thousands of digits.
	if isinstance(value, int) and abs(value) >= 10**SHOWN:
		return "…"
	return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
