"""The site's clock, for intervals: what Frappe stores is what it showed (`domain.site_clock` says what that means)."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from frappe.utils import get_datetime, get_system_timezone

from crm_recharge.domain import site_clock


def age(shown) -> timedelta:
	"""How long ago the site's clock showed `shown`, a stored time; negative where it has not shown it yet."""
	now, zone = datetime.now(timezone.utc), ZoneInfo(get_system_timezone())
	return site_clock.age(get_datetime(shown), now, zone)


def is_recent(shown, within: timedelta) -> bool:
	"""Whether a stored time is less than `within` away from now. None is not.

	Some seconds to come are another machine's clock; hours are another time zone's, and not recent.
	"""
	return bool(shown) and abs(age(shown)) < within
