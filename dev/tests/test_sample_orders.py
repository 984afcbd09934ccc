"""The sample orders are what their maker makes, and hold what the demo is to show."""

import csv
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median

DEV = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DEV / "lib"))

import sample_orders

ROWS = list(csv.DictReader((DEV / "orders.csv").open(newline="")))


def test_the_file_is_what_its_maker_makes():
	made = [{key: str(value) for key, value in line.items()} for line in sample_orders.lines()]
	assert made == ROWS


def test_it_is_as_large_as_a_demo_bears():
	"""Each order becomes an invoice, which takes ERPNext the better part of a tenth of a second."""
	assert 1500 <= len(ROWS) <= 3000
	assert len({row["order"] for row in ROWS}) <= 700
	assert len({row["customer"] for row in ROWS}) >= 25
	assert len({row["item"] for row in ROWS}) >= 25


def test_days_reach_from_yesterday_back_two_years():
	days = [int(row["days_ago"]) for row in ROWS]
	assert min(days) == 1 and 720 <= max(days) <= 730


def test_returns_name_an_order_that_had_the_goods():
	sold = defaultdict(int)
	for row in ROWS:
		if int(row["quantity"]) > 0:
			sold[row["order"], row["item"]] += int(row["quantity"])
	back = [row for row in ROWS if int(row["quantity"]) < 0]
	assert len(back) >= 10
	assert all(-int(row["quantity"]) <= sold[row["returns"], row["item"]] for row in back)


def test_the_rhythms_are_there():
	days = defaultdict(set)
	for row in ROWS:
		if int(row["quantity"]) > 0:
			days[row["customer"], row["item"]].add(int(row["days_ago"]))
	intervals = defaultdict(list)
	for (_customer, item), found in days.items():
		intervals[item] += [b - a for a, b in pairwise(sorted(found))]
	usual = {item: median(values) for item, values in intervals.items() if values}
	for item, expected in (
		("Coffee Beans 1 kg", 28),
		("Dog Food 12 kg", 42),
		("Haircut", 35),
		("Resistance Bands", 182),
	):
		assert abs(usual[item] / expected - 1) < 0.2, (item, usual[item])
	bought = Counter(customer for customer, _item in days)
	last = {
		customer: min(d for (c, _i), found in days.items() if c == customer for d in found)
		for customer in bought
	}
	assert sum(day > 120 for day in last.values()) >= 5, "somebody must have stopped"
