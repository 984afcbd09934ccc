"""Keep secrets out of logs, error messages and stored text."""

import re

_SECRETS = (
	# API keys (secret, restricted, publishable) and webhook signing secrets
	(re.compile(r"\b((?:sk|rk|pk)_(?:test|live)_|whsec_)[A-Za-z0-9+/=_-]{3,}"), r"\1***"),
	# keys without a mode, as stand-ins use them
	(re.compile(r"\b((?:sk|rk)_)(?!test_|live_)[A-Za-z0-9+/=_-]{3,}"), r"\1***"),
	# client secrets let a browser confirm a payment: pi_123_secret_456
	(re.compile(r"\b((?:pi|seti|cs|ek)_[A-Za-z0-9_]*?_secret_)[A-Za-z0-9%_-]+"), r"\1***"),
	(re.compile(r"(?i)\b(authorization\s*[:=]\s*(?:bearer|basic)\s+)\S+"), r"\1***"),
	# an id's digits belong to a longer word and are left alone
	(re.compile(r"(?<![A-Za-z0-9_.])(\d(?:[ -]?\d){8,14})([ -]?\d){4}(?![A-Za-z0-9_])"), None),
)
# What any of them begins with: most texts have nothing of it, and are looked through once only.
_WORTH_A_LOOK = re.compile(r"(?i)[srp]k_|whsec_|_secret_|authorization|\d(?:[ -]?\d){12}")


def _hide_number(match: re.Match) -> str:
	digits = re.sub(r"\D", "", match.group(0))
	return "*" * (len(digits) - 4) + digits[-4:] if 13 <= len(digits) <= 19 else match.group(0)


def mask(text) -> str:
	"""`text` with API keys, signing and client secrets and card numbers blotted out.

	Card numbers are runs of 13 to 19 digits, also with spaces or dashes between; their last four stay.
	Anything but a string is turned into one first.
	"""
	result = text if isinstance(text, str) else str(text)
	if not _WORTH_A_LOOK.search(result):
		return result
	for pattern, replacement in _SECRETS:
		result = pattern.sub(replacement or _hide_number, result)
	return result
