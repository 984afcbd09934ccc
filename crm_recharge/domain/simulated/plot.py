"""A balance over time: in the terminal, or as a PNG file, with nothing but the standard library.

A picture is drawn with matplotlib where it is installed, else plainly, pixel by pixel.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path

PIXEL_WIDTH, PIXEL_HEIGHT = 900, 220
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 70, 15, 28, 24
WHITE, BLACK, GREY = (255, 255, 255), (40, 40, 40), (215, 215, 215)
BLUE, ORANGE, RED, GREEN = (31, 119, 180), (230, 126, 34), (192, 57, 43), (39, 134, 82)


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
			bands[column] = _widened(bands[column], last)
		return bands


def _widened(band, value: float) -> tuple[float, float]:
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


def to_png(curves: Sequence[Curve], path: Path) -> str:
	"""Write `curves`, one below the other, to `path`. Returns what drew them. Raises OSError."""
	try:
		# Named at run time: the rules need the standard library alone.
		matplotlib = import_module("matplotlib.figure")
	except ImportError:
		path.write_bytes(_drawn(curves))
		return "drawn without matplotlib"
	figure = matplotlib.Figure(figsize=(10, 2.6 * len(curves)), layout="constrained")
	for axes, curve in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves, strict=True):
		_on_axes(axes, curve)
	figure.savefig(path, format="png", dpi=110)
	return "drawn by matplotlib"


def _on_axes(axes, curve: Curve) -> None:
	times = [time for time, _ in curve.points] + [curve.end]
	values = [float(balance) for _, balance in curve.points]
	axes.step(times, values + values[-1:], where="post", linewidth=1)
	axes.axhline(float(curve.threshold), linestyle=":", color="tab:orange")
	for moments, colour in ((curve.paid, "tab:green"), (curve.failed, "tab:red")):
		for moment in moments:
			axes.axvline(moment, color=colour, alpha=0.5, linewidth=1)
	axes.plot(curve.refused, [0] * len(curve.refused), "x", color="tab:red", markersize=4)
	axes.set_title(curve.title, fontsize=9, loc="left")
	axes.set_xlim(curve.start, curve.end)


class Canvas:
	"""Pixels, as few tricks as a line chart needs."""

	def __init__(self, width: int, height: int):
		self.width, self.height = width, height
		self._rows = [bytearray(bytes(WHITE) * width) for _ in range(height)]

	def dot(self, x: int, y: int, colour) -> None:
		"""One pixel; what lies outside is left out."""
		if 0 <= x < self.width and 0 <= y < self.height:
			self._rows[y][3 * x : 3 * x + 3] = bytes(colour)

	def down(self, x: int, y0: int, y1: int, colour) -> None:
		"""A vertical line."""
		for y in range(min(y0, y1), max(y0, y1) + 1):
			self.dot(x, y, colour)

	def across(self, x0: int, x1: int, y: int, colour, every: int = 1) -> None:
		"""A horizontal line, dotted when `every` is more than 1."""
		for x in range(x0, x1 + 1, every):
			self.dot(x, y, colour)

	def text(self, x: int, y: int, words: str, colour=BLACK) -> None:
		"""Capitals and figures, three by five dots each, doubled."""
		for number, letter in enumerate(words.upper()):
			bits = GLYPHS.get(letter, GLYPHS["?"])
			for place in range(15):
				if bits >> (14 - place) & 1:
					left, upper = x + number * 8 + place % 3 * 2, y + place // 3 * 2
					for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
						self.dot(left + dx, upper + dy, colour)

	def png(self) -> bytes:
		"""The picture as a PNG file (true colour, no interlace; ISO/IEC 15948)."""
		raw = b"".join(b"\0" + bytes(row) for row in self._rows)
		header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
		chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 9)) + _chunk(b"IEND", b"")
		return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
	return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _drawn(curves: Sequence[Curve]) -> bytes:
	canvas = Canvas(PIXEL_WIDTH, PIXEL_HEIGHT * len(curves))
	for number, curve in enumerate(curves):
		_draw(canvas, curve, number * PIXEL_HEIGHT)
	return canvas.png()


def _draw(canvas: Canvas, curve: Curve, upper: int) -> None:
	left, right = MARGIN_LEFT, PIXEL_WIDTH - MARGIN_RIGHT
	high, low = upper + MARGIN_TOP, upper + PIXEL_HEIGHT - MARGIN_BOTTOM
	top, bottom = curve.top, curve.bottom

	def y_of(value: float) -> int:
		return low - round((value - bottom) / (top - bottom) * (low - high))

	def x_of(time: datetime) -> int:
		return left + round(curve.share(time) * (right - left))

	canvas.text(left, upper + 10, curve.title)
	for value in {top, bottom, 0.0}:
		canvas.across(left, right, y_of(value), GREY)
	for value in {top, bottom, float(curve.threshold)}:
		canvas.text(left - 8 * len(_label(value)) - 4, y_of(value) - 5, _label(value))
	canvas.across(left, right, y_of(float(curve.threshold)), ORANGE, every=4)
	for times, colour in ((curve.paid, GREEN), (curve.failed, RED)):
		for time in times:
			canvas.down(x_of(time), low + 1, low + 7, colour)
	before = None
	for column, band in enumerate(curve.bands(right - left + 1)):
		if band:
			lowest, highest = band if before is None else (min(band[0], before[1]), max(band[1], before[0]))
			canvas.down(left + column, y_of(lowest), y_of(highest), BLUE)
			before = band
	for time in curve.refused:
		for offset in range(-2, 3):
			canvas.dot(x_of(time) + offset, low + offset, RED)
			canvas.dot(x_of(time) + offset, low - offset, RED)
	canvas.text(left, low + 10, f"{curve.start:%Y-%m-%d}")
	canvas.text(right - 80, low + 10, f"{curve.end:%Y-%m-%d}")


# Fifteen dots a letter, row by row from the upper left.
GLYPHS = {
	letter: int(dots.replace("/", "").replace(".", "0").replace("#", "1"), 2)
	for letter, dots in (
		line.split(" ", 1)
		for line in (
			"0 ###/#.#/#.#/#.#/###|1 .#./##./.#./.#./###|2 ###/..#/###/#../###|3 ###/..#/.##/..#/###"
			"|4 #.#/#.#/###/..#/..#|5 ###/#../###/..#/###|6 ###/#../###/#.#/###|7 ###/..#/..#/.#./.#."
			"|8 ###/#.#/###/#.#/###|9 ###/#.#/###/..#/###|A .#./#.#/###/#.#/#.#|B ##./#.#/##./#.#/##."
			"|C .##/#../#../#../.##|D ##./#.#/#.#/#.#/##.|E ###/#../##./#../###|F ###/#../##./#../#.."
			"|G .##/#../#.#/#.#/.##|H #.#/#.#/###/#.#/#.#|I ###/.#./.#./.#./###|J ..#/..#/..#/#.#/.#."
			"|K #.#/#.#/##./#.#/#.#|L #../#../#../#../###|M #.#/###/###/#.#/#.#|N ##./#.#/#.#/#.#/#.#"
			"|O .#./#.#/#.#/#.#/.#.|P ##./#.#/##./#../#..|Q .#./#.#/#.#/##./.##|R ##./#.#/##./#.#/#.#"
			"|S .##/#../.#./..#/##.|T ###/.#./.#./.#./.#.|U #.#/#.#/#.#/#.#/###|V #.#/#.#/#.#/#.#/.#."
			"|W #.#/#.#/###/###/#.#|X #.#/#.#/.#./#.#/#.#|Y #.#/#.#/.#./.#./.#.|Z ###/..#/.#./#../###"
			"|- .../.../###/.../...|. .../.../.../.../.#.|, .../.../.../.#./#..|: .../.#./.../.#./..."
			"|/ ..#/..#/.#./#../#..|_ .../.../.../.../###|( .#./#../#../#../.#.|) .#./..#/..#/..#/.#."
			"|@ ###/#.#/###/#../###|? ##./..#/.#./.../.#.|& .#./#.#/.#./#.#/.##"
		).split("|")
	)
}
GLYPHS[" "] = 0
