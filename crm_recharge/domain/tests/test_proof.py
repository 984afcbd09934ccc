"""A ledger that holds is told from one in which anything was changed."""

import copy
import json
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from crm_recharge.domain import chain, proof
from crm_recharge.domain.book import Book
from crm_recharge.domain.money import plain, stored

START = datetime(2026, 3, 1, 12)


def make_export() -> dict:
	names = iter(f"n{i:03}" for i in range(1000))
	book = Book("CA-1", "USD", Decimal(0), 0, "", {}, lambda: next(names))

	def details(key):
		return {
			"request_key": chain.request_key("CA-1", "x", key),
			"request_hash": "h",
			"note": f"note {key}",
		}

	book.add("Recharge", Decimal(100), START, paid_value=Decimal(100), **details("1"))
	for n in range(8):
		book.use(Decimal("7.000000001"), START + timedelta(minutes=n), **details(f"u{n}"))
	book.add("Grant", Decimal(5), START + timedelta(hours=1), priority=1, **details("g"))
	book.use(Decimal(20), START + timedelta(hours=2), **details("last"))
	rows = [
		{
			"name": e.name,
			"sequence": e.sequence,
			"entry_type": e.entry_type,
			"amount": stored(e.amount),
			"balance_after": stored(e.balance_after),
			"posted_at": str(e.posted_at),
			"occurred_at": str(e.occurred_at),
			"request_key": e.request_key,
			"lots": e.lots_json,
			"category": None,
			"quantity": "0.000000000",
			"team": None,
			"user": None,
			"note": e.note,
			"reference_name": None,
			"gateway_reference": None,
			"previous_hash": e.previous_hash,
			"hash": e.hash,
		}
		for e in book.entries
	]
	return {
		"account": "CA-1",
		"balance": plain(book.balance),
		"sequence": book.sequence,
		"last_hash": book.last_hash,
		"lots": {lot.name: plain(lot.remaining) for lot in book.lots.values()},
		"rows": rows,
	}


def breaks(export, seals=None):
	return [b.what for b in proof.check_export(export, seals or {}).breaks]


def test_an_honest_ledger_holds():
	export = make_export()
	assert breaks(export) == []
	assert breaks(export, {4: export["rows"][3]["hash"]}) == []


@pytest.mark.parametrize(
	("field", "value"),
	[
		("amount", "-6.000000001"),
		("balance_after", "1000.000000000"),
		("note", "another"),
		("posted_at", "2026-03-01 12:00:01"),
		("occurred_at", "2026-02-01 12:00:00"),
		("user", "somebody"),
		("quantity", "1.000000000"),
		("lots", "[]"),
		("hash", "0" * 64),
		("previous_hash", "0" * 64),
		("request_key", "k"),
		("gateway_reference", "pi_1"),
	],
)
def test_any_changed_field_shows(field, value):
	export = make_export()
	export["rows"][4][field] = value
	found = proof.check_export(export, {}).breaks
	assert found
	assert any(b.sequence in (5, 6) for b in found)


def test_removed_added_and_swapped_rows_show():
	for damage in (
		lambda rows: rows.pop(3),
		lambda rows: rows.pop(),
		lambda rows: rows.insert(3, copy.deepcopy(rows[3])),
		lambda rows: rows.__setitem__(slice(2, 4), [rows[3], rows[2]]),
	):
		export = make_export()
		damage(export["rows"])
		assert breaks(export)


def test_lots_and_balance_of_the_account_show():
	export = make_export()
	export["balance"] = "1"
	assert any("balance" in what for what in breaks(export))
	export = make_export()
	name = next(iter(export["lots"]))
	export["lots"][name] = "0"
	assert any(name in what for what in breaks(export))


def test_a_rewritten_history_shows_against_a_kept_hash():
	"""Whoever rewrites all rows can make the chain hold again; a hash kept by somebody else tells."""
	export = make_export()
	assert breaks(export, {4: "0" * 64}) == ["row 4 is not what the checkpoint of then recorded"]
	assert breaks(export, {99: export["last_hash"]})


def test_program(tmp_path):
	path = tmp_path / "export.json"
	export = make_export()
	path.write_text(json.dumps({"message": export}))
	command = [sys.executable, "-m", "crm_recharge.domain.proof", str(path)]
	good = subprocess.run(command, capture_output=True, text=True)
	assert good.returncode == 0 and "the ledger holds" in good.stdout
	export["rows"][2]["amount"] = "-1.000000000"
	path.write_text(json.dumps(export))
	bad = subprocess.run(command, capture_output=True, text=True)
	assert bad.returncode == 1 and "row 3" in bad.stdout
