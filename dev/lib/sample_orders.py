"""Two years of orders of a made-up shop, with rhythms a reorder reminder should find, and some it should not.

	python dev/lib/sample_orders.py > dev/orders.csv

Always writes the same file. One line is one row of an order: order, customer, item, item_group, kind (goods or
service), days_ago (1 is yesterday on the day of the import), quantity, rate. A negative quantity takes back goods of
the order named in `returns`.
"""

import csv
import math
import random
import sys
from dataclasses import dataclass

SEED = 20261121
DAYS = 730
MERGED = 6
"""Things due within so many days are bought together."""


@dataclass(frozen=True)
class Item:
	code: str
	group: str
	rate: str
	kind: str = "goods"


ITEMS = {
	item.code: item
	for item in (
		Item("Coffee Beans 1 kg", "Coffee", "18.90"),
		Item("Decaf Beans 500 g", "Coffee", "11.40"),
		Item("Espresso Beans 1 kg", "Coffee", "21.50"),
		Item("Filter Papers", "Coffee", "3.20"),
		Item("Oat Milk, Six", "Coffee", "13.80"),
		Item("Descaler", "Coffee", "8.70"),
		Item("Dog Food 12 kg", "Pets", "54.00"),
		Item("Dog Treats", "Pets", "6.90"),
		Item("Cat Food 4 kg", "Pets", "24.50"),
		Item("Cat Litter 20 l", "Pets", "12.90"),
		Item("Flea Collar", "Pets", "19.00"),
		Item("Ink Black", "Office", "22.90"),
		Item("Ink Colour", "Office", "27.90"),
		Item("Paper, 2500 Sheets", "Office", "29.00"),
		Item("Envelopes", "Office", "9.50"),
		Item("Water Filter", "Household", "14.90"),
		Item("Dishwasher Tablets", "Household", "16.50"),
		Item("Vacuum Bags", "Household", "12.40"),
		Item("Razor Blades", "Care", "19.90"),
		Item("Shampoo Refill", "Care", "13.50"),
		Item("Resistance Bands", "Sports", "24.00"),
		Item("Running Shoes", "Sports", "129.00"),
		Item("Garden Soil 40 l", "Garden", "9.80"),
		Item("Bird Food 5 kg", "Garden", "15.60"),
		Item("Haircut", "Services", "42.00", "service"),
		Item("Beard Trim", "Services", "19.00", "service"),
	)
}

# What is bought together, and every how many days: (items with the chance of each), days, spread of the log.
BASKETS = {
	"coffee": (
		{"Coffee Beans 1 kg": 1, "Filter Papers": 0.95, "Oat Milk, Six": 0.85, "Descaler": 0.4},
		28,
		0.16,
	),
	"espresso": (
		{"Espresso Beans 1 kg": 1, "Decaf Beans 500 g": 0.8, "Oat Milk, Six": 0.8, "Descaler": 0.3},
		26,
		0.2,
	),
	"dog": ({"Dog Food 12 kg": 1, "Dog Treats": 0.9, "Flea Collar": 0.2}, 42, 0.14),
	"cat": ({"Cat Food 4 kg": 1, "Cat Litter 20 l": 0.95, "Flea Collar": 0.15}, 35, 0.15),
	"office": ({"Ink Black": 1, "Ink Colour": 0.7, "Paper, 2500 Sheets": 0.8, "Envelopes": 0.4}, 91, 0.2),
	"house": ({"Dishwasher Tablets": 1, "Water Filter": 0.8, "Vacuum Bags": 0.7}, 60, 0.2),
	"hair": ({"Haircut": 1, "Beard Trim": 0.5}, 35, 0.12),
	"care": ({"Razor Blades": 1, "Shampoo Refill": 0.9}, 50, 0.22),
	"sports": ({"Resistance Bands": 1}, 182, 0.1),
	"shoes": ({"Running Shoes": 1}, 240, 0.2),
}

# Bought in these months of the year alone (days of the year), and every so many days then.
SEASONS = {
	"garden": ({"Garden Soil 40 l": 1, "Bird Food 5 kg": 0.3}, (80, 160), 21),
	"birds": ({"Bird Food 5 kg": 1}, (300, 365), 20),
}

# (customer, baskets, what is special). The tempo of each is drawn.
PEOPLE = [
	*(
		(name, baskets, "")
		for name, baskets in (
			("Ada Lindqvist", "coffee house care"),
			("Carla Nunes", "coffee cat house care"),
			("Daniel Okafor", "dog house coffee"),
			("Elif Demir", "cat care"),
			("Greta Vogel", "house care"),
			("Hugo Lambert", "espresso office"),
			("Ines Ferreira", "dog sports"),
			("Kaya Whitman", "coffee office house coffee"),
			("Olga Petrova", "coffee birds"),
			("Rosa Delgado", "dog garden"),
			("Uma Raghavan", "house sports"),
			("Wanda Kowalska", "cat garden"),
		)
	),
	("Northside Dental", "office coffee", "doubles"),
	("Harbour Law Office", "office espresso", "doubles"),
	("Kite Street Studio", "coffee office house coffee", ""),
	("Yara Hashemi", "coffee dog", "stops"),
	("Zeno Albright", "cat house care", "stops"),
	("Amber Castellan", "espresso care", "stops"),
	("Boris Tanaka", "hair coffee", "stops"),
	("Celia Thorne", "dog house coffee", "stops"),
	("Dario Esposito", "coffee cat house care", "irregular"),
	("Edda Jansen", "house care", "irregular"),
	("Felix Oduya", "office shoes", "irregular"),
	("Gina Moretti", "garden birds", ""),
	*(
		(name, basket, "once")
		for name, basket in (
			("Hal Winters", "espresso"),
			("Ida Brooks", "dog"),
			("Jay Morrow", "shoes"),
			("Kim Sorensen", "office"),
		)
	),
]


def visits(draw: random.Random, basket: str, special: str) -> list[int]:
	"""Days ago on which a customer needs a basket."""
	if basket in SEASONS:
		return _seasonal(draw, *SEASONS[basket][1:])
	_items, days, spread = BASKETS[basket]
	tempo = days * math.exp(draw.gauss(0, 0.15))
	if special == "irregular":
		spread = 0.75
	first = DAYS - draw.randint(0, int(tempo) if draw.random() < 0.7 else 400)
	if special == "once":
		return [draw.randint(5, 500)]
	last = draw.randint(150, 420) if special == "stops" else 1
	found, at = [], float(first)
	while at >= last:
		found.append(round(at))
		at -= max(tempo * math.exp(draw.gauss(0, spread)), 2)
	return found


def _seasonal(draw: random.Random, season: tuple[int, int], days: int) -> list[int]:
	"""Seasons count from the first day of the file: it may be imported on any day of a year."""
	found = []
	for year in (0, 365):
		at = year + season[0] + draw.randint(0, 15)
		while at < year + season[1]:
			found.append(DAYS - at)
			at += max(round(days * math.exp(draw.gauss(0, 0.25))), 3)
	return [day for day in found if day >= 1]


def contents(draw: random.Random, basket: str, special: str) -> dict[str, int]:
	"""What is in a basket this time."""
	items = (SEASONS[basket] if basket in SEASONS else BASKETS[basket])[0]
	most = 4 if special == "doubles" else 2 if draw.random() < 0.15 else 1
	chosen = {
		item: 1 if ITEMS[item].kind == "service" else most for item, p in items.items() if draw.random() < p
	}
	return chosen or {next(iter(items)): most}


def orders(draw: random.Random):
	"""(days ago, customer, {item: quantity}) of all customers, oldest first; what is due together in one."""
	found = []
	for customer, baskets, special in PEOPLE:
		wanted = sorted(
			((day, basket) for basket in baskets.split() for day in visits(draw, basket, special)),
			reverse=True,
		)
		together: list[tuple[int, dict]] = []
		for day, basket in wanted:
			if not together or together[-1][0] - day > MERGED:
				together.append((day, {}))
			for item, quantity in contents(draw, basket, special).items():
				together[-1][1].setdefault(item, quantity)
		found += [(day, customer, items) for day, items in together]
	late = min(day for day, _customer, _items in found) - 1
	moved = [(day - late, customer, items) for day, customer, items in found]
	return sorted(moved, key=lambda order: (-order[0], order[1]))


def lines():
	"""All lines of the file, as dicts."""
	draw = random.Random(SEED)
	number = 0
	for day, customer, items in orders(draw):
		number += 1
		name = f"O{number:05}"
		for item, quantity in items.items():
			yield _line(name, customer, item, day, quantity)
		goods = [item for item in items if ITEMS[item].kind == "goods"]
		if goods and day > 12 and draw.random() < 0.025:
			number += 1
			item = draw.choice(goods)
			yield _line(
				f"O{number:05}", customer, item, day - draw.randint(2, 10), -items[item], returns=name
			)


def _line(order: str, customer: str, item: str, day: int, quantity: int, returns: str = "") -> dict:
	what = ITEMS[item]
	return {
		"order": order,
		"customer": customer,
		"item": item,
		"item_group": what.group,
		"kind": what.kind,
		"days_ago": day,
		"quantity": quantity,
		"rate": what.rate,
		"returns": returns,
	}


def main():
	rows = list(lines())
	writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
	writer.writeheader()
	writer.writerows(rows)


if __name__ == "__main__":
	main()
