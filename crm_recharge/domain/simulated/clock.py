"""A clock that moves only when it is told to."""

from datetime import datetime, timedelta


class Clock:
	"""Timezone-aware time of the simulated world; it never runs backwards."""

	def __init__(self, start: datetime):
		if start.tzinfo is None:
			raise ValueError("the clock needs a time with its zone")
		self._now = start

	def now(self) -> datetime:
		"""The present moment."""
		return self._now

	def advance(self, by: timedelta) -> None:
		"""Let time pass."""
		self.move_to(self._now + by)

	def move_to(self, moment: datetime) -> None:
		"""Let time pass until `moment`; ValueError when that lies in the past."""
		if moment < self._now:
			raise ValueError(f"the clock cannot go back from {self._now} to {moment}")
		self._now = moment
