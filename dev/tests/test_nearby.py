"""The tests near a change are found: by what they import, by their names, and themselves."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dev" / "lib"))

from nearby import nearby


@pytest.fixture
def checkout(tmp_path):
	"""A small checkout with two layers."""
	for name, text in {
		"crm_recharge/domain/caps.py": "",
		"crm_recharge/domain/tests/test_caps.py": "",
		"crm_recharge/domain/tests/test_more.py": "from crm_recharge.domain import caps",
		"crm_recharge/recharge/caps.py": "",
		"crm_recharge/recharge/tests/test_worker.py": "from crm_recharge.recharge.caps import used",
		"crm_recharge/recharge/doctype/recharge/test_recharge.py": "import frappe",
		"crm_recharge/tests/support/cards.py": "",
		"crm_recharge/tests/test_pages.py": "import crm_recharge.tests.support.cards",
		"dev/tests/test_stack.py": "from stack import port",
	}.items():
		path = tmp_path / name
		path.parent.mkdir(parents=True, exist_ok=True)
		path.write_text(text)
	return tmp_path


@pytest.mark.parametrize(
	("changed", "found"),
	[
		(
			"crm_recharge/domain/caps.py",
			[
				"domain crm_recharge/domain/tests/test_caps.py",
				"domain crm_recharge/domain/tests/test_more.py",
			],
		),
		("crm_recharge/recharge/caps.py", ["bench crm_recharge.recharge.tests.test_worker"]),
		(
			"crm_recharge/recharge/doctype/recharge/recharge.json",
			["bench crm_recharge.recharge.doctype.recharge.test_recharge"],
		),
		("crm_recharge/tests/support/cards.py", ["bench crm_recharge.tests.test_pages"]),
		("crm_recharge/tests/test_pages.py", ["bench crm_recharge.tests.test_pages"]),
		("dev/lib/stack.py", ["domain dev/tests/test_stack.py"]),
		("docs/guide.md", []),
	],
)
def test_the_tests_near_a_change(checkout, changed, found):
	assert nearby(checkout, [changed]) == found


def test_this_very_checkout_can_be_read():
	assert "domain dev/tests/test_nearby.py" in nearby(ROOT, ["dev/lib/nearby.py"])
