"""A transaction is ended by hand in one place, where the reasons stand."""

from pathlib import Path

APP = Path(__file__).resolve().parents[2]


def test_only_transactions_commits_by_hand():
	found = [
		f"{path.relative_to(APP)}, line {number}"
		for path in sorted(APP.rglob("*.py"))
		if "tests" not in path.parts and not path.name.startswith("test_")
		for number, line in enumerate(path.read_text().splitlines(), 1)
		if "db.commit" in line
	]
	assert [line.split(",")[0] for line in found] == ["transactions.py"], found
