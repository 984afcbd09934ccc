"""Reading money from MariaDB, and showing it to people, without losing digits.

`frappe.db` hands DECIMAL columns back as float. Everything that counts reads them as text, here.
"""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import cint

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
	number = exact(value)
	text = written(number, exponent(currency) if currency else 2, style_for(currency))
	if not currency or frappe.db.get_default("hide_currency_symbol") == "Yes":
		return text
	symbol = _(frappe.db.get_value("Currency", currency, "symbol", cache=True) or currency)
	on_right = frappe.db.get_value("Currency", currency, "symbol_on_right", cache=True)
	return f"{text} {symbol}" if on_right else f"{symbol} {text}"


def in_coins(value, currency: str | None) -> Decimal:
	"""A sum rounded to the currency's own decimals, for where it is shown at a glance."""
	return round(exact(value), exponent(currency) if currency else 2)


def crm_recharge_money(value, currency: str | None = None) -> str:
	"""`money` for Jinja: print formats and Email Templates call it by this name."""
	return money(value, currency)


def style_for(currency: str | None) -> Style:
	"""How amounts in `currency` are written on this site."""
	own = None
	if currency and cint(frappe.db.get_default("use_number_format_from_currency")):
		own = frappe.db.get_value("Currency", currency, "number_format", cache=True)
	return style_of(own or frappe.db.get_default("number_format") or "#,###.##")
