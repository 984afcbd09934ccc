"""Reading money from MariaDB without losing digits; showing it to people, and reading what they type.

`frappe.db` hands DECIMAL columns back as float. Everything that counts reads them as text, here.
"""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import cint

from crm_recharge.domain import amounts
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import ZERO, exponent
from crm_recharge.domain.shown import Style, style_of, written


def as_text(*columns: str, table: str = "") -> str:
	"""SQL that reads decimal `columns` as text, each under its own name."""
	prefix = f"`{table}`." if table else ""
	return ", ".join(f"CAST({prefix}`{column}` AS CHAR) AS `{column}`" for column in columns)


def exact(value) -> Decimal:
	"""A value read by `as_text`, or a number of a loaded document, as Decimal; None is zero."""
	if value is None or value == "":
		return ZERO
	return value if isinstance(value, Decimal) else Decimal(str(value))


def money(value, currency: str | None) -> str:
	"""An amount for people, wherever they read it: with the currency's own decimals, and more where the amount has
	them, in the site's number format. Unlike Frappe's, it cuts nothing off where that format has no decimals."""
	text = number(value, currency)
	sign, on_right = sign_of(currency)
	if not sign:
		return text
	return f"{text} {sign}" if on_right else f"{sign} {text}"


def number(value, currency: str | None) -> str:
	"""As `money`, without the currency's sign: what stands in a field."""
	return written(exact(value), exponent(currency) if currency else 2, style_for(currency))


def sign_of(currency: str | None) -> tuple[str, bool]:
	"""The sign of `currency`, none where the site shows none, and whether it stands on the right."""
	if not currency or frappe.db.get_default("hide_currency_symbol") == "Yes":
		return "", False
	row = frappe.db.get_value("Currency", currency, ["symbol", "symbol_on_right"], as_dict=True, cache=True)
	return _((row and row.symbol) or currency), bool(row and row.symbol_on_right)


def typed(text, currency: str, what: str) -> Decimal:
	"""The amount of `currency` that a person typed for `what`, exact; a number is taken as it is.

	Raises domain.errors.InvalidRequest, see `domain.amounts.read`.
	"""
	signs = (sign_of(currency)[0], currency)
	try:
		return amounts.read(text, style_for(currency), exponent(currency), what, signs)
	except InvalidRequest as refused:
		refused.figures["currency"] = currency
		raise


def in_coins(value, currency: str | None) -> Decimal:
	"""A sum rounded to the currency's own decimals, for where it is shown at a glance."""
	return round(exact(value), exponent(currency) if currency else 2)


def crm_recharge_money(value, currency: str | None = None) -> str:
	"""`money` for Jinja: print formats and Email Templates call it by this name."""
	return money(value, currency)


def style_for(currency: str | None) -> Style:
	"""How amounts in `currency` are written for this user."""
	return style_of(number_format(currency))


def number_format(currency: str | None) -> str:
	"""The number format of amounts in `currency`, as this user sees them."""
	own = None
	if currency and cint(frappe.db.get_default("use_number_format_from_currency")):
		own = frappe.db.get_value("Currency", currency, "number_format", cache=True)
	return own or frappe.defaults.get_user_default("number_format") or "#,###.##"
