"""The site's clock set to a moment, in any zone: for what changes of summer time might break."""

from contextlib import contextmanager
from datetime import datetime, timezone
from unittest.mock import patch

from crm_recharge import clock
from crm_recharge.credits import usage

NEW_YORK, LORD_HOWE, KOLKATA = "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"


def utc(text: str) -> datetime:
	"""A moment from text such as 2027-03-14 06:50."""
	return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@contextmanager
def site_clock(moment: str | datetime, zone: str = NEW_YORK):
	"""It is `moment` (UTC), and the site lies in `zone`."""
	moment = utc(moment) if isinstance(moment, str) else moment
	with (
		patch.object(clock, "now", lambda: moment),
		patch.object(clock, "get_system_timezone", lambda: zone),
		patch.object(usage, "get_system_timezone", lambda: zone),
	):
		yield
