"""A replay told to people: a block of facts and a plot for each account, then all of them in a table."""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_recharge.domain import payment, threshold
from crm_recharge.domain.replay import Account, Blocked, Payment, Result
from crm_recharge.domain.simulated import plot


def report(
	result: Result, name: str, width: int = 72, plain_text: bool = False, plots: bool = True
) -> list[str]:
	"""The result as lines of text; `name` says where the usage came from."""
	lines = [
		f"simulated · {name} · {result.events:,} events of {len(result.accounts)} account(s), "
		f"{result.start:%Y-%m-%d} to {result.end:%Y-%m-%d}",
		"No card was charged: usage of the past, run through the rules of today with a simulated gateway.",
	]
	for account in result.accounts:
		lines += ["", *_account_lines(account)]
		if plots and account.balances:
			curve = curve_of(account, result)
			lines += ["", *plot.in_terminal(curve, width, plain=plain_text)]
	if plots and any(account.balances for account in result.accounts):
		lines += ["", "^ recharge paid   ! recharge failed   x usage refused   dotted: falls below"]
	lines += ["", *table(result)]
	agree = "ledger = lots = gateway" if not result.breaches else "BROKEN: " + "; ".join(result.breaches)
	lines += ["", f"simulated · books: {agree}"]
	return [_in_ascii(line) for line in lines] if plain_text else lines


def _in_ascii(line: str) -> str:
	for sign, plain_sign in (("·", "-"), ("→", "->"), ("×", "x")):
		line = line.replace(sign, plain_sign)
	return line.encode("ascii", "replace").decode()


TABLE = "{:<20} {:>8} {:>8} {:>20} {:>12} {:>9} {:>14}  {}"


def table(result: Result) -> list[str]:
	"""One line an account, its cards below; the columns of the demo. Nothing is invoiced here."""
	head = ("simulated", "charges", "refused", "recharges", "bought", "invoices", "balance", "auto")
	lines = [TABLE.format(*head)]
	for account in result.accounts:
		outcomes = Counter(p.status.lower() for p in account.payments)
		lines.append(
			TABLE.format(
				account.name,
				f"{account.charges:,}",
				f"{len(account.refused):,}",
				", ".join(f"{times} {status}" for status, times in outcomes.items()) or "none",
				f"{account.bought:,.2f}",
				"-",
				f"{account.closing_balance:,.4f}",
				"off" if account.switched_off_at else "on",
			)
		)
		for card, tried in account.cards().items():
			lines += [f"{times:>7} × {card}: {_told(outcome)}" for outcome, times in tried.items()]
	return lines


def _account_lines(account: Account) -> list[str]:
	def money(amount: Decimal) -> str:
		return f"{amount:,.2f} {account.plan.currency}"

	def when(time: datetime) -> str:
		return f"{time:%Y-%m-%d %H:%M}"

	paid, failed = account.counted(payment.SUCCEEDED), account.counted(payment.FAILED)
	recharges = [f"{len(account.payments)} started, {paid} paid, {failed} failed"]
	under_way = len(account.payments) - paid - failed
	if under_way:
		recharges[0] += f", {under_way} not decided at the end"
	recharges += [f"{when(p.started_at)}  {money(p.amount):>16}  {_story(p)}" for p in account.payments]
	refused = f"{len(account.refused):,} for {money(account.refused_amount)}" if account.refused else "none"
	if account.refused:
		refused += f", {when(account.refused[0][0])} to {when(account.refused[-1][0])}"
	auto = "on"
	if account.switched_off_at:
		auto = f"switched off {when(account.switched_off_at)} ({account.switched_off_because})"
	lowest = money(account.lowest_balance)
	if account.lowest_at:
		lowest += f" on {when(account.lowest_at)}"
	facts = [
		("charges", [f"{account.charges:,} for {money(account.charged)}"]),
		("repeated", [f"{account.repeated:,}, not charged again"] if account.repeated else []),
		("refused (402)", [refused]),
		("recharges", recharges),
		("cards tried", [_card_line(*item) for item in account.cards().items()] or ["none"]),
		("bought", [money(account.bought)]),
		("blocked", [_spell(spell, when) for spell in account.blocked] or ["never"]),
		("lowest balance", [lowest]),
		("balance", [f"{money(account.plan.opening_balance)} → {money(account.closing_balance)}"]),
		("auto-recharge", [auto]),
	]
	lines = [account.name]
	for label, values in facts:
		for number, value in enumerate(values):
			lines.append(f"  {label if number == 0 else '':<15} {value}")
	return lines


def _story(p: Payment) -> str:
	tried = ", ".join(f"{card} {_outcome(status, reason)}" for card, status, reason in p.tries)
	return f"{p.status}: {tried}" if tried else p.status


def _outcome(status: str, reason: str | None) -> str:
	word = {payment.PAID: "paid", payment.SKIPPED: "skipped"}.get(status, status.lower())
	return f"{word} ({reason})" if reason else word


def _card_line(card: str, outcomes: Counter[str]) -> str:
	return f"{card}: " + ", ".join(f"{times} × {_told(outcome)}" for outcome, times in outcomes.items())


def _told(outcome: str) -> str:
	"""An outcome of Account.cards in lower case, its reason as it is."""
	status, space, reason = outcome.partition(" (")
	return _outcome(status, None) + space + reason


def _spell(spell: Blocked, when: Any) -> str:
	figures = spell.figures
	text = f"{when(spell.first_at)}  {spell.code}"
	if spell.code == threshold.CAPPED:
		text += (
			f" by {figures['cap']}: {figures['used']} of {figures['limit']} used, {figures['amount']} needed"
		)
		if "frees_at" in figures:
			text += f", frees {figures['frees_at'][:16]}"
	elif "because" in figures:
		text += f": {figures['because']}"
	elif spell.code == threshold.ABOVE_MAXIMUM:
		text += f": {figures['balance']} is more than one payment of {figures['maximum']} can lift"
	elif spell.code == threshold.BELOW_MINIMUM:
		text += f": {figures['amount']} needed, a payment takes at least {figures['minimum']}"
	return f"{text} (asked {spell.checks:,} times)" if spell.checks > 1 else text


def curve_of(account: Account, result: Result) -> plot.Curve:
	"""The account's balance as a curve."""
	return plot.Curve(
		title=f"{account.name} ({account.plan.currency}) simulated",
		points=account.balances,
		threshold=account.plan.falls_below,
		start=result.start,
		end=max(result.end, *(time for time, _ in account.balances)),
		paid=[p.settled_at for p in account.payments if p.status == payment.SUCCEEDED],  # type: ignore[misc]
		failed=[p.ended_at for p in account.payments if p.status == payment.FAILED],  # type: ignore[misc]
		refused=[time for time, _ in account.refused],
	)
