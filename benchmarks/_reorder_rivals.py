"""What the reorder model is measured against. Each answers the same two questions on the same rows.

The averages give one interval per pair. Their range and their probability come from how actual intervals
spread around such averages in the data they were made from: the ratio actual / foretold, taken one step
ahead where the average is the pair's own.
"""

import os
from contextlib import redirect_stdout

import numpy as np

QUANTILES = (0.1, 0.5, 0.9)
SMOOTHING = tuple(step / 20 for step in range(1, 20))
SAMPLE = 50_000
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


class Unfit(Exception):
	"""A method that cannot be fitted to these rows; it is named and left out."""


def intervals(pair) -> list[int]:
	return [b - a for a, b in zip(pair.days, pair.days[1:], strict=False)]


class Average:
	"""One interval per pair, and the ratios by which the actual ones differ from it."""

	name = "average"

	def __init__(self, pairs, until=None):
		self.overall = float(np.median(np.concatenate([intervals(p) for p in pairs if len(p.days) > 1])))
		self.learn(pairs)
		self.ratios = np.sort(np.array(list(self.samples(pairs))))
		self.low, _, self.high = np.quantile(self.ratios, QUANTILES)

	def learn(self, pairs):
		"""Gather what `foretell` needs."""

	def samples(self, pairs):
		"""Actual over foretold, for every interval known."""
		for pair in pairs:
			gaps = intervals(pair)
			if gaps:
				foretold = self.foretell(pair)
				yield from (gap / foretold for gap in gaps)

	def foretell(self, pair) -> float:
		return self.overall

	def span(self, pair) -> tuple[float, float, float]:
		"""Low end of the range, the interval foretold, and high end, in days after the last purchase."""
		middle = self.foretell(pair)
		return self.low * middle, middle, self.high * middle

	def buys_within(self, pair, days: int, elapsed: int) -> float:
		"""Share of the ratios still possible after `elapsed` days that fall into the next `days`."""
		middle = self.foretell(pair)
		ends = np.searchsorted(self.ratios, [elapsed / middle, (elapsed + days) / middle], side="right")
		return float((ends[1] - ends[0] + 0.5) / (len(self.ratios) - ends[0] + 1))


class GlobalMedian(Average):
	name = "global median"


class ItemMedian(Average):
	name = "item median"

	def learn(self, pairs):
		by_item: dict[str, list[int]] = {}
		for pair in pairs:
			if len(pair.days) > 1:
				by_item.setdefault(pair.item, []).extend(intervals(pair))
		self.medians = {item: float(np.median(gaps)) for item, gaps in by_item.items()}

	def foretell(self, pair) -> float:
		return self.medians.get(pair.item, self.overall)


class OwnMean(Average):
	name = "own mean"

	def foretell(self, pair) -> float:
		return self.of(intervals(pair))

	def of(self, gaps) -> float:
		return sum(gaps) / len(gaps) if gaps else self.overall

	def samples(self, pairs):
		for pair in pairs:
			gaps = intervals(pair)
			yield from (gaps[k] / self.of(gaps[:k]) for k in range(1, len(gaps)))


class Smoothing(OwnMean):
	"""Simple exponential smoothing of a pair's intervals; its constant is the best one step ahead."""

	name = "exponential smoothing"

	def learn(self, pairs):
		known = [gaps for pair in pairs if len(gaps := intervals(pair)) > 1][:SAMPLE]
		self.weight = min(SMOOTHING, key=lambda weight: sum(_errors(gaps, weight) for gaps in known))

	def of(self, gaps) -> float:
		level = gaps[0] if gaps else self.overall
		for gap in gaps[1:]:
			level += self.weight * (gap - level)
		return level


def _errors(gaps, weight) -> float:
	level, error = gaps[0], 0.0
	for gap in gaps[1:]:
		error += abs(gap - level)
		level += weight * (gap - level)
	return error


class BgNbd:
	"""BG/NBD (Fader, Hardie & Lee 2005) as `lifetimes` fits it, one process per pair.

	Given x repeats, the last after t days, its rate is gamma (r + x, α + t), so the next interval is Lomax.
	It is given the sample that suits it best: with a clock all pairs, without one those that came back (there
	the silence of the others says nothing). The penalty grows until the fit converges.
	"""

	name = "BG/NBD"

	def __init__(self, pairs, until=None):
		known = pairs if until else [pair for pair in pairs if len(pair.days) > 1]
		known = known[:: max(len(known) // SAMPLE, 1)]
		end = until or max(pair.days[-1] for pair in pairs)
		columns = [(len(p.days) - 1, p.days[-1] - p.days[0], end - p.days[0]) for p in known]
		params = self._fit(*np.array(columns, dtype=float).T)
		self.r, self.alpha, self.a, self.b = (float(params[name]) for name in ("r", "alpha", "a", "b"))

	@staticmethod
	def _fit(frequency, recency, age):
		from lifetimes import BetaGeoFitter
		from lifetimes.utils import ConvergenceError

		for penalty in PENALTIES:
			fitter = BetaGeoFitter(penalizer_coef=penalty)
			try:
				with np.errstate(all="ignore"), open(os.devnull, "w") as void, redirect_stdout(void):
					return fitter.fit(frequency, recency, age).params_
			except ConvergenceError:
				continue
		raise Unfit(f"{BgNbd.name} does not converge on these rows")

	def span(self, pair) -> tuple[float, float, float]:
		"""Quantiles of the Lomax interval of a customer who still buys."""
		shape, scale = self._posterior(pair)
		return tuple(scale * ((1 - q) ** (-1 / shape) - 1) for q in QUANTILES)

	def buys_within(self, pair, days: int, elapsed: int) -> float:
		"""P(alive) times P(at least one purchase in the next `days`)."""
		shape, scale = self._posterior(pair)
		x, now = len(pair.days) - 1, scale + elapsed
		dead = self.a / (self.b + x - 1) * (now / scale) ** shape
		return (1 - (now / (now + days)) ** shape) / (1 + dead)

	def _posterior(self, pair) -> tuple[float, float]:
		return self.r + len(pair.days) - 1, self.alpha + pair.days[-1] - pair.days[0]


RIVALS = (GlobalMedian, OwnMean, ItemMedian, Smoothing, BgNbd)
