"""The scheduled jobs and the site's clock.

Frappe keeps a job's last start as the site's clock showed it, and takes the job for due when the clock shows the next
time of its rhythm. Where the clock goes back (summer ends; the set-up wizard gives a new site its zone, hours west of
the one it was made in) that next time lies ahead, and for as long nothing is swept and no mail leaves.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import frappe
from frappe.query_builder.functions import Coalesce
from frappe.utils import get_system_timezone

from crm_recharge.domain import moments

DOCTYPE = "Scheduled Job Type"
OURS = "crm_recharge."
MAIL_QUEUE = "frappe.email.queue.flush"
"""Not ours, and every mail of ours waits for it."""
AHEAD = timedelta(minutes=2)
"""Each minute it is looked whether the clock is about to go back: once it has, the look itself is not due."""


def keep_due(now: datetime | None = None, zone: str | None = None) -> list[str]:
	"""Each minute: no job of ours, nor the mail queue, has been started later than the clock shows.

	`now`: a moment (aware); `zone`: the site's, where it is changing. Returns the methods whose start was put back.
	"""
	now = now or datetime.now(timezone.utc)
	latest = moments.latest_start(now, ZoneInfo(zone or get_system_timezone()), AHEAD)
	job = frappe.qb.DocType(DOCTYPE)
	ahead = (
		frappe.qb.from_(job)
		.select(job.name, job.method)
		.where(job.method.like(f"{OURS}%") | (job.method == MAIL_QUEUE))
		# What has never run counts from when it was made, as Frappe has it.
		.where(Coalesce(job.last_execution, job.creation) > latest)
	).run(as_dict=True)
	for row in ahead:
		frappe.db.set_value(DOCTYPE, row.name, "last_execution", latest, update_modified=False)
	return [row.method for row in ahead]


def take_away() -> None:
	"""Delete the jobs: until the next migration Frappe would go on starting them."""
	for name in frappe.get_all(DOCTYPE, {"method": ["like", f"{OURS}%"]}, pluck="name"):
		frappe.delete_doc(DOCTYPE, name, force=True, ignore_permissions=True, delete_permanently=True)
