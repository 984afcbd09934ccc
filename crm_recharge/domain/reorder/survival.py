"""Will they buy again, and when: a censored log-normal regression with a chance to stop at every purchase.

A pair last seen r days ago is followed for w more days. It buys at w, or is still silent then (censored).
With S the survival function of a log-normal interval, centre x'β, scale exp(v'κ) and θ the probability
that the last purchase was the final one,

	likelihood of buying at w:   (1 - θ) f(r + w) / (θ + (1 - θ) S(r))
	likelihood of silence:       (θ + (1 - θ) S(r + w)) / (θ + (1 - θ) S(r))

an accelerated failure-time model with a cured fraction (Boag 1949; Farewell 1982), entered late at r. The
stop probability is the mean of its beta posterior after n - 1 purchases that were not the last,
θ = a / (a + b + n - 1) (beta-geometric dropout: Fader, Hardie & Lee 2005).

The penalised likelihood is climbed by scoring with the outer product of gradients (Berndt, Hall, Hall &
Hausman 1974) and step halving.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .distribution import HALF_DAY, log_density, tail
from .linear import solve

CENTRE = ("constant", "expected", "own", "recent", "count")
SCALE = ("constant", "spread", "count")
_FLOOR = 1e-300
_ROUNDS = 40


class Case(NamedTuple):
	"""One pair, as known on a past day, and what came of it."""

	centre: tuple[float, ...]
	scale: tuple[float, ...]
	days: int
	elapsed: float
	followed: float
	bought: bool
	weight: float = 1.0


@dataclass(slots=True)
class Outlook:
	"""Coefficients of the regression. The defaults say: trust the cadence, one in five or so stops."""

	centre: list[float] = field(default_factory=lambda: [0.0, 1.0, 0.2, 0.0, 0.0])
	scale: list[float] = field(default_factory=lambda: [math.log(0.9), 0.5, 0.0])
	stop: list[float] = field(default_factory=lambda: [math.log(0.5), math.log(1.0)])
	first_stop: float = 0.5
	cases: int = 0

	def stop_probability(self, days: int) -> float:
		"""θ after `days` purchase-days; the first purchase has its own, for trials that please nobody."""
		if days <= 1:
			return self.first_stop
		a, b = math.exp(self.stop[0]), math.exp(self.stop[1])
		return a / (a + b + days - 1)


PRIOR_SD = (1.0, 0.5, 0.3, 0.3, 0.5, 0.7, 0.5, 0.2, 1.0, 1.0)
"""Prior standard deviation of each parameter around its default, in the order centre, scale, stop."""


def fit_outlook(cases: Sequence[Case], default: Outlook | None = None) -> Outlook:
	"""Maximise the penalised likelihood over cases with at least one interval.

	Args:
		cases: retrodictions that have run their course, or part of it.
		default: where the fit starts and what it is shrunk to.
	"""
	default = default or Outlook()
	start = [*default.centre, *default.scale, *default.stop]
	point, size = start, sum(case.weight for case in cases)
	if not any(case.bought for case in cases):
		return Outlook(default.centre, default.scale, default.stop, default.first_stop, 0)
	value, gradient, curvature = _score(cases, point, start)
	for _ in range(_ROUNDS):
		step = solve(curvature, gradient)
		gain = sum(s * g for s, g in zip(step, gradient, strict=True))
		if gain < 1e-6 * max(size, 1.0):
			break
		point, value, moved = _climb(cases, point, start, step, value)
		if not moved:
			break
		value, gradient, curvature = _score(cases, point, start)
	n, k = len(CENTRE), len(CENTRE) + len(SCALE)
	return Outlook(point[:n], point[n:k], point[k:], default.first_stop, len(cases))


def _climb(cases: Any, point: Any, start: Any, step: Any, value: Any) -> tuple[list[float], float, bool]:
	for halving in range(12):
		trial = [p + s * 0.5**halving for p, s in zip(point, step, strict=True)]
		reached = _log_likelihood(cases, trial, start)
		if reached > value:
			return trial, reached, True
	return point, value, False


def _penalty(point: list[float], start: list[float]) -> float:
	columns = zip(point, start, PRIOR_SD, strict=True)
	return 0.5 * sum(((p - s) / d) ** 2 for p, s, d in columns)


def _dot(xs: Sequence[float], ys: Sequence[float]) -> float:
	return sum(x * y for x, y in zip(xs, ys, strict=True))


def _log_likelihood(cases: Sequence[Case], point: list[float], start: list[float]) -> float:
	n, k = len(CENTRE), len(CENTRE) + len(SCALE)
	beta, kappa = point[:n], point[n:k]
	a, b = math.exp(point[k]), math.exp(point[k + 1])
	total = -_penalty(point, start)
	for x, v, days, elapsed, followed, bought, weight in cases:
		centre, log_scale = _dot(beta, x), _dot(kappa, v)
		scale = math.exp(log_scale)
		theta = a / (a + b + days - 1)
		entered = theta + (1 - theta) * tail((math.log(elapsed + HALF_DAY) - centre) / scale)
		if bought:
			z = (math.log(elapsed + followed) - centre) / scale
			log_p = math.log(1 - theta) + log_density(z) - log_scale
		else:
			z = (math.log(elapsed + followed + HALF_DAY) - centre) / scale
			log_p = math.log(max(theta + (1 - theta) * tail(z), _FLOOR))
		total += weight * (log_p - math.log(max(entered, _FLOOR)))
	return total


def _score(cases: Sequence[Case], point: list[float], start: list[float]) -> Any:
	"""Penalised log-likelihood, its gradient, and Σ g g' with the prior's precision on the diagonal."""
	n, k, size = len(CENTRE), len(CENTRE) + len(SCALE), len(point)
	beta, kappa = point[:n], point[n:k]
	a, b = math.exp(point[k]), math.exp(point[k + 1])
	gradient = [(s - p) / d**2 for p, s, d in zip(point, start, PRIOR_SD, strict=True)]
	outer = [[1.0 / PRIOR_SD[i] ** 2 if i == j else 0.0 for j in range(size)] for i in range(size)]
	total = -_penalty(point, start)
	for x, v, days, elapsed, followed, bought, weight in cases:
		centre, log_scale = _dot(beta, x), _dot(kappa, v)
		theta = a / (a + b + days - 1)
		log_p, by_centre, by_scale, by_theta = _slopes(centre, log_scale, theta, elapsed, followed, bought)
		total += weight * log_p
		by_a = by_theta * theta * (1 - theta)
		by_b = -by_theta * theta * b / (a + b + days - 1)
		g = [*(by_centre * value for value in x), *(by_scale * value for value in v), by_a, by_b]
		for i, gi in enumerate(g):
			gw = gi * weight
			gradient[i] += gw
			row = outer[i]
			for j in range(i + 1):
				row[j] += gw * g[j]
	full = [[outer[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)]
	return total, gradient, full


def _slopes(
	centre: Any, log_scale: Any, theta: Any, elapsed: Any, followed: Any, bought: Any
) -> tuple[float, float, float, float]:
	"""Log-likelihood of one case and its slopes by centre, log-scale and θ."""
	scale = math.exp(log_scale)
	z0 = (math.log(elapsed + HALF_DAY) - centre) / scale
	s0, d0 = tail(z0), math.exp(log_density(z0))
	entered = max(theta + (1 - theta) * s0, _FLOOR)
	flow = (1 - theta) * d0 / entered
	if bought:
		z = (math.log(elapsed + followed) - centre) / scale
		log_p = math.log(1 - theta) + log_density(z) - log_scale
		by_centre, by_scale, by_theta = z / scale, z * z - 1, -1 / (1 - theta)
	else:
		z = (math.log(elapsed + followed + HALF_DAY) - centre) / scale
		silent = max(theta + (1 - theta) * tail(z), _FLOOR)
		log_p = math.log(silent)
		out = (1 - theta) * math.exp(log_density(z)) / silent
		by_centre, by_scale, by_theta = out / scale, out * z, (1 - tail(z)) / silent
	return (
		log_p - math.log(entered),
		by_centre - flow / scale,
		by_scale - flow * z0,
		by_theta - (1 - s0) / entered,
	)
