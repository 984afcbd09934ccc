"""The command `python -m crm_recharge.domain.replay`: its options, and what it says when they make no sense."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

from crm_recharge.domain import threshold
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.errors import RuleError
from crm_recharge.domain.money import parse, parse_positive
from crm_recharge.domain.replay import Plan, replay
from crm_recharge.domain.simulated import plot
from crm_recharge.domain.simulated.gateway import BEHAVIOURS
from crm_recharge.domain.simulated.report import curve_of, report
from crm_recharge.domain.simulated.usage_file import (
	BadFile,
	UsageEvent,
	read_prices,
	read_usage,
	text_of,
)


class BadOption(Exception):
	"""An option that makes no sense; the text says why."""


def parser() -> argparse.ArgumentParser:
	"""The command's options."""
	cards = "\n".join(f"  {name:<15} {behaviour.meaning}" for name, behaviour in BEHAVIOURS.items())
	made = argparse.ArgumentParser(
		prog="python -m crm_recharge.domain.replay",
		description="Replay past usage under other auto-recharge settings: simulated, no card is charged.",
		epilog=f"cards:\n{cards}\n\nexit status: 0 done, 1 the books disagree, 2 bad file or option",
		formatter_class=argparse.RawDescriptionHelpFormatter,
	)
	made.add_argument(
		"usage", metavar="USAGE.csv", help="columns account, time, and amount or category and quantity"
	)
	made.add_argument(
		"--prices", metavar="FILE", help="CSV: category, unit_price, currency (else prices.csv beside it)"
	)
	made.add_argument(
		"--falls-below", metavar="AMOUNT", default="50", help="a recharge starts at or below this (50)"
	)
	made.add_argument("--recharge-up-to", metavar="AMOUNT", default="500", help="and fills up to this (500)")
	made.add_argument(
		"--cards",
		metavar="[ACCOUNT=]CARDS",
		action="append",
		help="cards in order, such as declined,ok (default ok); may be given again for an account",
	)
	made.add_argument("--cap-per-day", metavar="AMOUNT", help="most money in a calendar day")
	made.add_argument("--cap-per-month", metavar="AMOUNT", help="most money in a calendar month")
	made.add_argument(
		"--recharges-per-hour", metavar="N", default="3", help="most recharges in an hour (3; 0: no limit)"
	)
	made.add_argument(
		"--recharges-per-day", metavar="N", default="10", help="most in a calendar day (10; 0: no limit)"
	)
	made.add_argument("--minimum", metavar="AMOUNT", default="5", help="least that one payment takes (5)")
	made.add_argument(
		"--maximum", metavar="AMOUNT", default="10000", help="most that one payment takes (10000)"
	)
	made.add_argument(
		"--opening-balance", metavar="AMOUNT", default="0", help="credits before the first usage (0)"
	)
	made.add_argument(
		"--account", metavar="NAME", action="append", help="replay this one only; may be given again"
	)
	made.add_argument(
		"--currency", metavar="CODE", help="of accounts and amounts (default: that of the prices, else USD)"
	)
	made.add_argument("--utc-offset", metavar="+HH:MM", help="for times in the file that have no offset")
	made.add_argument("--svg", metavar="FILE", help="also draw the balances as a picture")
	made.add_argument("--no-plot", action="store_true", help="no plot in the terminal")
	made.add_argument("--json", action="store_true", help="add a last line of JSON for machines")
	return made


def main(arguments: Sequence[str] | None = None) -> int:
	"""The command. Returns its exit status."""
	options = parser().parse_args(arguments)
	try:
		picture = _picture_path(options.svg)
		path = Path(options.usage)
		prices_path = Path(options.prices) if options.prices else path.with_name("prices.csv")
		prices = read_prices(prices_path) if options.prices or prices_path.is_file() else {}
		currency = _currency(options.currency, prices)
		usage = read_usage(path, prices, currency, _zone(options.utc_offset))
		events = _chosen(usage.events, options.account)
		result = replay(events, _plans(options, currency, sorted({event.account for event in events})))
	except (BadFile, BadOption) as error:
		return _complain(str(error))
	except RuleError as error:
		return _complain(_option_text(error))
	lines = report(
		result, path.name, plain_text=not _can_write("█┈·→…×", sys.stdout), plots=not options.no_plot
	)
	if usage.ignored_columns:
		lines.insert(1, f"Columns not looked at: {', '.join(usage.ignored_columns)}")
	if picture:
		try:
			plot.to_svg(
				[curve_of(account, result) for account in result.accounts if account.balances], picture
			)
		except OSError as error:
			return _complain(f"--svg {picture}: it cannot be written ({error.strerror})")
		lines.append(f"simulated · picture: {picture}")
	print("\n".join(lines))
	if options.json:
		print(json.dumps(result.as_dict()))
	return 1 if result.breaches else 0


def _complain(text: str) -> int:
	print(text, file=sys.stderr)
	return 2


def _can_write(text: str, stream: Any) -> bool:
	try:
		text.encode(stream.encoding or "ascii")
	except (LookupError, UnicodeEncodeError):
		return False
	return True


def _picture_path(given: str | None) -> Path | None:
	if not given:
		return None
	path = Path(given)
	if path.is_dir() or not path.parent.is_dir():
		raise BadOption(
			f"--svg {given}: there is no folder {path.parent} to write it to"
			if not path.is_dir()
			else f"--svg {given}: that is a folder"
		)
	return path


def _currency(given: str | None, prices: Any) -> str:
	found = {price.currency for price in prices.values()}
	if given:
		if len(given) != 3 or not given.isalpha():
			raise BadOption(f"--currency {given}: give a code of three letters such as USD")
		return given.upper()
	if len(found) > 1:
		raise BadOption(f"the prices are in {', '.join(sorted(found))}; say which one with --currency")
	return found.pop() if found else "USD"


def _zone(given: str | None) -> tzinfo | None:
	if not given:
		return None
	try:
		return datetime.fromisoformat(f"2000-01-01T00:00:00{given}").tzinfo or _no_zone(given)  # type: ignore[func-returns-value]
	except ValueError:
		return _no_zone(given)  # type: ignore[func-returns-value]


def _no_zone(given: str) -> None:
	raise BadOption(f"--utc-offset {given}: give hours and minutes such as +02:00")


def _chosen(events: Sequence[UsageEvent], names: list[str] | None) -> list[UsageEvent]:
	known = {event.account for event in events}
	unknown = sorted({*(names or ())} - known)
	if unknown:
		raise BadOption(
			f"--account {unknown[0]}: the file has no usage of it, only of {', '.join(sorted(known))}"
		)
	return [event for event in events if not names or event.account in names]


def _plans(options: Any, currency: str, accounts: list[str]) -> dict[str, Plan]:
	cards = _cards(options.cards or [], accounts)
	shared = {
		"currency": currency,
		"opening_balance": _at_least_zero(options.opening_balance, "--opening-balance"),
		"falls_below": parse(options.falls_below, "--falls-below"),
		"recharge_up_to": parse_positive(options.recharge_up_to, "--recharge-up-to"),
		"limits": threshold.Limits(
			parse_positive(options.minimum, "--minimum"), parse_positive(options.maximum, "--maximum")
		),
		"caps": CapLimits(
			amount_day=options.cap_per_day and parse_positive(options.cap_per_day, "--cap-per-day"),
			amount_month=options.cap_per_month and parse_positive(options.cap_per_month, "--cap-per-month"),
			count_hour=_count(options.recharges_per_hour, "--recharges-per-hour"),
			count_day=_count(options.recharges_per_day, "--recharges-per-day"),
		),
	}
	return {account: Plan(cards=cards[account], **shared) for account in accounts}  # type: ignore[arg-type]


def _cards(given: list[str], accounts: list[str]) -> dict[str, tuple[str, ...]]:
	chosen, everyone = {}, ("ok",)
	for option in given:
		account, separator, names = option.rpartition("=")
		cards = tuple(name.strip() for name in names.split(","))
		for card in cards:
			if card not in BEHAVIOURS:
				raise BadOption(
					f"--cards {option}: there is no card {card!r}; known are {', '.join(BEHAVIOURS)}"
				)
		if not separator:
			everyone = cards  # type: ignore[assignment]
		elif account not in accounts:
			raise BadOption(
				f"--cards {option}: the replay has no account {account}, only {', '.join(accounts)}"
			)
		else:
			chosen[account] = cards
	return {account: chosen.get(account, everyone) for account in accounts}


def _at_least_zero(text: str, option: str) -> Decimal:
	amount = parse(text, option)
	if amount < 0:
		raise BadOption(f"{option} {text}: it cannot be below zero")
	return amount


def _count(text: str, option: str) -> int:
	if not text.isascii() or not text.isdigit() or len(text) > 6:
		raise BadOption(f"{option} {text}: give a whole number, 0 for no limit")
	return int(text)


OPTION_TEXTS = {
	"threshold_negative": "--falls-below {falls_below}: it cannot be below zero",
	"target_not_above_threshold": "--recharge-up-to {recharge_up_to} must be above --falls-below {falls_below}",
	"gap_below_minimum": "between --falls-below {falls_below} and --recharge-up-to {recharge_up_to} lie {gap}"
	" {currency}, and a payment takes at least {minimum}",
	"gap_above_maximum": "--recharge-up-to {recharge_up_to}: one payment takes at most {maximum} {currency}, so an"
	" empty account could not be refilled",
	"cap_below_target": "a cap of {limit} {currency} is below --recharge-up-to {recharge_up_to}: an empty account"
	" could never be refilled",
}


def _option_text(error: RuleError) -> str:
	template = OPTION_TEXTS.get(error.code)
	return template.format(**error.figures) if template else text_of(error)
