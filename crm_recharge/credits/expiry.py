"""Posting what is left of lots past their expiry."""

from datetime import date, datetime

import frappe

from crm_recharge import clock, transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.store import BookStore
from crm_recharge.domain import moments
from crm_recharge.domain.errors import InvalidRequest


def due() -> list[str]:
	"""Accounts with a lot past its expiry. One that is used posts its own first (BookStore); these are not."""
	return frappe.db.sql(
		"SELECT DISTINCT `credit_account` FROM `tabCredit Lot` WHERE `remaining` > 0 AND `expires_at` <= %s",
		clock.latest(clock.now()),
		pluck=True,
	)


@retry_on_contention
def post(account: str) -> None:
	"""Post the expiry of every lot of `account` that is due, and commit."""
	BookStore(account).write()
	transactions.commit()


def end_of(day: str, time_zone: str | None) -> datetime:
	"""The moment `day` (ISO date) ends in `time_zone`, as a column keeps it: credits last through that day.

	Raises InvalidRequest bad_day beyond all calendars.
	"""
	try:
		return clock.stored(moments.end_of_day(date.fromisoformat(day), clock.zone_of(time_zone)))
	except OverflowError:
		raise InvalidRequest("bad_day", field="expires_at", value=day) from None
