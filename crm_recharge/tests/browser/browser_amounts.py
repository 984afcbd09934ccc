"""The browser reads and writes amounts as the server does: on the very same cases."""

import json
from pathlib import Path

import pytest

APP = Path(__file__).parents[2]
CASES = json.loads((APP / "domain" / "tests" / "amounts.json").read_text())
OUTCOME = """([format, places, text]) => {
	const { style_of, read } = crm_recharge.amounts;
	const found = read(text, style_of(format), places, ["$", "USD"]);
	return found.digits ?? found.readings ?? found.problem;
}"""


@pytest.fixture(scope="module")
def page(chromium):
	page = chromium.new_page()
	page.add_script_tag(path=APP / "public" / "js" / "amounts.js")
	yield page
	page.close()


@pytest.mark.parametrize("number_format, places, text, expected", CASES["read"])
def test_typed_amounts_are_read_as_the_server_reads_them(page, number_format, places, text, expected):
	assert page.evaluate(OUTCOME, [number_format, places, text]) == expected


@pytest.mark.parametrize("number_format, places, digits, written", CASES["write"])
def test_amounts_are_written_as_the_server_writes_them(page, number_format, places, digits, written):
	assert (
		page.evaluate(
			"([f, p, d]) => crm_recharge.amounts.write(d, crm_recharge.amounts.style_of(f), p)",
			[number_format, places, digits],
		)
		== written
	)
