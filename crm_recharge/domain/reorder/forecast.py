"""When will this customer buy this item again, and will they at all."""

import math
from collections.abc import Hashable
from dataclasses import dataclass

from .distribution import HALF_DAY, Interval
from .priors import Basis, Priors
from .purchases import LOG_UNIT, PairState

DEFAULT_HORIZON = 30
_STOP_BOUNDS = 1e-6


LEAST_SCALE = 0.08
"""Of the log-interval: nobody is more regular than some two days in a month, whatever a few alike intervals say."""


class NoBasisError(ValueError):
	"""Nothing is known from which an interval could be foretold; the message says what to set."""


@dataclass(frozen=True, slots=True)
class Forecast:
	"""The next purchase, given that there was none up to and including `today`.

	Attributes:
		p10, p50, p90: days (same count as `today`) by which 10, 50 and 90 of 100 such customers who still buy
			have bought. All are after `today`.
		p_alive: probability that the customer still buys this item.
		p_buy_within: probability of a purchase in the `horizon_days` days after `today`.
		interval: the distribution behind it, for other horizons.
		elapsed: days since the last purchase.
	"""

	p10: int
	p50: int
	p90: int
	p_alive: float
	p_buy_within: float
	horizon_days: float
	interval: Interval
	elapsed: int

	def buys_within(self, days: float) -> float:
		"""Probability of a purchase in the next `days` days; never falls as `days` grows."""
		return self.interval.buys_within(days, self.elapsed)


def predict(
	priors: Priors,
	state: PairState,
	today: int,
	customer: Hashable = None,
	item: Hashable = None,
	group: Hashable = None,
	rule_default: float | None = None,
	horizon_days: float = DEFAULT_HORIZON,
	elasticity: float | None = None,
) -> Forecast:
	"""Foretell the next purchase of one customer and item.

	Args:
		priors: from `fit`, or `Priors()` before the first fit.
		state: the pair's purchases; at least one.
		today: today's day; a day before the last purchase counts as that day.
		customer, item, group: names as given to `fit`; unknown ones say nothing. The item's own group when None.
		rule_default: the Reorder Rule's default interval in days, which counts where nothing was learned.
		horizon_days: for `p_buy_within`.
		elasticity: the Reorder Rule's own quantity elasticity; None takes what was learned.

	Raises:
		NoBasisError: no purchase, or a first purchase with nothing learned and no default interval.
	"""
	_check(priors, state, rule_default)
	members = priors.members(customer, item, group)
	squares = state.log_squares
	basis = priors.basis(members, state.intervals, state.mean_log, squares, state.last_log, rule_default)
	shift = _quantity_shift(state, priors.elasticity if elasticity is None else elasticity)
	interval = next_interval(priors, basis, state.days, shift)
	elapsed = max(today - state.last, 0)  # type: ignore[operator]
	return Forecast(
		*_range(interval, state.last, elapsed),  # type: ignore[arg-type]
		p_alive=interval.alive(elapsed),
		p_buy_within=interval.buys_within(horizon_days, elapsed),
		horizon_days=horizon_days,
		interval=interval,
		elapsed=elapsed,
	)


def _check(priors: Priors, state: PairState, rule_default: float | None) -> None:
	if rule_default is not None and not (math.isfinite(rule_default) and rule_default > 0):
		raise NoBasisError(
			f"The rule's default interval must be a positive number of days, not {rule_default}"
		)
	if not state.days:
		raise NoBasisError("No purchase of this item by this customer yet: nothing to count from")
	if not (state.intervals or rule_default or priors.cadence.pairs):
		raise NoBasisError("Bought once and nothing learned yet: set a default interval on the Reorder Rule")


def next_interval(priors: Priors, basis: Basis, days: int, shift: float = 0.0) -> Interval:
	"""The distribution of the interval after `days` purchase-days, calibrated.

	Args:
		priors: the fit.
		basis: the pair's terms.
		days: purchase-days so far.
		shift: to add to the log-interval (quantity).
	"""
	outlook, calibration = priors.outlook, priors.calibration
	centre = sum(c * x for c, x in zip(outlook.centre, basis.centre, strict=True))
	centre = basis.learned * centre + (1 - basis.learned) * basis.expected + shift
	scale = max(math.exp(sum(c * x for c, x in zip(outlook.scale, basis.scale, strict=True))), LEAST_SCALE)
	stop = outlook.stop_probability(days)
	if calibration.stop:
		stop = min(max(stop, _STOP_BOUNDS), 1 - _STOP_BOUNDS)
		stop = 1 / (1 + (1 - stop) / stop * math.exp(-calibration.stop))
	return Interval(
		centre + calibration.shift * scale,
		max(scale * calibration.lower, LEAST_SCALE),
		max(scale * calibration.upper, LEAST_SCALE),
		stop,
	)


def _quantity_shift(state: PairState, elasticity: float) -> float:
	"""elasticity · (log of the last quantity - its usual log): who bought more comes back later."""
	if not elasticity or not state.intervals:
		return 0.0
	return elasticity * (math.log(state.last_quantity) - state.sum_quantity / state.intervals / LOG_UNIT)


def _range(interval: Interval, last: int, elapsed: int) -> tuple[int, int, int]:
	"""Days whose span, from the start of the first to the end of the last, is that of the moments."""
	low, middle, high = (interval.quantile(p, elapsed) for p in (0.1, 0.5, 0.9))
	p50 = max(round(middle), elapsed + 1)
	p10 = min(max(round(low + HALF_DAY), elapsed + 1), p50)
	return last + p10, last + p50, last + max(round(high - HALF_DAY), p50)
