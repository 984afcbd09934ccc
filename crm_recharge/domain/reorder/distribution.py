"""The interval between two purchases: log-normal, with its two sides calibrated apart, and a chance to stop.

log(interval) has its median at `centre`; below it the scale is `lower`, above it `upper` (a two-piece
normal with half the mass on each side; with equal scales the plain log-normal).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

NORMAL = NormalDist()
HALF_DAY = 0.5
"""Purchases are known to the day: the elapsed time `r` stands for r + 1/2 days without a purchase."""

_SQRT2 = math.sqrt(2.0)
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_FARTHEST = 36_500.0
_MIN_TAIL = 1e-12


def tail(z: float) -> float:
	"""P(Z > z) of the standard normal, accurate far out (complementary error function)."""
	return 0.5 * math.erfc(z / _SQRT2)


def log_density(z: float) -> float:
	"""Log of the standard normal density."""
	return -0.5 * z * z - _LOG_SQRT_2PI


@dataclass(frozen=True, slots=True)
class Interval:
	"""The distribution of one customer's next interval of one item, in days.

	Attributes:
		centre: log of the median interval.
		lower, upper: scale of the log-interval below and above the median.
		stop: probability that no further purchase followed the last one.
	"""

	centre: float
	lower: float
	upper: float
	stop: float = 0.0

	def survival(self, days: float) -> float:
		"""P(interval > days | still buying)."""
		if days <= 0:
			return 1.0
		y = math.log(days) - self.centre
		return tail(y / (self.lower if y < 0 else self.upper))

	def quantile(self, p: float, elapsed: float = 0.0) -> float:
		"""Days from the last purchase by which a share `p` of those still buying has bought.

		Given that `elapsed` days passed without a purchase: the solution of
		S(t) = (1 - p) S(elapsed), which is never before `elapsed`.
		"""
		start = elapsed + HALF_DAY if elapsed > 0 else 0.0
		left = (1 - p) * self.survival(start)
		if left < _MIN_TAIL:
			# So far out in the tail that it is flat: the hazard there is about z / (scale * days).
			return min(start * (1 + p), _FARTHEST)
		z = -NORMAL.inv_cdf(left)
		return min(math.exp(min(self.centre + z * (self.lower if z < 0 else self.upper), 11.0)), _FARTHEST)

	def alive(self, elapsed: float) -> float:
		"""P(still buying | no purchase for `elapsed` days), by Bayes' rule.

		(1 - θ) S(r) / (θ + (1 - θ) S(r)), θ the stop probability (Schmittlein, Morrison & Colombo 1987;
		the beta-geometric form of Fader, Hardie & Lee 2005).
		"""
		keeps = (1 - self.stop) * self.survival(elapsed + HALF_DAY)
		return keeps / (self.stop + keeps) if keeps else (0.0 if self.stop else 1.0)

	def buys_within(self, days: float, elapsed: float) -> float:
		"""P(buys within the next `days` days | no purchase for `elapsed` days).

		alive(r) * (1 - S(r + d) / S(r)).
		"""
		if days <= 0:
			return 0.0
		now = self.survival(elapsed + HALF_DAY)
		if now < _MIN_TAIL:
			return self.alive(elapsed)
		return self.alive(elapsed) * (1 - self.survival(elapsed + HALF_DAY + days) / now)
