"""What reminding changed: reminded less held out, with an interval, or that it is too early to say.

Customers are drawn at random to be reminded or held out, so they are the units; the cycles of one customer
(one item due once) are not independent. Each group's share of cycles that ended in a purchase is therefore a
ratio of sums over customers, its variance the linearised one between customers (Cochran 1977, Sampling
Techniques, ch. 6 and 9), and the design effect is that variance over the binomial one. Counts divided by the
design effect are treated as independent ones (Rao & Scott 1992, Biometrics 48:577), further reduced for the
few customers the variance was estimated from (Korn & Graubard 1998, Survey Methodology 24:193), of whom those
with many cycles count for more: n²/Σn² customers of equal weight (Kish 1965; Carter, Schnepel & Steigerwald
2017, Review of Economics and Statistics 99:698). On these effective counts stands the interval of the difference: Newcombe 1998, Statistics in Medicine 17:873,
method 10, built from the two Wilson score intervals.

Whoever was meant to be reminded counts as reminded, also where the mail failed (intention to treat).
"""

import math
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist
from typing import Any

CONFIDENCE = 0.95
POWER = 0.8
LEAST_CUSTOMERS = 20
"""In each group. With fewer, the variance between customers is itself too uncertain."""

WORTH_KNOWING = 0.05
"""A difference in the share that buys again which a shop would want to see."""


class UpliftError(ValueError):
	"""Counts that contradict each other; the message says which."""


@dataclass(frozen=True, slots=True)
class Group:
	"""One group's cycles, summed over customers; all whole numbers, so SQL can add them up.

	`customers` with at least one cycle; `cycles` n and `won` w summed; `won_won` = Σw², `cycles_won` = Σnw and
	`cycles_cycles` = Σn² over customers.
	"""

	customers: int = 0
	cycles: int = 0
	won: int = 0
	won_won: int = 0
	cycles_won: int = 0
	cycles_cycles: int = 0

	@classmethod
	def of(cls, customers: Any) -> "Group":
		"""From (cycles, won) of each customer; customers without a cycle say nothing."""
		rows = [(n, w) for n, w in customers if n]
		return cls(
			len(rows),
			sum(n for n, _ in rows),
			sum(w for _, w in rows),
			sum(w * w for _, w in rows),
			sum(n * w for n, w in rows),
			sum(n * n for n, _ in rows),
		)

	@property
	def rate(self) -> float:
		"""Share of cycles in which the item was bought; 0.0 without any."""
		return self.won / self.cycles if self.cycles else 0.0

	@property
	def equal_customers(self) -> float:
		"""Customers with equally many cycles who would tell as much; 0.0 without any."""
		return self.cycles**2 / self.cycles_cycles if self.cycles else 0.0

	@property
	def design_effect(self) -> float:
		"""How many times the binomial variance the share has, because cycles of one customer go together.

		Never below 1 (a lucky sample is no gain) and never above Σn²/Σn, where all cycles of a customer end
		alike. Where none or all were bought nothing tells how alike they are, and the upper bound is taken.
		"""
		if not self.cycles:
			return 1.0
		most = max(self.cycles_cycles / self.cycles, 1.0)
		p = self.rate
		equal = self.equal_customers
		if self.customers < 2 or equal <= 1 or p in (0, 1):
			return most
		squares = self.won_won - 2 * p * self.cycles_won + p * p * self.cycles_cycles
		between = squares * equal / (equal - 1) / self.cycles**2
		return min(max(between / (p * (1 - p) / self.cycles), 1.0), most)


class Verdict(Enum):
	"""What may be said."""

	NOBODY = "nobody"
	"""No cycle is through in one of the groups."""

	TOO_FEW = "too_few"
	"""Fewer than LEAST_CUSTOMERS customers in one of the groups."""

	TOO_EARLY = "too_early"
	"""The interval holds 0, and is too wide to exclude a difference worth knowing."""

	NO_DIFFERENCE = "no_difference"
	"""The interval holds 0, and a difference worth knowing would probably have shown."""

	MORE = "more"
	LESS = "less"


@dataclass(frozen=True, slots=True)
class Uplift:
	"""The difference of the shares (0.04 is four percentage points), its interval, and what may be said.

	`needed_held_out` and `needed_reminded` are the customers with which a difference of `worth` would be seen
	with 80 % power, at the ratio of the groups as it is; None where no estimate is possible.
	"""

	reminded: Group
	held_out: Group
	difference: float
	low: float
	high: float
	verdict: Verdict
	worth: float
	needed_reminded: int | None
	needed_held_out: int | None

	@property
	def too_early(self) -> bool:
		"""Whether nothing should be claimed yet."""
		return self.verdict in (Verdict.NOBODY, Verdict.TOO_FEW, Verdict.TOO_EARLY)


def uplift(
	reminded: Group,
	held_out: Group,
	worth: float = WORTH_KNOWING,
	confidence: float = CONFIDENCE,
	least_customers: int = LEAST_CUSTOMERS,
) -> Uplift:
	"""Compare the groups. Give only cycles whose follow-up window is over: the others have not had their chance.

	Args:
		reminded, held_out: the groups.
		worth: the smallest difference that matters, as a share.
		confidence: of the interval.
		least_customers: in each group, before a difference is judged.

	Raises:
		UpliftError: counts that cannot be, or a share that is none.
	"""
	for group in (reminded, held_out):
		_check(group)
	if not 0 < worth < 1 or not 0 < confidence < 1:
		raise UpliftError(f"worth ({worth}) and confidence ({confidence}) must lie between 0 and 1")
	low, high = interval(reminded, held_out, confidence)
	needed = _needed(reminded, held_out, worth, confidence)
	return Uplift(
		reminded,
		held_out,
		reminded.rate - held_out.rate,
		low,
		high,
		_verdict(reminded, held_out, low, high, worth, least_customers, needed),
		worth,
		*needed,
	)


def interval(reminded: Group, held_out: Group, confidence: float = CONFIDENCE) -> tuple[float, float]:
	"""Newcombe's method 10 on effective counts; (-1, 1), all that can be, where a group is empty."""
	if not (reminded.cycles and held_out.cycles):
		return -1.0, 1.0
	p1, p2 = reminded.rate, held_out.rate
	(l1, u1), (l2, u2) = (score_interval(group, confidence) for group in (reminded, held_out))
	return (
		max(p1 - p2 - math.hypot(p1 - l1, u2 - p2), -1.0),
		min(p1 - p2 + math.hypot(u1 - p1, p2 - l2), 1.0),
	)


def score_interval(group: Group, confidence: float = CONFIDENCE) -> tuple[float, float]:
	"""Wilson's score interval of the group's share on its effective number of cycles."""
	z = NormalDist().inv_cdf((1 + confidence) / 2)
	n, p = effective_cycles(group, confidence), group.rate
	if not n:
		return 0.0, 1.0
	centre = (p + z * z / (2 * n)) / (1 + z * z / n)
	half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
	return min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p)


def effective_cycles(group: Group, confidence: float = CONFIDENCE) -> float:
	"""Independent cycles that would tell as much; at most the cycles there are."""
	if not group.cycles:
		return 0.0
	n = group.cycles / group.design_effect
	p = (1 + confidence) / 2
	if group.customers > 1:
		n *= (NormalDist().inv_cdf(p) / student_quantile(p, max(round(group.equal_customers - 1), 1))) ** 2
	return n


def student_quantile(p: float, freedom: int) -> float:
	"""Quantile of Student's t: exact for 1 and 2 degrees of freedom, else Hill's algorithm 396 (CACM 1970).

	Args:
		p: between 0 and 1.
		freedom: degrees of freedom, 1 or more.
	"""
	if p < 0.5:
		return -student_quantile(1 - p, freedom)
	tail = 2 * (1 - p)
	if freedom == 1:
		return 1 / math.tan(tail * math.pi / 2)
	if freedom == 2:
		return math.sqrt(2 / (tail * (2 - tail)) - 2)
	n = freedom
	a = 1 / (n - 0.5)
	b = 48 / (a * a)
	c = ((20700 * a / b - 98) * a - 16) * a + 96.36
	d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
	y = (d * tail) ** (2 / n)
	if y > 0.05 + a:
		x = NormalDist().inv_cdf(tail / 2)
		y = x * x
		if n < 5:
			c += 0.3 * (n - 4.5) * (x + 0.6)
		c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
		y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
		y = math.expm1(a * y * y)
	else:
		y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (
			n + 1
		) / (n + 2) + 1 / y
	return math.sqrt(n * y)


def _verdict(
	reminded: Any, held_out: Any, low: Any, high: Any, worth: Any, least_customers: Any, needed: Any
) -> Verdict:
	if not (reminded.cycles and held_out.cycles):
		return Verdict.NOBODY
	if min(reminded.customers, held_out.customers) < least_customers:
		return Verdict.TOO_FEW
	if low > 0:
		return Verdict.MORE
	if high < 0:
		return Verdict.LESS
	enough = needed[1] is not None and held_out.customers >= needed[1]
	return Verdict.NO_DIFFERENCE if enough else Verdict.TOO_EARLY


def _needed(reminded: Any, held_out: Any, worth: Any, confidence: Any) -> tuple[int | None, int | None]:
	"""Customers (reminded, held out) for POWER at a true difference of `worth` either way of the held-out share.

	m₀ = (z_α + z_β)² (v₁/r + v₀) / worth², v the variance one customer contributes, r = m₁/m₀ (Fleiss, Levin &
	Paik 2003, ch. 4, with the design effect as in Donner & Klar 2000). The difference that was observed takes no
	part: power at the observed effect says nothing the interval does not (Hoenig & Heisey 2001).
	"""
	if not (reminded.customers and held_out.customers):
		return None, None
	p0 = held_out.rate
	p1 = p0 + worth if p0 + worth <= 1 else p0 - worth
	ratio = reminded.customers / held_out.customers
	normal = NormalDist()
	z = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(POWER)
	middle = (p0 + p1) / 2  # where nobody bought yet, p0 (1 - p0) = 0 would promise too much
	v0 = max(p0 * (1 - p0), middle * (1 - middle)) * _per_customer(held_out)
	v1 = p1 * (1 - p1) * _per_customer(reminded)
	needed = max(math.ceil(z * z * (v1 / ratio + v0) / worth**2), LEAST_CUSTOMERS)
	return max(math.ceil(needed * ratio), LEAST_CUSTOMERS), needed


def _per_customer(group: Group) -> float:
	"""Factor from p(1 - p) to the variance one customer contributes."""
	return group.design_effect * group.customers / group.cycles


def _check(group: Group) -> None:
	numbers = (
		group.customers,
		group.cycles,
		group.won,
		group.won_won,
		group.cycles_won,
		group.cycles_cycles,
	)
	if any(number < 0 for number in numbers):
		raise UpliftError(f"Counts below zero: {group}")
	if not group.won <= group.cycles or not group.customers <= group.cycles:
		raise UpliftError(f"More purchases or customers than cycles: {group}")
	if not group.won_won <= group.cycles_won <= group.cycles_cycles:
		raise UpliftError(f"Sums over customers that contradict each other: {group}")
	if group.cycles**2 > group.cycles_cycles * group.customers:
		raise UpliftError(f"Cycles that do not fit the customers: {group}")
