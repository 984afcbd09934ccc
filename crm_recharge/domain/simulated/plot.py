"""A balance over time: in the terminal, or as an SVG file, with nothing but the standard library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 900, 220
"""Of one curve in a picture."""
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 70, 15, 28, 24
BLACK, GREY, BLUE, ORANGE, RED, GREEN = "#282828", "#d7d7d7", "#1f77b4", "#e67e22", "#c0392b", "#278652"


@dataclass(frozen=True, slots=True)
class Curve:
	"""One account's balance: `points` are (time, balance from then on), marks the moments worth one."""

	title: str
	points: Sequence[tuple[datetime, Decimal]]
	threshold: Decimal
	start: datetime
	end: datetime
	paid: Sequence[datetime] = field(default_factory=tuple)
	failed: Sequence[datetime] = field(default_factory=tuple)
	refused: Sequence[datetime] = field(default_factory=tuple)

	@property
	def top(self) -> float:
		return max(float(self.threshold), *(float(balance) for _, balance in self.points), 1.0)

	@property
	def bottom(self) -> float:
		return min(0.0, *(float(balance) for _, balance in self.points))

	def share(self, time: datetime) -> float:
		"""Where `time` lies between start (0) and end (1); what came before the start lies at it."""
		length = (self.end - self.start).total_seconds()
		return max(0.0, (time - self.start).total_seconds() / length) if length else 0.0

	def bands(self, columns: int) -> list[tuple[float, float] | None]:
		"""Lowest and highest balance within each of `columns` equal spans of time."""
		bands: list[tuple[float, float] | None] = [None] * columns
		last, at = None, 0
		for time, balance in self.points:
			value, column = float(balance), min(int(self.share(time) * columns), columns - 1)
			if last is not None:
				for between in range(at, column + 1):
					bands[between] = _widened(bands[between], last)
			bands[column] = _widened(bands[column], value)
			last, at = value, column
		for column in range(at, columns if last is not None else 0):
			bands[column] = _widened(bands[column], last)  # type: ignore[arg-type]
		return bands


def _widened(band: Any, value: float) -> tuple[float, float]:
	return (min(band[0], value), max(band[1], value)) if band else (value, value)


# -- terminal ----------------------------------------------------------------------------------------------


def in_terminal(curve: Curve, width: int = 72, height: int = 10, plain: bool = False) -> list[str]:
	"""`curve` as lines of text: columns of balance, the threshold dotted, a line of marks below.

	`plain` keeps to ASCII.
	"""
	full, dots = ("#", "-") if plain else ("█", "┈")
	top, bottom = curve.top, curve.bottom
	step = (top - bottom) / height
	bands = curve.bands(width)
	threshold_row = _row(float(curve.threshold), bottom, step, height)
	lines = []
	for row in reversed(range(height)):
		cells = [
			full
			if band and _row(band[0], bottom, step, height) <= row <= _row(band[1], bottom, step, height)
			else (dots if row == threshold_row else " ")
			for band in bands
		]
		label = ""
		if row == height - 1:
			label = _label(top)
		elif row == threshold_row:
			label = _label(float(curve.threshold))
		elif row == 0:
			label = _label(bottom)
		lines.append(f"{label:>9} |{''.join(cells)}")
	marks = _marks(curve, width)
	if marks.strip():
		lines.append(f"{'':>9} |{marks}".rstrip())
	start, end = f"{curve.start:%Y-%m-%d}", f"{curve.end:%Y-%m-%d}"
	lines.append(f"{'':>9} +{start}{'-' * (width - len(start) - len(end))}{end}")
	return lines


def _row(value: float, bottom: float, step: float, height: int) -> int:
	return max(0, min(height - 1, math.ceil((value - bottom) / step) - 1))


def _label(value: float) -> str:
	return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:,.2f}"


def _marks(curve: Curve, width: int) -> str:
	cells = [" "] * width
	# The graver mark wins where several fall into one column.
	for times, mark in ((curve.paid, "^"), (curve.refused, "x"), (curve.failed, "!")):
		for time in times:
			cells[min(int(curve.share(time) * width), width - 1)] = mark
	return "".join(cells)


# -- picture -----------------------------------------------------------------------------------------------


def to_svg(curves: Sequence[Curve], path: Path) -> None:
	"""Write `curves`, one below the other, to `path` as a picture for browsers. Raises OSError."""
	height = HEIGHT * len(curves)
	lines = [
		f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
		' font-family="sans-serif" font-size="11">',
		f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
	]
	for number, curve in enumerate(curves):
		lines += [f'<g transform="translate(0 {number * HEIGHT})">', *_drawn(curve), "</g>"]
	path.write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")


def _drawn(curve: Curve) -> list[str]:
	left, right, low = MARGIN_LEFT, WIDTH - MARGIN_RIGHT, HEIGHT - MARGIN_BOTTOM
	top, bottom, threshold = curve.top, curve.bottom, float(curve.threshold)

	def y_of(value: float) -> float:
		return round(low - (value - bottom) / (top - bottom) * (low - MARGIN_TOP), 1)

	def x_of(time: datetime) -> float:
		return round(left + curve.share(time) * (right - left), 1)

	lines = [_text(left, MARGIN_TOP - 10, curve.title)]
	for value in sorted({top, bottom, 0.0}):
		lines.append(_line(left, y_of(value), right, y_of(value), GREY))
	for value in sorted({top, bottom, threshold}):
		lines.append(_text(left - 4, y_of(value) + 4, _label(value), "end"))
	lines.append(_line(left, y_of(threshold), right, y_of(threshold), ORANGE, ' stroke-dasharray="1 3"'))
	for times, colour in ((curve.paid, GREEN), (curve.failed, RED)):
		lines += [_line(x_of(time), low + 1, x_of(time), low + 7, colour) for time in times]
	lines.append(f'<path fill="none" stroke="{BLUE}" d="{_steps(curve, x_of, y_of)}"/>')
	lines += [_text(x_of(time), low + 4, "×", "middle", RED) for time in curve.refused]
	lines.append(_text(left, low + 18, f"{curve.start:%Y-%m-%d}"))
	lines.append(_text(right, low + 18, f"{curve.end:%Y-%m-%d}", "end"))
	return lines


def _steps(curve: Curve, x_of: Any, y_of: Any) -> str:
	"""The balance as a path: level until it changes."""
	(start, first), *later = curve.points
	moves = [f"H{x_of(time)}V{y_of(float(balance))}" for time, balance in later]
	return f"M{x_of(start)} {y_of(float(first))}{''.join(moves)}H{x_of(curve.end)}"


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, more: str = "") -> str:
	return f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="{colour}"{more}/>'


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = BLACK) -> str:
	return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
