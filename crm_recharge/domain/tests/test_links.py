"""Signed links hold for one purpose, one subject, and a time."""

from datetime import datetime, timedelta, timezone
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.links import BadLink, read, sign

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
SECRET = b"a site's own key"
TOKEN = sign(SECRET, "confirm", "RC-1", NOW + timedelta(days=3))


def refused(token, purpose="confirm", now=NOW, secret=SECRET):
	with pytest.raises(BadLink) as caught:
		read(secret, purpose, token, now)
	return caught.value.code


def test_a_good_link():
	assert read(SECRET, "confirm", TOKEN, NOW) == "RC-1"


def test_refusals():
	assert refused(TOKEN, now=NOW + timedelta(days=3)) == "expired"
	assert refused(TOKEN, purpose="reorder") == "other_purpose"
	assert refused(TOKEN, secret=b"another") == "forged"
	for bad in (None, "", "abc", ".", "a.", ".b", "x" * 2000 + ".y"):
		assert refused(bad) == "malformed"


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(ascii_letters + digits))
def test_any_changed_character_is_refused(at, character):
	changed = TOKEN[:at] + character + TOKEN[at + 1 :]
	if changed != TOKEN:
		assert refused(changed) in ("forged", "malformed")


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=100))
def test_any_subject_comes_back(subject):
	assert read(SECRET, "p", sign(SECRET, "p", subject, NOW + timedelta(1)), NOW) == subject
