"""What people read of days, numbers and counts: in the site's format of dates and numbers, one as one."""

from frappe import _
from frappe.utils import format_date

from crm_recharge.credits.money import exact, style_for
from crm_recharge.domain.shown import written
from crm_recharge.domain.words import counted as in_words


def day(value) -> str:
	"""A day in the format that the user, or else the site, has dates in; empty for none."""
	return format_date(value) if value else ""


def number(value, places: int = 0) -> str:
	"""A number in the site's format, with at least `places` decimals and all it has."""
	return written(exact(value), places, style_for(None))


def rounded(value, places: int) -> str:
	"""A number in the site's format, rounded to `places` decimals."""
	return written(round(exact(value), places), places, style_for(None))


def counted(count, one: str, many: str) -> str:
	"""`one`, or `many` with the number in place of {0}, as `domain.words.counted`."""
	return in_words(count, one, many, number(count))


def days(count) -> str:
	"""So many days."""
	return counted(count, _("1 day"), _("{0} days"))


def unit(uom: str | None) -> str:
	"""A unit as people read it; none where it only says "pieces"."""
	return "" if not uom or uom in ("Nos", "Unit") else _(uom)


def seconds(count) -> str:
	"""So many seconds."""
	return counted(count, _("1 second"), _("{0} seconds"))


def items(count) -> str:
	"""So many items."""
	return counted(count, _("1 item"), _("{0} items"))


def customers(count) -> str:
	"""So many customers."""
	return counted(count, _("1 customer"), _("{0} customers"))
