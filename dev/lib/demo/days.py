"""Past usage as if it were of late: the desk's charts show the last weeks."""

from datetime import datetime, timedelta

Events = dict[str, list[dict]]


def read_time(text: str) -> datetime:
	"""A time of the file. Raises ValueError."""
	return datetime.fromisoformat(text.replace("Z", "+00:00"))


def moved_to_now(events: Events, now: datetime) -> tuple[Events, int]:
	"""The events with their times moved by whole days, the same for all, so that the last one lies in the day before
	`now` (with a time zone); and by how many days. A time without a zone is taken for one of `now`'s."""
	last = max(_moment(row["time"], now) for rows in events.values() for row in rows)
	days = (now - last).days
	if days < 1:
		return events, 0
	later = timedelta(days=days)
	moved = {
		account: [row | {"time": (read_time(row["time"]) + later).isoformat()} for row in rows]
		for account, rows in events.items()
	}
	return moved, days


def _moment(text: str, now: datetime) -> datetime:
	time = read_time(text)
	return time if time.tzinfo else time.replace(tzinfo=now.tzinfo)
