"""Empirical Bayes: how long is an interval before we know it, from group, item and customer.

The model, g being a pair's log-interval and m the number of intervals it has:

	g = base + count·log(1 + m) + group + item + customer + pair + noise
	group ~ N(0, τg²)   item ~ N(0, τi²)   customer ~ N(0, τc²)   pair ~ N(0, τp²)   noise ~ N(0, σ²)

A level's effect is its credibility estimate Σw·r / (Σw + 1/τ²), r being residuals of pair means and
w = 1/(τp² + σ²/m) their precision (Bühlmann & Straub 1970; Robinson 1991, "BLUP is a good thing"); the
τ² are the method-of-moments estimates of Bühlmann & Straub. Each pair's own data is left out of the
effects when the coefficients in front of them are fitted, and again when it is forecast, so nothing counts
twice. Intervals of one pair are exchangeable, hence the terms in m: within a window of history, whoever
has bought often buys quickly.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import Any

from .history import History, PairTable
from .linear import Regression

LEVELS = ("group", "item", "customer")
SWEEPS = 2
RATIOS = tuple(2.0 ** (step / 2) for step in range(-4, 21))
DEFAULT_RATIO = 4.0
"""σ²/τp²: how many own intervals weigh as much as all that is known of the item and the customer."""
MAX_PAIRS = 40_000
"""A few coefficients need no more pairs than this."""
_TINY = 1e-9


@dataclass(slots=True)
class Level:
	"""Effects of one level: Σ precision and Σ precision·residual by member, and 1/τ²."""

	weight: array[Any]
	total: array[Any]
	ridge: float = 1.0

	def effect(self, member: int, weight: float = 0.0, residual: float = 0.0) -> float:
		"""The credibility estimate, leaving out `weight` of data at `residual`."""
		rest = self.weight[member] - weight
		if rest <= _TINY * weight:
			return 0.0
		return (self.total[member] - weight * residual) / (rest + self.ridge)


@dataclass(slots=True)
class Cadence:
	"""The fitted prior of log-intervals: variances, coefficients and the effects of each level."""

	noise: float = 0.5
	pair: float = 0.125
	spread_df: float = 4.0
	start: tuple[float, float] = (math.log(30.0), 0.0)
	coefficients: list[float] = field(default_factory=lambda: [math.log(30.0), 0.0, 1.0, 1.0, 1.0])
	levels: dict[str, Level] = field(default_factory=dict)
	pairs: int = 0

	def precision(self, intervals: int) -> float:
		"""Precision of a pair's mean log-interval around what its group, item and customer say."""
		return 1.0 / (self.pair + self.noise / intervals)

	def spread(self, squares: float, intervals: int) -> float:
		"""Ratio of the pair's own scale to the shop's: a moderated standard deviation (Smyth 2004)."""
		df = max(intervals - 1, 0)
		return math.sqrt((self.spread_df + squares / self.noise) / (self.spread_df + df))

	def residual(self, mean: float, intervals: int) -> float:
		"""A pair's mean log-interval, measured from where the effects start."""
		return mean - self.start[0] - self.start[1] * math.log1p(intervals)

	def expected(self, intervals: int, group: float, item: float, customer: float) -> float:
		"""Log-interval expected before looking at the pair's own."""
		base, count, *slopes = self.coefficients
		return (
			base + count * math.log1p(intervals) + slopes[0] * group + slopes[1] * item + slopes[2] * customer
		)


def fit_cadence(
	history: History, table: PairTable, counts: array[Any] | None = None, like: Cadence | None = None
) -> Cadence:
	"""Estimate the prior from the completed intervals of a table.

	Args:
		history: the names behind the table's numbers.
		table: the pairs.
		counts: their true counts of intervals, when the table hides some.
		like: where to take the variances within and between pairs from, when the table cannot say.
	"""
	counts = counts or table.intervals
	cadence = Cadence(pairs=len(table))
	if not len(table):
		return cadence
	cadence.noise = like.noise if like else _noise(table)
	cadence.spread_df = like.spread_df if like else _spread_df(table, cadence.noise)
	cadence.pair = like.pair if like else cadence.noise / DEFAULT_RATIO
	members = {
		"group": array("i", (history.group_of[i] for i in table.item)),
		"item": table.item,
		"customer": table.customer,
	}
	sizes = {"group": len(history.groups), "item": len(history.items), "customer": len(history.customers)}
	for name in LEVELS:
		zeros = array("d", bytes(8 * sizes[name]))
		cadence.levels[name] = Level(zeros, zeros[:])
	for _ in range(SWEEPS):
		rows = _sweep(cadence, table, members, counts)
		if not like:
			_pair_variance(cadence, table, rows)
	return cadence


def _noise(table: PairTable) -> float:
	"""Pooled within-pair variance σ², with one prior interval of 0.5 so that a tiny shop has one too."""
	df = sum(table.intervals) - len(table)
	return (math.fsum(table.squares) + 0.5) / (df + 1)


def _spread_df(table: PairTable, noise: float) -> float:
	"""Prior degrees of freedom of a pair's variance, by marginal likelihood over a grid (Smyth 2004)."""
	rows = [(s / noise, m - 1) for s, m in zip(table.squares, table.intervals, strict=True) if m > 2]
	rows = rows[:: max(len(rows) // 4000, 1)]
	if len(rows) < 20:
		return 4.0

	def log_likelihood(d: float) -> float:
		constant = 0.5 * d * math.log(d) - math.lgamma(d / 2)
		return sum(
			math.lgamma((d + df) / 2) + constant - 0.5 * (d + df) * math.log(d + squares)
			for squares, df in rows
		)

	return max((1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0), key=log_likelihood)


def _sweep(
	cadence: Cadence, table: PairTable, members: dict[str, array[Any]], counts: array[Any]
) -> list[Any]:
	"""Each level given those before it, then the coefficients; returns the terms of each pair."""
	precisions = [0.0, *(cadence.precision(m) for m in range(1, max(table.intervals) + 1))]
	weights = array("d", (precisions[m] for m in table.intervals))
	cadence.start = _start(cadence.coefficients[1], table, weights, counts)
	residual = array("d", map(cadence.residual, table.mean, counts))
	for name in LEVELS:
		level, member = cadence.levels[name], members[name]
		_fill(level, member, weights, residual)
		effects = [level.effect(i) for i in range(len(level.weight))]
		residual = array("d", (r - effects[i] for r, i in zip(residual, member, strict=True)))
	return _coefficients(cadence, table, members, weights, counts)


def _start(count: float, table: PairTable, weights: array[Any], counts: array[Any]) -> tuple[float, float]:
	"""What effects are measured from: the weighted mean once counts are taken off, and the count's term."""
	columns = zip(table.mean, counts, weights, strict=True)
	total = sum(w * (y - count * math.log1p(m)) for y, m, w in columns)
	return total / sum(weights), count


def _fill(level: Level, member: array[Any], weights: array[Any], residual: array[Any]) -> None:
	"""Sum residuals by member and estimate τ² by moments (Bühlmann & Straub)."""
	size = len(level.weight)
	weight, total = array("d", bytes(8 * size)), array("d", bytes(8 * size))
	for i, w, r in zip(member, weights, residual, strict=True):
		weight[i] += w
		total[i] += w * r
	present = [i for i in range(size) if weight[i] > 0]
	all_weight = sum(weight)
	mean = sum(total) / all_weight
	between = sum(weight[i] * (total[i] / weight[i] - mean) ** 2 for i in present)
	scale = all_weight - sum(weight[i] ** 2 for i in present) / all_weight
	tau2 = (between - (len(present) - 1)) / scale if scale > _TINY else 0.0
	level.weight, level.total = weight, total
	level.ridge = 1.0 / max(tau2, 1e-6)


def own_effects(
	cadence: Cadence, members: tuple[int | None, ...], weight: float, residual: float
) -> list[float]:
	"""Group, item and customer effect for one pair without its own data.

	Levels are fitted one after the other, so what is left out of each is the pair's residual given those
	before it.
	"""
	effects = []
	for name, member in zip(LEVELS, members, strict=True):
		level = cadence.levels.get(name)
		if level is None or member is None:
			effects.append(0.0)
			continue
		effects.append(level.effect(member, weight, residual))
		residual -= level.effect(member)
	return effects


def _coefficients(
	cadence: Cadence,
	table: PairTable,
	members: dict[str, array[Any]],
	weights: array[Any],
	counts: array[Any],
) -> list[tuple[int, tuple[Any, ...]]]:
	"""Fit what stands before count and effects, own data left out; returns the terms of a sample of pairs."""
	group, item, customer = (members[name] for name in LEVELS)
	regression = Regression([cadence.start[0], 0.0, 1.0, 1.0, 1.0], [1.0, 4.0, 4.0, 4.0, 4.0])
	rows = []
	for i in stride(len(table), MAX_PAIRS):
		y, m, w = table.mean[i], counts[i], weights[i]
		ids = group[i], item[i], customer[i]
		row = (1.0, math.log1p(m), *own_effects(cadence, ids, w, cadence.residual(y, m)))
		regression.add(row, y, w)
		rows.append((i, row))
	cadence.coefficients = regression.coefficients()
	return rows


def _pair_variance(cadence: Cadence, table: PairTable, rows: list[tuple[int, tuple[Any, ...]]]) -> None:
	"""τp² such that the latest interval is best foretold from the others of its pair.

	A pair's intervals are exchangeable, so leaving one out validates what will be done with the next: k in
	(m - 1) / (m - 1 + k) is the one with the least squared error, and τp² = σ²/k. One observation's worth of
	k = `DEFAULT_RATIO` keeps a shop without such pairs sensible.
	"""
	cases = []
	for i, row in rows:
		m = table.intervals[i]
		if m > 1:
			expected = sum(c * x for c, x in zip(cadence.coefficients, row, strict=True))
			others = (m * table.mean[i] - table.latest[i]) / (m - 1)
			cases.append((m - 1, others - expected, table.latest[i] - expected))

	def error(k: float) -> float:
		squared = sum((y - x * m / (m + k)) ** 2 for m, x, y in cases)
		return squared + cadence.noise * math.log(k / DEFAULT_RATIO) ** 2

	cadence.pair = cadence.noise / min(RATIOS, key=error)


def stride(size: int, most: int) -> range:
	"""Evenly spread rows, at most `most`: a sample that is the same every time."""
	return range(0, size, max(-(-size // most), 1))
