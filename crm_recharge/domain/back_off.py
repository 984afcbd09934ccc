"""How long to wait before what has failed is tried again, and when it is left to a person."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class BackOff:
	"""`waits` follow the first, second … failure in a row, the last of them each further one.

	After `tries` failures in a row nothing is tried again by itself; None: never given up.
	"""

	waits: tuple[timedelta, ...]
	tries: int | None = None

	def __post_init__(self) -> None:
		if not self.waits or min(self.waits) <= timedelta(0):
			raise ValueError("a back-off waits, each time")

	def wait(self, failures: int) -> timedelta | None:
		"""How long to wait after so many failures in a row (the first is 1); None: it is given up."""
		if self.tries is not None and failures >= self.tries:
			return None
		return self.waits[min(max(failures, 1), len(self.waits)) - 1]


def doubling(first: timedelta, most: timedelta, tries: int | None = None) -> BackOff:
	"""`first`, then twice as long each time, `most` at most."""
	waits = [first]
	while waits[-1] < most:
		waits.append(min(2 * waits[-1], most))
	return BackOff(tuple(waits), tries)


def minutes(*waits: int, tries: int | None = None) -> BackOff:
	"""So many minutes after the first, second … failure."""
	return BackOff(tuple(timedelta(minutes=wait) for wait in waits), tries)
