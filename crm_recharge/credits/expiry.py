"""Posting what is left of lots past their expiry."""

from datetime import date, datetime

import frappe

from crm_recharge import clock
from crm_recharge.clock import now_datetime
from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.credits.store import BookStore
from crm_recharge.domain import moments
from crm_recharge.domain.errors import InvalidRequest


def post_due() -> int:
	"""Hourly: post the expiry of every lot that is due. One bad account does not stop the rest.

	An account that is used posts its own first (BookStore); this is for those that are not. Returns how many.
	"""
	frappe.db.rollback()
	accounts = frappe.db.sql(
		"SELECT DISTINCT `credit_account` FROM `tabCredit Lot` WHERE `remaining` > 0 AND `expires_at` <= %s",
		clock.latest(clock.read(now_datetime())),
		pluck=True,
	)
	for account in accounts:
		try:
			_post(account)
			frappe.db.commit()
		except Exception:
			frappe.db.rollback()
			frappe.log_error(
				title=f"Expiry of {account} failed",
				reference_doctype="Credit Account",
				reference_name=account,
			)
			frappe.db.commit()
	return len(accounts)


@retry_on_contention
def _post(account: str) -> None:
	BookStore(account).write()


def end_of(day: str, time_zone: str | None) -> datetime:
	"""The moment `day` (ISO date) ends in `time_zone`, as a column keeps it: credits last through that day.

	Raises InvalidRequest bad_day beyond all calendars.
	"""
	try:
		return clock.stored(moments.end_of_day(date.fromisoformat(day), clock.zone_of(time_zone)))
	except OverflowError:
		raise InvalidRequest("bad_day", field="expires_at", value=day) from None
