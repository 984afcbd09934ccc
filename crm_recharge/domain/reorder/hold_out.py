"""Who is not reminded, so that the effect of reminding can be measured.

The draw needs no memory: a hash of the customer's own random key decides, the same at every asking. A larger
share keeps everybody who was drawn under a smaller one.
"""

import hashlib

DIGITS = 8
"""Hexadecimal digits of the hash that count: a resolution of 2⁻³²."""
PREFIX = "hold-out:"


def drawn(key: str, share: float) -> bool:
	"""Whether the customer with this random, unchanging `key` belongs to the held-out `share` (0 to 1).

	Raises ValueError for a share outside 0 to 1.
	"""
	return number(key) < threshold(share)


def number(key: str) -> int:
	"""The customer's lot: even over 0 to 2³² - 1."""
	return int(hashlib.sha256(f"{PREFIX}{key}".encode()).hexdigest()[:DIGITS], 16)


def threshold(share: float) -> int:
	"""Lots below this are held out. Raises ValueError for a share outside 0 to 1."""
	if not 0 <= share <= 1:
		raise ValueError(f"The held-out share must be from 0 to 1, not {share}")
	return round(share * 16**DIGITS)
