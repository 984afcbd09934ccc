"""One is one, and all else is many."""

from decimal import Decimal

import pytest

from crm_recharge.domain.words import counted


@pytest.mark.parametrize(
	("number", "text"),
	[
		(0, "0 days"),
		(1, "1 day"),
		(2, "2 days"),
		(Decimal(1), "1 day"),
		(1.0, "1 day"),
		(1.5, "1.5 days"),
		(-1, "-1 days"),
	],
)
def test_a_count_and_its_noun_agree(number, text):
	assert counted(number, "1 day", "{0} days") == text


def test_the_number_is_written_as_people_read_it():
	assert counted(12000, "1 day", "{0} days", "12,000") == "12,000 days"
	assert counted(1, "1 day", "{0} days", "1.0") == "1 day"


def test_what_was_filled_in_before_is_left_alone():
	assert counted(2, "1 day of {Ann}", "{0} days of {Ann}") == "2 days of {Ann}"
