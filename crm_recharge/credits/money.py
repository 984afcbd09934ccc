"""Reading money from MariaDB without losing digits.

`frappe.db` hands DECIMAL columns back as float. Everything that counts reads them as text, here.
"""

from decimal import Decimal

from crm_recharge.domain.money import ZERO


def as_text(*columns: str, table: str = "") -> str:
	"""SQL that reads decimal `columns` as text, each under its own name."""
	prefix = f"`{table}`." if table else ""
	return ", ".join(f"CAST({prefix}`{column}` AS CHAR) AS `{column}`" for column in columns)


def exact(value) -> Decimal:
	"""A value read by `as_text`, or a number of a loaded document, as Decimal; None is zero."""
	if value is None or value == "":
		return ZERO
	return value if isinstance(value, Decimal) else Decimal(str(value))
