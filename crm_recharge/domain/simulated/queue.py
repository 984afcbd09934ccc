"""A job queue that may lose everything: the rows are the promise, a job only hurries them."""

from collections import deque


class Queue:
	"""Jobs in order, each (job, recharge); a job that waits already is not put in twice."""

	def __init__(self) -> None:
		self._jobs: deque[tuple[str, str]] = deque()

	def __len__(self) -> int:
		return len(self._jobs)

	def put(self, job: str, recharge: str) -> None:
		"""Add a job."""
		if (job, recharge) not in self._jobs:
			self._jobs.append((job, recharge))

	@property
	def waiting(self) -> list[tuple[str, str]]:
		"""All jobs, in their order."""
		return list(self._jobs)

	def take(self) -> tuple[str, str] | None:
		"""The oldest job, or None."""
		return self._jobs.popleft() if self._jobs else None

	def lose_all(self) -> int:
		"""Forget every job, as an emptied Redis does. Returns how many."""
		lost = len(self._jobs)
		self._jobs.clear()
		return lost
