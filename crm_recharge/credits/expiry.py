"""Posting what is left of lots past their expiry."""

from datetime import date, datetime

import frappe
from frappe.utils import get_system_timezone, now_datetime

from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.credits.store import BookStore
from crm_recharge.domain import days


def post_due() -> int:
	"""Hourly: post the expiry of every lot that is due. One bad account does not stop the rest.

	An account that is used posts its own first (BookStore); this is for those that are not. Returns how many.
	"""
	frappe.db.rollback()
	accounts = frappe.db.sql(
		"SELECT DISTINCT `credit_account` FROM `tabCredit Lot` WHERE `remaining` > 0 AND `expires_at` <= %s",
		now_datetime(),
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
	"""The moment `day` (ISO date) ends in `time_zone`, as a site time: credits last through that day.

	Raises InvalidRequest bad_day.
	"""
	return days.end_of(date.fromisoformat(day), get_system_timezone(), time_zone, "expires_at")
