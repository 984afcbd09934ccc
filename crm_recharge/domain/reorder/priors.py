"""What the nightly refit learns, as numbers that fit into one JSON document."""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .credibility import LEVELS, Cadence, Level, own_effects
from .survival import Outlook

VERSION = 1


class PriorsError(ValueError):
	"""Stored priors that cannot be read; the message says why."""


@dataclass(slots=True)
class Calibration:
	"""How forecasts are corrected by what became of earlier ones.

	`shift` moves the median, in scales; `lower` and `upper` stretch the range on each side; `stop` moves the
	log-odds of having stopped. `cases` is how many resolved predictions it rests on.
	"""

	shift: float = 0.0
	lower: float = 1.0
	upper: float = 1.0
	stop: float = 0.0
	cases: int = 0


@dataclass(slots=True)
class Basis:
	"""What is known of one pair when it is forecast, reduced to the model's terms.

	`learned`, 0 to 1, is how far the regression applies; the rest is the rule's default interval, which
	counts as much as one interval of another customer, or one of this one.
	"""

	centre: tuple[float, ...]
	scale: tuple[float, ...]
	expected: float
	learned: float


@dataclass(slots=True)
class Priors:
	"""Everything learned from all pairs together. Made by `fit`, used by `predict`, stored as JSON.

	Attributes:
		cadence: how long intervals are, by group, item and customer.
		outlook: the regression that turns this into a forecast, and the stop probability.
		calibration: what resolved predictions taught.
		elasticity: relative change of the interval per relative change of the quantity that began it.
		today: the day the history was read up to, or None when it was read without a clock.
	"""

	cadence: Cadence = field(default_factory=Cadence)
	outlook: Outlook = field(default_factory=Outlook)
	calibration: Calibration = field(default_factory=Calibration)
	elasticity: float = 0.0
	today: int | None = None
	lines: int = 0
	purchases: int = 0
	ignored_future: int = 0
	index: dict[str, dict[Hashable, int]] = field(default_factory=lambda: {name: {} for name in LEVELS})
	group_of: array[Any] = field(default_factory=lambda: array("i"))

	def members(self, customer: Hashable, item: Hashable, group: Hashable) -> tuple[int | None, ...]:
		"""Numbers of group, item and customer; None for what has not been seen with an interval."""
		number = self.index["item"].get(item)
		if group is not None:
			group_number = self.index["group"].get(group)
		else:
			group_number = None if number is None else self.group_of[number]
		return group_number, number, self.index["customer"].get(customer)

	def basis(
		self,
		members: tuple[int | None, ...],
		intervals: int,
		mean: float,
		squares: float,
		latest: float,
		rule_default: float | None = None,
	) -> Basis:
		"""Terms of the regression for one pair; see `survival.CENTRE` and `survival.SCALE`."""
		cadence, m = self.cadence, intervals
		weight, residual = (cadence.precision(m), cadence.residual(mean, m)) if m else (0.0, 0.0)
		effects = own_effects(cadence, members, weight, residual)
		expected, learned = cadence.expected(m, *effects), 1.0
		if rule_default or not cadence.pairs:
			known = self._learned(members[1], weight)
			default = math.log(rule_default) + cadence.coefficients[4] * effects[2] if rule_default else mean
			expected = known * expected + (1 - known) * (default + m * mean) / (1 + m)
			learned = known + (1 - known) * m / (1 + m) if cadence.pairs else 0.0
		share = m / (m + 1.0)
		scale = (1.0, math.log(cadence.spread(squares, m)), math.log1p(m))
		centre = (1.0, expected, share * (mean - expected), share * (latest - mean), math.log1p(m))
		return Basis(centre, scale, expected, learned)

	def _learned(self, item: int | None, weight: float) -> float:
		"""How much other customers have taught of the item, 0 to 1: what the rule's default yields to."""
		level = self.cadence.levels.get("item")
		if level is None or item is None:
			return 0.0
		others = max(level.weight[item] - weight, 0.0)
		return others / (others + self.cadence.precision(1))

	def to_dict(self) -> dict[str, Any]:
		"""Plain JSON; names of customers, items and groups must be text to come back the same."""
		groups = {number: name for name, number in self.index["group"].items()}
		levels = {name: self._stored(name) for name in LEVELS if name in self.cadence.levels}
		items = levels["item"]["members"] if levels else {}
		cadence = {f.name: getattr(self.cadence, f.name) for f in fields(Cadence)}
		return {
			"version": VERSION,
			"cadence": cadence | {"start": list(self.cadence.start), "levels": levels},
			"outlook": asdict(self.outlook),
			"calibration": asdict(self.calibration),
			"group_of": {item: groups[self.group_of[self.index["item"][item]]] for item in items},
			**{name: getattr(self, name) for name in _SCALARS},
		}

	def _stored(self, name: str) -> dict[str, Any]:
		"""A level as JSON: only members with an interval, for the others say nothing."""
		level = self.cadence.levels[name]
		rows = self.index[name].items()
		return {
			"ridge": level.ridge,
			"members": {key: [level.weight[i], level.total[i]] for key, i in rows if level.weight[i] > 0},
		}

	@classmethod
	def from_dict(cls, stored: dict[str, Any]) -> Priors:
		"""The priors that `to_dict` wrote.

		Raises:
			PriorsError: another version, or parts missing.
		"""
		if stored.get("version") != VERSION:
			raise PriorsError(f"Priors of version {stored.get('version')!r} cannot be read: refit them")
		try:
			return cls._read(stored)
		except (KeyError, TypeError, AttributeError, IndexError) as error:
			raise PriorsError(f"Stored priors are damaged ({error}): refit them") from error

	@classmethod
	def _read(cls, stored: dict[str, Any]) -> Priors:
		plain = dict(stored["cadence"])
		levels, index = {}, {name: {} for name in LEVELS}  # type: ignore[var-annotated]
		for name, rows in plain.pop("levels").items():
			index[name] = {key: i for i, key in enumerate(rows["members"])}
			pairs = list(rows["members"].values())
			weight, total = array("d", (w for w, _ in pairs)), array("d", (t for _, t in pairs))
			levels[name] = Level(weight, total, rows["ridge"])
		plain["start"] = tuple(plain["start"])
		group_of = array("i", (index["group"][stored["group_of"][item]] for item in index["item"]))
		return cls(
			cadence=Cadence(**plain, levels=levels),
			outlook=Outlook(**stored["outlook"]),
			calibration=Calibration(**stored["calibration"]),
			index=index,
			group_of=group_of,
			**{name: stored[name] for name in _SCALARS},
		)


_SCALARS = ("elasticity", "today", "lines", "purchases", "ignored_future")
