"""The nightly refit: from purchase lines to `Priors`, in one pass and a few sums."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from .calibration import calibrate_intervals
from .credibility import Cadence, fit_cadence, own_effects, stride
from .distribution import HALF_DAY, tail
from .history import NEVER, History, Line, PairTable
from .linear import Regression
from .priors import Priors
from .survival import CENTRE, PRIOR_SD, Case, Outlook, fit_outlook

LOOKBACKS = (1, 2, 4)
"""The past days whose forecasts are checked, in horizons ago."""
USUAL_LOOKBACK = 2
ENOUGH_EVENTS = 300
MAX_CASES = 8_000
ELASTICITY_PRIOR_SD = 0.25
FIRST_STOP_PRIOR_SD = 1.5
GOLDEN = (5**0.5 - 1) / 2
SCORING_ROUNDS = 5
FEW_CASES = 500
"""So few may all stand at one silence."""
CHECKED = 2_000
FAR = 0.8


def fit(lines: Iterable[Line], today: int | None = None, horizon_days: int = 30) -> Priors:
	"""Learn how often customers buy again.

	With `today` the silence since each last purchase counts: the regression is fitted to what became of the
	pairs as they stood `horizon_days` and twice that ago (and four times, when purchases are rare). Without it only completed intervals count, and nothing is learned about stopping.

	Args:
		lines: (customer, item, group, day, quantity) sorted by customer, item and day, net of returns. An
			iterator will do: each line is read once.
		today: the last day known; later lines are ignored (and counted in `Priors.ignored_future`).
		horizon_days: the horizon that matters most.

	Raises:
		PurchaseError: lines out of order or unreal, with the line's customer and item.
	"""
	if today is None:
		history = History(lines, [None])
		priors = _priors(history, history.tables[0], today)
		_fit_completed(priors, history, history.tables[0])
		return priors
	history = History(lines, [today, *(today - horizon_days * back for back in LOOKBACKS)])
	priors = _priors(history, history.tables[0], today)
	cases, singles = _retrodictions(history, today)
	priors.outlook = fit_outlook(cases)
	if len(cases) < FEW_CASES and _belies_completed(priors, history, history.tables[0]):
		_fit_completed(priors, history, history.tables[0])
	priors.outlook.first_stop = _first_stop(priors.outlook, singles)
	return priors


def _belies_completed(priors: Priors, history: History, table: PairTable) -> bool:
	"""Whether the outlook contradicts the completed intervals: their mean lies `FAR` scales from its medians.

	Retrodictions that all stand at the same silence, as those of customers who buy on the same days, do not say when
	customers buy; the regression then finds an interval nobody ever had. Completed intervals lean to the short side
	of what is to come, far less than that.
	"""
	before = fit_cadence(history, table.without_latest(), table.intervals, priors.cadence)
	total, count = 0.0, 0
	for i in stride(len(table), CHECKED):
		if table.intervals[i] > 1:
			x, v = _without_latest(before, history, table, i)
			centre = sum(c * z for c, z in zip(priors.outlook.centre, x, strict=True))
			scale = math.exp(sum(c * z for c, z in zip(priors.outlook.scale, v, strict=True)))
			total += (table.latest[i] - centre) / scale
			count += 1
	return count > 0 and abs(total / count) > FAR


def _priors(history: History, table: PairTable, today: int | None) -> Priors:
	return Priors(
		cadence=fit_cadence(history, table),
		elasticity=_elasticity(*history.elastic),  # type: ignore[arg-type]
		today=today,
		lines=history.lines,
		purchases=history.purchases,
		ignored_future=history.ignored_future,
		index={
			"group": history.groups.index,
			"item": history.items.index,
			"customer": history.customers.index,
		},
		group_of=history.group_of,
	)


def _elasticity(squares: float, cross: float, total: float, df: int) -> float:
	"""Within-pair slope of log-interval on log-quantity, shrunk to 0 (ridge = normal prior), kept in [0, 1]."""
	if df < 2 or squares <= 0:
		return 0.0
	noise = max(total - cross * cross / squares, 1e-9) / df
	return min(max(cross / (squares + noise / ELASTICITY_PRIOR_SD**2), 0.0), 1.0)


def _fit_completed(priors: Priors, history: History, table: PairTable) -> None:
	"""Regress the latest interval of every pair on its others, then calibrate on what is left over."""
	default, noise = Outlook(), priors.cadence.noise
	before = fit_cadence(history, table.without_latest(), table.intervals, priors.cadence)
	precision = [noise / sd**2 for sd in PRIOR_SD[: len(CENTRE)]]
	regression, rows = Regression(default.centre, precision), []
	for i, m in enumerate(table.intervals):
		if m > 1:
			x, v = _without_latest(before, history, table, i)
			y = _within_day(table.latest[i], i)
			regression.add(x, y, 1.0)
			rows.append((x, v, y))
	if not rows:
		return
	centre = regression.coefficients()
	left = [y - sum(c * z for c, z in zip(centre, x, strict=True)) for x, _, y in rows]
	scale = _scale([v for _, v, _ in rows], left)
	priors.outlook = Outlook(centre, scale, default.stop, default.first_stop, len(rows))
	scales = (math.exp(sum(c * z for c, z in zip(scale, v, strict=True))) for _, v, _ in rows)
	priors.calibration = calibrate_intervals(r / s for r, s in zip(left, scales, strict=True))


def _within_day(log_interval: float, i: int) -> float:
	"""The interval at an even spread of moments within its last day, as ranges are to hold for moments."""
	return math.log(math.exp(log_interval) + (i * GOLDEN) % 1.0 - HALF_DAY)


def _scale(rows: list[tuple[float, ...]], left: list[float]) -> list[float]:
	"""Log-scale as a linear function of spread and count, by Fisher scoring (Harvey 1976).

	Squares beyond three scales are cut back, for what is learned is the width of the range, not its
	outliers; the level is left to the calibration.
	"""
	kappa = [0.5 * math.log(sum(r * r for r in left) / len(left)), 0.5, 0.0]
	expected, precision = kappa, [2.0 / sd**2 for sd in PRIOR_SD[len(CENTRE) :][:3]]
	for _ in range(SCORING_ROUNDS):
		regression = Regression(expected, precision)
		for v, r in zip(rows, left, strict=True):
			log_scale = sum(k * z for k, z in zip(kappa, v, strict=True))
			ratio = min(r * r * math.exp(-2 * log_scale), 9.0)
			regression.add(v, log_scale + 0.5 * (ratio - 1), 1.0)
		kappa = regression.coefficients()
	return kappa


def _without_latest(cadence: Cadence, history: History, table: PairTable, i: int) -> Any:
	"""Terms of a pair whose latest interval is to be foretold from its others.

	Intervals of one pair are exchangeable, so its count stays what it is: the next one stands to all of them
	as the latest does to the others. `cadence` knows nobody's latest interval, as nobody's next one is known:
	a customer's purchases move together.
	"""
	m, mean, latest = table.intervals[i], table.mean[i], table.latest[i]
	others, item = (m * mean - latest) / (m - 1), table.item[i]
	members = (history.group_of[item], item, table.customer[i])
	own = cadence.precision(m - 1), cadence.residual(others, m)
	expected = cadence.expected(m, *own_effects(cadence, members, *own))
	squares = max(table.squares[i] - (latest - others) ** 2 * (m - 1) / m, 0.0)
	centre = (1.0, expected, (m - 1) / m * (others - expected), 0.0, math.log1p(m))
	return centre, (1.0, math.log(cadence.spread(squares, m - 1)), math.log1p(m))


def _retrodictions(history: History, today: int) -> tuple[list[Case], list[Case]]:
	"""Forecasts as they would have been made on past days, and what has become of them by today.

	Each past day uses only what was known then. The oldest day is looked at only when the others saw too few
	purchases.
	"""
	cases: list[Case] = []
	singles: list[Case] = []
	for back, table in zip(LOOKBACKS, history.tables[1:], strict=True):
		enough = back > USUAL_LOOKBACK and sum(case.bought for case in cases) >= ENOUGH_EVENTS
		if enough or not len(table):
			continue
		then = Priors(cadence=fit_cadence(history, table))
		cases += _cases(then, history, table, today)
		singles += _single_cases(then, history, table, today)
	return cases, singles


def _outcome(table: PairTable, last: int, after: int, today: int) -> tuple[int, int, bool]:
	bought = after != NEVER and after <= today
	return table.day - last, (after if bought else today) - table.day, bought


def _cases(then: Priors, history: History, table: PairTable, today: int) -> list[Case]:
	cases = []
	for i in stride(len(table), MAX_CASES):
		item, m = table.item[i], table.intervals[i]
		members = (history.group_of[item], item, table.customer[i])
		basis = then.basis(members, m, table.mean[i], table.squares[i], table.latest[i])
		outcome = _outcome(table, table.last[i], table.after[i], today)
		cases.append(Case(basis.centre, basis.scale, m + 1, *outcome))
	return cases


def _single_cases(then: Priors, history: History, table: PairTable, today: int) -> list[Case]:
	cases = []
	for i in stride(len(table.single_item), MAX_CASES):
		item = table.single_item[i]
		members = (history.group_of[item], item, table.single_customer[i])
		basis = then.basis(members, 0, 0.0, 0.0, 0.0)
		outcome = _outcome(table, table.single_last[i], table.single_after[i], today)
		cases.append(Case(basis.centre, basis.scale, 1, *outcome))
	return cases


def _first_stop(outlook: Outlook, singles: list[Case]) -> float:
	"""Stop probability after a first purchase: the maximum of the likelihood of `survival`, all else given.

	Its prior is what later purchases say, a / (a + b), give or take `FIRST_STOP_PRIOR_SD` in log-odds.
	"""
	guess = outlook.stop[0] - outlook.stop[1]
	watched = []
	for case in singles:
		centre = sum(c * x for c, x in zip(outlook.centre, case.centre, strict=True))
		scale = math.exp(sum(c * x for c, x in zip(outlook.scale, case.scale, strict=True)))
		ends = (case.elapsed, case.elapsed + case.followed)
		before, after = (tail((math.log(t + HALF_DAY) - centre) / scale) for t in ends)
		watched.append((before, 0.0 if case.bought else after, case.bought))

	def log_likelihood(log_odds: float) -> float:
		theta = 1 / (1 + math.exp(-log_odds))
		total = -0.5 * ((log_odds - guess) / FIRST_STOP_PRIOR_SD) ** 2
		for before, after, bought in watched:
			entered = theta + (1 - theta) * before
			total += math.log((1 - theta if bought else theta + (1 - theta) * after) / entered)
		return total

	return 1 / (1 + math.exp(-_maximum(log_likelihood, -8.0, 8.0)))


def _maximum(function: Callable[[float], float], low: float, high: float) -> float:
	"""Where a function with one peak is highest (golden-section search, Kiefer 1953)."""
	ratio = (5**0.5 - 1) / 2
	left, right = high - ratio * (high - low), low + ratio * (high - low)
	at_left, at_right = function(left), function(right)
	while high - low > 0.01:
		if at_left > at_right:
			high, right, at_right = right, left, at_left
			left = high - ratio * (high - low)
			at_left = function(left)
		else:
			low, left, at_left = left, right, at_right
			right = low + ratio * (high - low)
			at_right = function(right)
	return (low + high) / 2
