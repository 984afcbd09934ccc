"""What differs from currency to currency: the only table of it.

Decimals by ISO 4217; what a card can be charged as card gateways publish it.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Currency:
	"""How one currency is counted."""

	places: int
	"""Decimals by ISO 4217."""
	charged: int
	"""Decimals a card payment may have. Of three, the card networks take two."""
	sent: int
	"""Decimals of the whole number that stands for an amount at a card gateway: with 2, 5 is sent as 500."""
	least: Decimal | None
	"""The smallest card payment; None where none is published."""
	digits: int
	"""The most digits that whole number may have."""


def _currency(
	places: int = 2,
	charged: int | None = None,
	sent: int | None = None,
	least: str | None = None,
	digits: int = 8,
) -> Currency:
	return Currency(
		places,
		min(places, 2) if charged is None else charged,
		places if sent is None else sent,
		Decimal(least) if least else None,
		digits,
	)


USUAL = _currency()
"""A currency that the table does not name: hundredths, and no least payment known."""

# The ariary's fifths are charged by nobody; króna and shilling have no hundredths any more, and are sent in them.
TABLE = {
	"AED": _currency(least="2.00"),
	"AUD": _currency(least="0.50"),
	"BGN": _currency(least="1.00"),
	"BHD": _currency(places=3),
	"BIF": _currency(places=0),
	"BRL": _currency(least="0.50"),
	"CAD": _currency(least="0.50"),
	"CHF": _currency(least="0.50"),
	"CLP": _currency(places=0),
	"COP": _currency(digits=10),
	"CZK": _currency(least="15.00"),
	"DJF": _currency(places=0),
	"DKK": _currency(least="2.50"),
	"EUR": _currency(least="0.50"),
	"GBP": _currency(least="0.30"),
	"GNF": _currency(places=0),
	"HKD": _currency(least="4.00"),
	"HUF": _currency(least="175.00", digits=10),
	"IDR": _currency(digits=12),
	"INR": _currency(least="0.50", digits=9),
	"IQD": _currency(places=3),
	"ISK": _currency(places=0, sent=2),
	"JOD": _currency(places=3),
	"JPY": _currency(places=0, least="50", digits=10),
	"KMF": _currency(places=0),
	"KRW": _currency(places=0),
	"KWD": _currency(places=3),
	"LBP": _currency(digits=11),
	"LYD": _currency(places=3),
	"MGA": _currency(charged=0, sent=0),
	"MXN": _currency(least="10"),
	"MYR": _currency(least="2"),
	"NOK": _currency(least="3.00"),
	"NZD": _currency(least="0.50"),
	"OMR": _currency(places=3),
	"PLN": _currency(least="2.00"),
	"PYG": _currency(places=0),
	"RON": _currency(least="2.00"),
	"RWF": _currency(places=0),
	"SEK": _currency(least="3.00"),
	"SGD": _currency(least="0.50"),
	"THB": _currency(least="10"),
	"TND": _currency(places=3),
	"UGX": _currency(places=0, sent=2),
	"USD": _currency(least="0.50"),
	"UYI": _currency(places=0),
	"VND": _currency(places=0),
	"VUV": _currency(places=0),
	"XAF": _currency(places=0),
	"XOF": _currency(places=0),
	"XPF": _currency(places=0),
}


def of(currency: str) -> Currency:
	"""How `currency` (ISO 4217 code) is counted."""
	return TABLE.get(currency.upper(), USUAL)
