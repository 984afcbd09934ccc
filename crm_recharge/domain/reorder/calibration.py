"""Corrects forecasts by what became of earlier ones, whether they came true or not."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .distribution import HALF_DAY, NORMAL, log_density, tail
from .forecast import next_interval
from .linear import solve
from .priors import Calibration, Priors
from .purchases import PairState

QUANTILES = (0.1, 0.5, 0.9)
MIN_CASES = 30
PRIOR_SD = (0.25, 0.25, 0.25, 0.5)
"""Prior standard deviation of shift, log lower, log upper and stop: few outcomes correct little."""
_FLOOR = 1e-300
_ROUNDS = 25


class Resolved(NamedTuple):
	"""A forecast made on day `asked` from `state`, and what is known of it by day `until`.

	`bought` is the day of the next purchase, or None when there was none up to and including `until`.
	"""

	customer: Hashable
	item: Hashable
	group: Hashable
	state: PairState
	asked: int
	bought: int | None
	until: int


class _Outcome(NamedTuple):
	"""Log of the days at the start and end of what was watched, in scales from the forecast's median."""

	entered: float
	left: float
	bought: bool
	stop: float


def calibrate(priors: Priors, resolved: Iterable[Resolved]) -> Priors:
	"""Priors whose ranges and probabilities agree with resolved forecasts.

	Unresolved ones are given too, as not bought yet: leaving them out would teach that everybody comes early.
	Shift, both widths and the odds of having stopped maximise the likelihood of `survival` (late entry,
	right-censoring, stop probability) with a normal prior on "no correction". An earlier calibration is
	replaced, not added to.

	Args:
		priors: from `fit`.
		resolved: forecasts and outcomes; any order.
	"""
	plain = replace(priors, calibration=Calibration())
	outcomes = [outcome for one in resolved if (outcome := _outcome(plain, one))]
	if sum(outcome.bought for outcome in outcomes) < MIN_CASES:
		return priors
	return replace(priors, calibration=_maximise(outcomes))


def _outcome(priors: Priors, one: Resolved) -> _Outcome | None:
	state, elapsed = one.state, max(one.asked - one.state.last, 0)  # type: ignore[operator]
	bought = one.bought is not None and one.bought <= one.until
	watched = (one.bought if bought else one.until) - one.asked  # type: ignore[operator]
	if watched <= 0:
		return None
	members = priors.members(one.customer, one.item, one.group)
	basis = priors.basis(members, state.intervals, state.mean_log, state.log_squares, state.last_log)
	interval = next_interval(priors, basis, state.days)
	left = elapsed + watched + (0 if bought else HALF_DAY)
	ends = ((math.log(t) - interval.centre) / interval.lower for t in (elapsed + HALF_DAY, left))
	return _Outcome(*ends, bought, interval.stop)  # type: ignore[arg-type, call-arg]


def _maximise(outcomes: Sequence[_Outcome]) -> Calibration:
	point = [0.0] * 4
	value, gradient, curvature = _score(outcomes, point)
	for _ in range(_ROUNDS):
		step = solve(curvature, gradient)
		for halving in range(12):
			trial = [p + s * 0.5**halving for p, s in zip(point, step, strict=True)]
			reached = _score(outcomes, trial)
			if reached[0] > value:
				break
		else:
			break
		gained, point = reached[0] - value, trial
		value, gradient, curvature = reached
		if gained < 1e-6 * len(outcomes):
			break
	shift, lower, upper, stop = point
	return Calibration(shift, math.exp(lower), math.exp(upper), stop, len(outcomes))


def _score(outcomes: Sequence[_Outcome], point: list[float]) -> Any:
	"""Penalised log-likelihood, gradient and Σ g g' (see `survival`)."""
	widths = math.exp(point[1]), math.exp(point[2])
	gradient = [-p / sd**2 for p, sd in zip(point, PRIOR_SD, strict=True)]
	outer = [[1 / PRIOR_SD[i] ** 2 if i == j else 0.0 for j in range(4)] for i in range(4)]
	total = sum(-0.5 * (p / sd) ** 2 for p, sd in zip(point, PRIOR_SD, strict=True))
	for outcome in outcomes:
		log_p, slopes = _slopes(outcome, point[0], widths, point[3])
		total += log_p
		for i, slope in enumerate(slopes):
			gradient[i] += slope
			for j in range(4):
				outer[i][j] += slope * slopes[j]
	return total, gradient, outer


def _slopes(outcome: _Outcome, shift: float, widths: tuple[float, float], stop: float) -> Any:
	theta = 1 / (1 + (1 - outcome.stop) / max(outcome.stop, 1e-9) * math.exp(-stop))
	slopes = [0.0, 0.0, 0.0, 0.0]
	side0, c0, z0 = _stand(outcome.entered, shift, widths)
	s0, flow = tail(z0), math.exp(log_density(z0))
	entered = max(theta + (1 - theta) * s0, _FLOOR)
	flow *= (1 - theta) / entered
	slopes[0] -= flow / c0
	slopes[side0] -= flow * z0
	side, c, z = _stand(outcome.left, shift, widths)
	if outcome.bought:
		log_p = math.log(1 - theta) + log_density(z) - math.log(c)
		out, by_width, by_theta = z, z * z - 1, -1 / (1 - theta)
	else:
		silent = max(theta + (1 - theta) * tail(z), _FLOOR)
		log_p = math.log(silent)
		out = (1 - theta) * math.exp(log_density(z)) / silent
		by_width, by_theta = out * z, (1 - tail(z)) / silent
	slopes[0] += out / c
	slopes[side] += by_width
	slopes[3] = (by_theta - (1 - s0) / entered) * theta * (1 - theta)
	return log_p - math.log(entered), slopes


def _stand(y: float, shift: float, widths: tuple[float, float]) -> tuple[int, float, float]:
	"""Side (1 below the median, 2 above), its width, and the standardised value."""
	y -= shift
	side = 1 if y < 0 else 2
	width = widths[side - 1]
	return side, width, y / width


def calibrate_intervals(residuals: Iterable[float]) -> Calibration:
	"""Calibration from completed intervals alone: residuals in scales, each foretold without itself.

	The range is stretched so that its ends and middle are the residuals' own 10, 50 and 90 per cent points
	(split conformal prediction: Vovk, Gammerman & Shafer 2005), blended with the normal's by `MIN_CASES`
	imagined residuals.
	"""
	ordered = sorted(residuals)
	n = len(ordered)
	if n < MIN_CASES:
		return Calibration(cases=n)
	weight = n / (n + MIN_CASES)
	low, middle, high = (ordered[min(int(p * n), n - 1)] for p in QUANTILES)
	unit = NORMAL.inv_cdf(QUANTILES[2])
	lower, upper = (weight * side / unit + 1 - weight for side in (middle - low, high - middle))
	return Calibration(weight * middle, max(lower, 1e-3), max(upper, 1e-3), 0.0, n)
