"""Reading money from MariaDB without losing digits.

`frappe.db` hands DECIMAL columns back as float. Everything that counts reads them as text, here.
"""

from decimal import Decimal

from frappe.utils import fmt_money

from crm_recharge.domain.money import ZERO, exponent, plain


def as_text(*columns: str, table: str = "") -> str:
	"""SQL that reads decimal `columns` as text, each under its own name."""
	prefix = f"`{table}`." if table else ""
	return ", ".join(f"CAST({prefix}`{column}` AS CHAR) AS `{column}`" for column in columns)


def exact(value) -> Decimal:
	"""A value read by `as_text`, or a number of a loaded document, as Decimal; None is zero."""
	if value is None or value == "":
		return ZERO
	return value if isinstance(value, Decimal) else Decimal(str(value))


def money(value, currency: str) -> str:
	"""An amount for people: with the currency's own decimals, and more where the amount has them."""
	text = plain(exact(value))
	decimals = max(exponent(currency), len(text.partition(".")[2]))
	return fmt_money(text, precision=decimals, currency=currency)
