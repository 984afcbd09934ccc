"""How the demo speaks, and says how far it is."""

import threading
import time


def say(text=""):
	"""A line for the reader, at once."""
	print(text, flush=True)


class Progress:
	"""Says every few seconds how far something is. Any thread may count."""

	SECONDS = 10

	def __init__(self, what: str, total: int):
		self.what, self.total, self.done = what, total, 0
		self.started = self.said = time.monotonic()
		self.lock = threading.Lock()

	def step(self, by: int = 1):
		"""`by` more are done."""
		with self.lock:
			self.done += by
			now = time.monotonic()
			if now - self.said >= self.SECONDS and self.done < self.total:
				self.said = now
				say(f"   ... {self.done:,} of {self.total:,} {self.what}, {self.seconds:.0f} s{self._left()}")

	def reach(self, done: int):
		"""So many are done."""
		self.step(done - self.done)

	def _left(self) -> str:
		left = self.seconds * (self.total - self.done) / self.done if self.done else 0
		return f", about {left:.0f} s left" if left >= 1 else ""

	@property
	def seconds(self) -> float:
		"""Since it began."""
		return time.monotonic() - self.started
