"""The replay: what it reads, refuses and prints, and that its figures are right."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from crm_recharge.domain import payment, threshold
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.replay import Plan, replay
from crm_recharge.domain.simulated import plot
from crm_recharge.domain.simulated.command import main
from crm_recharge.domain.simulated.plot import Curve, in_terminal, to_svg
from crm_recharge.domain.simulated.usage_file import BadFile, UsageEvent, read_prices, read_usage
from crm_recharge.domain.usage import UsageRequest

ROOT = Path(__file__).resolve().parents[3]
SHIPPED, PRICES = ROOT / "dev" / "usage.csv", ROOT / "dev" / "prices.csv"
START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
D = Decimal


def events(*amounts, every=HOUR, account="A", start=START):
	return [
		UsageEvent(account, start + n * every, D(amount), UsageRequest(f"{account}-{n}", amount=D(amount)))
		for n, amount in enumerate(amounts)
	]


def only(result):
	(account,) = result.accounts
	assert result.breaches == []
	return account


# -- the figures -------------------------------------------------------------------------------------------


def test_what_would_have_been_charged_and_when():
	account = only(replay(events(*[100] * 12), Plan(opening_balance=D(320))))
	assert (account.charges, account.charged, account.refused) == (12, 1200, [])
	# 320 - 3 × 100 = 20: the gap to 500 is 480. Then 500 - 5 × 100 = 0, and so on.
	assert [(p.amount, p.started_at) for p in account.payments] == [
		(480, START + 2 * HOUR),
		(500, START + 7 * HOUR),
	]
	assert account.bought == 980
	assert (account.lowest_balance, account.lowest_at) == (0, START + 7 * HOUR)
	assert account.closing_balance == 320 - 1200 + 980
	assert account.cards() == {"1-ok": {payment.PAID: 2}}


def test_an_empty_account_is_filled_before_its_first_usage():
	account = only(replay(events(10), Plan()))
	assert [p.amount for p in account.payments] == [500]
	assert account.payments[0].settled_at < START
	assert (account.refused, account.closing_balance) == ([], 490)


def test_usage_that_the_balance_does_not_cover_is_refused_and_counted():
	account = only(replay(events(60, 60, 30, 40), Plan(cards=("declined",), opening_balance=D(100))))
	assert account.refused == [(START + HOUR, 60), (START + 3 * HOUR, 40)]
	assert (account.refused_amount, account.charges, account.charged) == (100, 2, 90)
	assert (account.closing_balance, account.lowest_balance) == (10, 10)


def test_a_repeated_key_is_charged_once():
	again = UsageEvent("A", START + HOUR, D(10), UsageRequest("A-0", amount=D(10)))
	twice = [*events(10), again]
	account = only(replay(twice, Plan(opening_balance=D(100))))
	assert (account.charges, account.repeated, account.closing_balance) == (1, 1, 90)


def test_why_cards_failed_is_told_by_card_in_order():
	plan = Plan(cards=("expired", "lost", "ok"), opening_balance=D(200))
	cards = only(replay(events(*[150] * 8, every=DAY), plan)).cards()
	assert list(cards) == ["1-expired", "2-lost", "3-ok"]
	assert cards == {
		"1-expired": {"Skipped (expired)": 3},
		"2-lost": {"Declined (lost_card)": 1, "Skipped (not_active)": 2},
		"3-ok": {payment.PAID: 3},
	}


def test_when_all_cards_fail_the_account_runs_down():
	plan = Plan(cards=("declined", "insufficient"), opening_balance=D(100))
	account = only(replay(events(*[30] * 6), plan))
	assert (account.counted(payment.FAILED), len(account.payments)) == (1, 1)
	assert account.switched_off_because == "all_cards_failed"
	assert START + HOUR < account.switched_off_at < START + HOUR + MINUTE
	assert (account.charges, len(account.refused), account.closing_balance) == (3, 3, 10)


def test_a_cap_blocks_and_the_spell_is_told_with_its_figures():
	plan = Plan(opening_balance=D(500), caps=CapLimits(amount_day=D(900)))
	account = only(replay(events(*[450] * 5, *[1] * 5), plan))
	(spell,) = account.blocked
	assert (spell.code, spell.figures["cap"], spell.figures["used"]) == (
		threshold.CAPPED,
		"amount_day",
		"900",
	)
	assert (spell.first_at, spell.checks) == (START + 2 * HOUR, 6)
	assert len(account.refused) == 2
	assert account.bought == 900


def test_no_calendar_day_sees_more_than_its_cap():
	plan = Plan(opening_balance=D(500), caps=CapLimits(amount_day=D(1000), amount_month=D(4000)))
	account = only(replay(events(*[90] * 400, every=40 * MINUTE), plan))
	by_day, by_month = {}, {}
	for p in account.payments:
		for total, key in ((by_day, p.settled_at.date()), (by_month, p.settled_at.month)):
			total[key] = total.get(key, 0) + p.amount
	assert 900 <= max(by_day.values()) <= 1000
	assert 3500 < max(by_month.values()) <= 4000
	caps = {spell.figures["cap"] for spell in account.blocked}
	assert caps == {"amount_day", "amount_month"}


def test_days_are_those_of_the_usages_own_zone():
	tokyo = timezone(9 * HOUR)
	start = datetime(2026, 3, 1, 23, 0, tzinfo=tokyo)
	plan = Plan(opening_balance=D(500), caps=CapLimits(amount_day=D(500)))
	account = only(replay(events(450, 450, start=start, every=90 * MINUTE), plan))
	assert [p.started_at.isoformat() for p in account.payments] == [
		"2026-03-01T23:00:00+09:00",
		"2026-03-02T00:30:00+09:00",
	]


def test_accounts_are_replayed_side_by_side_each_under_its_own_plan():
	both = sorted(events(*[100] * 9) + events(*[100] * 9, account="B"), key=lambda e: e.time)
	result = replay(both, {"A": Plan(opening_balance=D(500)), "B": Plan(opening_balance=D(1000))})
	assert [(a.name, len(a.payments), a.closing_balance) for a in result.accounts] == [
		("A", 1, 100),
		("B", 0, 100),
	]


def test_the_same_usage_and_plan_give_the_same_result():
	first, second = (
		replay(events(*range(1, 90)), Plan(cards=("declined", "slow", "ok"))).as_dict() for _ in range(2)
	)
	assert first == second


def test_nothing_to_replay_and_a_plan_that_cannot_work_are_refused():
	with pytest.raises(ValueError, match="no usage"):
		replay([], Plan())
	with pytest.raises(InvalidRequest):
		replay(events(1), Plan(falls_below=D(500)))


# -- the shipped file --------------------------------------------------------------------------------------


def test_the_shipped_file_holds_what_the_demo_promises():
	usage = read_usage(SHIPPED, read_prices(PRICES), "USD")
	assert len(usage.events) >= 5000
	assert SHIPPED.stat().st_size < 600_000
	span = usage.events[-1].time - usage.events[0].time
	assert 59 * DAY <= span <= 61 * DAY
	assert len({(e.account, e.request.idempotency_key) for e in usage.events}) == len(usage.events)
	assert {e.request.category for e in usage.events} == {"SMS", "AI Token", "Call Minute", "Email"}
	assert all(e.request.team and e.request.user for e in usage.events)
	assert usage.ignored_columns == ()


def test_the_shipped_file_shows_all_four_stories():
	usage = read_usage(SHIPPED, read_prices(PRICES), "USD")
	cards = {
		"acme-healthy": ("ok",),
		"borealis-declined": ("declined", "ok"),
		"cobalt-failing": ("declined", "insufficient"),
		"dune-expired": ("expired", "ok"),
	}
	plans = {name: Plan(cards=listed, opening_balance=D(500)) for name, listed in cards.items()}
	result = replay(usage.events, plans)
	assert result.breaches == []
	acme, borealis, cobalt, dune = result.accounts
	for account in (acme, borealis, dune):
		assert account.counted(payment.SUCCEEDED) == len(account.payments) >= 3
		assert account.refused == []
		assert 0 <= account.lowest_balance <= 50
		assert account.closing_balance == 500 - account.charged + account.bought
	assert set(borealis.cards()["1-declined"]) == {"Declined (generic_decline)"}
	assert set(dune.cards()["1-expired"]) == {"Skipped (expired)"}
	assert (cobalt.counted(payment.FAILED), cobalt.bought) == (1, 0)
	assert cobalt.refused
	assert cobalt.closing_balance < 1


# -- reading -----------------------------------------------------------------------------------------------


GOOD = "A,2026-03-01T12:00:00+00:00,SMS,10,k1"
HEADER = "account,time,category,quantity,key"


def written(tmp_path, *lines, name="usage.csv", encoding="utf-8"):
	path = tmp_path / name
	path.write_bytes("\n".join(lines).encode(encoding))
	return path


@pytest.fixture
def prices(tmp_path):
	written(
		tmp_path, "category,unit_price,currency", "SMS,0.0075,USD", "AI Token,0.0004,USD", name="prices.csv"
	)
	return read_prices(tmp_path / "prices.csv")


def test_a_usage_costs_its_amount_else_its_own_price_else_its_categorys(tmp_path, prices):
	path = written(
		tmp_path,
		"account,time,category,quantity,amount,unit_price",
		"A,2026-03-01T12:00:00Z,SMS,10,,",
		"A,2026-03-01T12:00:01Z,SMS,10,,0.01",
		"A,2026-03-01T12:00:02Z,SMS,10,7.5,0.01",
		"A,2026-03-01T12:00:03Z,AI Token,184201,,",
	)
	usage = read_usage(path, prices, "USD")
	assert [e.amount for e in usage.events] == [D("0.075"), D("0.1"), D("7.5"), D("73.6804")]


def test_a_file_may_be_an_excel_export_in_any_order_with_columns_of_its_own(tmp_path, prices):
	path = written(
		tmp_path,
		" Account ,TIME,category,quantity,colour",
		'A,2026-03-02T00:00:00+01:00,SMS,2,"red, or so"',
		"",
		'"A",2026-03-01 23:00:00-01:00,SMS,3,',
		encoding="utf-8-sig",
	)
	usage = read_usage(path, prices, "USD")
	assert [e.request.quantity for e in usage.events] == [2, 3]
	assert [e.time.utcoffset() for e in usage.events] == [HOUR, -HOUR]
	assert [e.request.idempotency_key for e in usage.events] == ["line-2", "line-4"]
	assert usage.ignored_columns == ("colour",)


def test_times_without_offset_need_one_from_the_command(tmp_path, prices):
	path = written(tmp_path, HEADER, "A,2026-03-01T12:00:00,SMS,10,k1")
	with pytest.raises(
		BadFile, match="has no offset; write 2026-03-01T12:00:00\\+00:00, or give --utc-offset"
	):
		read_usage(path, prices, "USD")
	(event,) = read_usage(path, prices, "USD", timezone(2 * HOUR)).events
	assert event.time.isoformat() == "2026-03-01T12:00:00+02:00"


@pytest.mark.parametrize(
	("line", "message"),
	[
		("A,2026-03-01T12:00:00+00:00,SMS,ten,k1", "line 3: quantity: 'ten' is not a number"),
		("A,2026-03-01T12:00:00+00:00,SMS,-1,k1", "line 3: quantity: -1 is not above zero"),
		("A,2026-03-01T12:00:00+00:00,SMS,0,k1", "line 3: quantity: 0 is not above zero"),
		("A,2026-03-01T12:00:00+00:00,SMS,nan,k1", "line 3: quantity: NaN is not an amount"),
		("A,2026-03-01T12:00:00+00:00,SMS,99999999999,k1", "line 3: quantity: 99999999999 is too large"),
		(
			"A,2026-03-01T12:00:00+00:00,SMS,0.0000000001,k1",
			"line 3: quantity: 0.0000000001 has more than 9 decimals",
		),
		(
			"A,2026-03-01T12:00:00+00:00,SMS,0.000000001,k1",
			"line 3: quantity × unit price: 0 is not above zero",
		),
		("A,2026-03-01T12:00:00+00:00,SMS,,k1", "line 3: give an amount, or a quantity with its category"),
		("A,2026-03-01T12:00:00+00:00,,5,k1", "line 3: a quantity needs its category"),
		(
			"A,2026-03-01T12:00:00+00:00,Fax,5,k1",
			"line 3: there is no unit price for category 'Fax'; give --prices",
		),
		("A,yesterday,SMS,5,k1", "line 3: time 'yesterday' is not a time"),
		("A,2026-02-30T12:00:00+00:00,SMS,5,k1", "line 3: time '2026-02-30"),
		("A,2026-03-01T12:00:00+25:00,SMS,5,k1", "line 3: time '2026-03-01"),
		("A,0001-01-01T00:00:00+14:00,SMS,5,k1", "line 3: time '0001-01-01"),
		("A,,SMS,5,k1", "line 3: time '' is not a time"),
		(",2026-03-01T12:00:00+00:00,SMS,5,k1", "line 3: the account is empty"),
		("A,2026-03-01T12:00:00+00:00,SMS,5,", "line 3: the key is empty"),
		("A,2026-03-01T12:00:00+00:00,SMS,5," + "k" * 141, "line 3: the key has 141 characters"),
		("A,2026-03-01T12:00:00+00:00," + "S" * 141 + ",5,k1", "line 3: category has 141 characters"),
		("A,2026-03-01T12:00:00+00:00,SMS,5", "line 3: 4 values, where the header has 5"),
		("A,2026-03-01T12:00:00+00:00,SMS,5,k1,6", "line 3: 6 values, where the header has 5"),
		("A,2026-03-01T12:00:00+00:00,SMS,5,k0", "line 3: the key k0 was used in line 2 with other content"),
	],
)
def test_a_bad_line_is_named_with_what_is_wrong_and_nothing_is_taken(tmp_path, prices, line, message):
	path = written(tmp_path, HEADER, "A,2026-03-01T12:00:00+00:00,SMS,9,k0", line)
	with pytest.raises(BadFile) as refused:
		read_usage(path, prices, "USD")
	assert str(refused.value).startswith(f"{path}, {message}")


def test_the_same_key_with_the_same_content_is_a_repeat_not_an_error(tmp_path, prices):
	assert len(read_usage(written(tmp_path, HEADER, GOOD, GOOD), prices, "USD").events) == 2


def test_all_bad_lines_are_counted_and_the_first_ten_shown(tmp_path, prices):
	path = written(tmp_path, HEADER, *["A,2026-03-01T12:00:00+00:00,SMS,x,k"] * 13)
	with pytest.raises(BadFile) as refused:
		read_usage(path, prices, "USD")
	lines = str(refused.value).splitlines()
	assert (len(lines), lines[-1]) == (11, "… and 3 more bad lines")
	assert "line 2:" in lines[0]


@pytest.mark.parametrize(
	("lines", "message"),
	[
		([], "line 1: the column account, time is missing"),
		(["account,when", "A,1"], "line 1: the column time is missing"),
		(["account;time;amount"], "separated by commas"),
		(["account,time,time"], "line 1: the column time stands there twice"),
		(["account,time,quantity"], "neither a column amount nor the columns category and quantity"),
		([HEADER], "there is no usage in it"),
		([HEADER, 'A,"2026'], "line 2: unexpected end of data"),
	],
)
def test_a_file_without_the_right_columns_is_refused(tmp_path, prices, lines, message):
	with pytest.raises(BadFile, match=re.escape(message)):
		read_usage(written(tmp_path, *lines), prices, "USD")


def test_files_that_cannot_be_read_are_refused(tmp_path, prices):
	with pytest.raises(BadFile, match="no such file"):
		read_usage(tmp_path / "none.csv", prices, "USD")
	with pytest.raises(BadFile, match="cannot be read"):
		read_usage(tmp_path, prices, "USD")
	with pytest.raises(BadFile, match="not UTF-8"):
		read_usage(written(tmp_path, HEADER, "Ä,", encoding="latin-1"), prices, "USD")


@pytest.mark.parametrize(
	("lines", "message"),
	[
		(["category,price"], "the column unit_price is missing"),
		(["category,unit_price", "SMS,free"], "line 2: unit_price: 'free' is not a number"),
		(["category,unit_price", "SMS,0"], "line 2: unit_price: 0 is not above zero"),
		(["category,unit_price", "SMS,1", "SMS,2"], "line 3: category SMS stands there twice"),
		(["category,unit_price", ",1"], "line 2: the category is empty"),
	],
)
def test_bad_prices_are_refused(tmp_path, lines, message):
	with pytest.raises(BadFile, match=re.escape(message)):
		read_prices(written(tmp_path, *lines, name="p.csv"))


def test_prices_in_another_currency_than_the_accounts_are_refused(tmp_path, prices):
	with pytest.raises(BadFile, match="line 2: category SMS is priced in USD, the replay is in EUR"):
		read_usage(written(tmp_path, HEADER, GOOD), prices, "EUR")


# -- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def usage(tmp_path, prices):
	rows = [
		f"A,{(START + n * HOUR).isoformat()},SMS,{4000 + n},{'k%d' % n}"  # noqa: UP031
		for n in range(40)
	]
	return str(written(tmp_path, HEADER, *rows))


def run(capsys, *arguments):
	status = main(list(arguments))
	captured = capsys.readouterr()
	return status, captured.out, captured.err


def test_the_command_prints_the_story_marked_simulated(capsys, usage):
	status, out, err = run(capsys, usage, "--cards", "declined,ok", "--cap-per-day", "1000")
	assert (status, err) == (0, "")
	assert out.startswith("simulated · usage.csv · 40 events of 1 account(s)")
	assert "1-declined: 3 × declined (generic_decline)" in out
	assert "2-ok: 3 × paid" in out
	assert "books: ledger = lots = gateway" in out
	assert "█" in out
	assert "lowest balance" in out
	assert not any(line.endswith("\t") for line in out.splitlines())


def test_the_last_line_is_json_for_machines_with_the_same_figures(capsys, usage):
	_, out, _ = run(capsys, usage, "--opening-balance", "100", "--json")
	told = json.loads(out.splitlines()[-1])
	events = read_usage(Path(usage), read_prices(Path(usage).with_name("prices.csv")), "USD").events
	assert told == replay(events, Plan(opening_balance=D(100))).as_dict()
	assert told["simulated"] and told["books_agree"]
	(account,) = told["accounts"]
	assert account["charged"] == "1205.85"
	assert D(account["closing_balance"]) == 100 - D(account["charged"]) + D(account["bought"])


def test_settings_of_the_command_reach_the_rules(capsys, usage):
	options = [
		"--falls-below",
		"100",
		"--recharge-up-to",
		"300",
		"--opening-balance",
		"200",
		"--no-plot",
		"--json",
	]
	_, out, _ = run(capsys, usage, *options)
	(account,) = json.loads(out.splitlines()[-1])["accounts"]
	assert all(200 <= D(p["amount"]) < 240 for p in account["payments"])
	assert "█" not in out


def test_one_account_may_have_cards_of_its_own_and_be_replayed_alone(capsys, tmp_path, prices):
	lines = [f"{name},2026-03-01T12:00:00+00:00,SMS,100,k" for name in ("A", "B=C", "D")]
	path = str(written(tmp_path, HEADER, *lines))
	_, out, _ = run(capsys, path, "--cards", "ok", "--cards", "B=C=declined,ok", "--json")
	cards = {a["account"]: list(a["cards"]) for a in json.loads(out.splitlines()[-1])["accounts"]}
	assert cards == {"A": ["1-ok"], "B=C": ["1-declined", "2-ok"], "D": ["1-ok"]}
	_, out, _ = run(capsys, path, "--account", "D", "--json")
	assert [a["account"] for a in json.loads(out.splitlines()[-1])["accounts"]] == ["D"]


@pytest.mark.parametrize(
	("options", "message"),
	[
		(["--cards", "gold"], "there is no card 'gold'; known are ok, declined"),
		(["--cards", "B=ok"], "the replay has no account B, only A"),
		(["--cards", ""], "there is no card ''"),
		(["--account", "B"], "the file has no usage of it, only of A"),
		(["--falls-below", "500"], "--recharge-up-to 500 must be above --falls-below 500"),
		(["--falls-below", "-1"], "--falls-below -1: it cannot be below zero"),
		(["--falls-below", "fifty"], "--falls-below: 'fifty' is not a number"),
		(["--recharge-up-to", "52"], "lie 2 USD, and a payment takes at least 5"),
		(["--recharge-up-to", "20000"], "one payment takes at most 10000 USD"),
		(["--cap-per-day", "400"], "a cap of 400 USD is below --recharge-up-to 500"),
		(["--cap-per-month", "0"], "--cap-per-month: 0 is not above zero"),
		(["--recharges-per-hour", "-1"], "--recharges-per-hour -1: give a whole number"),
		(["--recharges-per-day", "²"], "--recharges-per-day ²: give a whole number"),
		(["--opening-balance", "-5"], "--opening-balance -5: it cannot be below zero"),
		(["--currency", "dollars"], "--currency dollars: give a code of three letters"),
		(["--utc-offset", "CET"], "--utc-offset CET: give hours and minutes"),
		(["--prices", "none.csv"], "none.csv: there is no such file"),
		(["--svg", "no/such/folder/x.svg"], "there is no folder no/such/folder"),
		(["--svg", "."], "--svg .: that is a folder"),
	],
)
def test_options_that_make_no_sense_end_with_two_and_say_why(capsys, usage, options, message):
	status, out, err = run(capsys, usage, *options)
	assert (status, out) == (2, "")
	assert message in err
	assert "Traceback" not in err


def test_prices_in_several_currencies_need_a_choice(capsys, tmp_path, usage):
	written(tmp_path, "category,unit_price,currency", "SMS,1,EUR", "Fax,1,USD", name="prices.csv")
	status, _, err = run(capsys, usage)
	assert (status, err) == (2, "the prices are in EUR, USD; say which one with --currency\n")
	assert run(capsys, usage, "--currency", "eur", "--no-plot")[0] == 0


def test_it_runs_by_its_module_name_with_nothing_but_python_installed(usage):
	# -S leaves out everything that pip has installed.
	done = subprocess.run(
		[sys.executable, "-S", "-m", "crm_recharge.domain.replay", usage, "--opening-balance", "100"],
		capture_output=True,
		env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
		timeout=60,
	)
	assert (done.returncode, done.stderr) == (0, b"")
	assert done.stdout.startswith(b"simulated - usage.csv")
	assert b"?" not in done.stdout


# -- pictures ----------------------------------------------------------------------------------------------


CURVE = Curve(
	title="A (USD)",
	points=[
		(START, D(100)),
		(START + 5 * HOUR, D(0)),
		(START + 5 * HOUR, D(200)),
		(START + 9 * HOUR, D(150)),
	],
	threshold=D(50),
	start=START,
	end=START + 10 * HOUR,
	paid=[START + 5 * HOUR],
	failed=[START + 10 * HOUR],
	refused=[START],
)


def test_bands_hold_the_lowest_and_highest_balance_of_each_span():
	assert CURVE.bands(10) == [(100, 100)] * 5 + [(0, 200)] + [(200, 200)] * 3 + [(150, 200)]


def test_the_terminal_plot_shows_balance_threshold_and_marks():
	lines = in_terminal(CURVE, width=20, height=8)
	cells = [line[11:] for line in lines]
	assert lines[0].startswith("      200 |")
	assert cells[0][10:18] == "█" * 8
	assert [row for row in cells[:8] if row[10] == "█"] == cells[:8]
	assert cells[6].startswith("┈") and lines[6].startswith("       50 |")
	assert cells[8] == "x" + " " * 9 + "^" + " " * 8 + "!"
	assert "2026-03-01" in lines[9]
	assert all(line.isascii() for line in in_terminal(CURVE, width=20, height=8, plain=True))


def test_a_flat_or_single_balance_can_be_drawn_too():
	flat = Curve("A", [(START, D(0))], D(0), START, START)
	assert len(in_terminal(flat)) == 11
	assert flat.bands(3) == [(0, 0)] * 3


def drawn(curves, tmp_path):
	"""The picture, and what of it has each tag."""
	path = tmp_path / "out.svg"
	to_svg(curves, path)
	root = ElementTree.parse(path).getroot()
	return root, lambda tag: [part for part in root.iter() if part.tag.endswith(f"}}{tag}")]


def test_a_picture_shows_balance_threshold_and_marks(tmp_path):
	root, every = drawn([CURVE, CURVE], tmp_path)
	assert (root.get("width"), root.get("height")) == (str(plot.WIDTH), str(2 * plot.HEIGHT))
	left, middle, right = 70, 477.5, 885
	# 100 until the middle, then at once 0 and 200, at nine tenths 150: in a field from 28 (200) to 196 (0).
	path = f"M{left}.0 112.0H{middle}V196.0H{middle}V28.0H803.5V70.0H{right}.0"
	assert [part.get("d") for part in every("path")] == [path, path]
	lines = {(part.get("stroke"), float(part.get("x1")), float(part.get("y1"))) for part in every("line")}
	assert {(plot.ORANGE, left, 154), (plot.GREEN, middle, 197), (plot.RED, right, 197)} <= lines
	assert {"A (USD)", "×", "200", "50", "2026-03-01"} <= {part.text for part in every("text")}


def test_names_are_text_in_a_picture_and_a_single_balance_can_be_drawn(tmp_path):
	_root, every = drawn([Curve("<b>&", [(START, D(0))], D(0), START, START)], tmp_path)
	assert every("text")[0].text == "<b>&"
	assert every("b") == []
	assert [part.get("d") for part in every("path")] == ["M70.0 196.0H70.0"]


def test_the_command_says_where_its_picture_is(capsys, usage, tmp_path):
	path = tmp_path / "out.svg"
	status, out, _ = run(capsys, usage, "--svg", str(path))
	assert (status, path.read_text()[:4]) == (0, "<svg")
	assert out.splitlines()[-1] == f"simulated · picture: {path}"
