"""Past usage under other settings: what would have been charged, when, and how low the balance would have gone.

`replay` is the function, `python -m crm_recharge.domain.replay usage.csv` the command. The rules are the ones
that run; the world is in memory and the gateway simulated, so everything shown is marked *simulated*.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

from crm_recharge.domain import payment, threshold
from crm_recharge.domain.book import USAGE
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.errors import InsufficientCredits
from crm_recharge.domain.money import ZERO, plain
from crm_recharge.domain.simulated import rows
from crm_recharge.domain.simulated.site import Site
from crm_recharge.domain.simulated.usage_file import UsageEvent

BEFORE = AFTERWARDS = timedelta(hours=1)
"""Accounts are opened this long before the first usage, so that an empty one is filled when it comes; and what is
under way at the last usage gets as long to come to an end."""

BLOCKED = (
	threshold.CAPPED,
	threshold.PAUSED,
	threshold.HELD,
	threshold.NO_USABLE_CARD,
	threshold.BELOW_MINIMUM,
	threshold.ABOVE_MAXIMUM,
	threshold.DISABLED,
)


@dataclass(frozen=True, slots=True)
class Plan:
	"""The settings an account is replayed under. Amounts in `currency`; `cards` are names of BEHAVIOURS.

	The counts per hour and day are the app's own defaults.
	"""

	currency: str = "USD"
	cards: tuple[str, ...] = ("ok",)
	opening_balance: Decimal = ZERO
	falls_below: Decimal = Decimal(50)
	recharge_up_to: Decimal = Decimal(500)
	caps: CapLimits = field(default_factory=lambda: CapLimits(count_hour=3, count_day=10))
	limits: threshold.Limits = field(default_factory=threshold.Limits)


@dataclass(slots=True)
class Payment:
	"""One recharge of the replay, with the story of its cards: (card, status, reason)."""

	started_at: datetime
	amount: Decimal
	status: str
	settled_at: datetime | None
	ended_at: datetime | None
	tries: list[tuple[str, str, str | None]]


@dataclass(slots=True)
class Blocked:
	"""A spell in which a recharge was due and did not start, for one reason; `checks` is how often it was asked."""

	code: str
	figures: dict[str, Any]
	first_at: datetime
	last_at: datetime
	checks: int = 1


@dataclass(slots=True)
class Account:
	"""What the replay made of one account. Amounts in the plan's currency, times in the zone of its usage."""

	name: str
	plan: Plan
	closing_balance: Decimal = ZERO
	lowest_balance: Decimal = ZERO
	lowest_at: datetime | None = None
	charges: int = 0
	charged: Decimal = ZERO
	repeated: int = 0
	refused: list[tuple[datetime, Decimal]] = field(default_factory=list)
	payments: list[Payment] = field(default_factory=list)
	bought: Decimal = ZERO
	blocked: list[Blocked] = field(default_factory=list)
	switched_off_at: datetime | None = None
	switched_off_because: str | None = None
	balances: list[tuple[datetime, Decimal]] = field(default_factory=list)

	@property
	def refused_amount(self) -> Decimal:
		return sum((amount for _, amount in self.refused), ZERO)

	def counted(self, status: str) -> int:
		"""How many recharges ended in `status`."""
		return sum(payment.status == status for payment in self.payments)

	def cards(self) -> dict[str, Counter[str]]:
		"""By card, in the order they were tried: how often each outcome came, with its reason."""
		tried: dict[str, Counter[str]] = {}
		for recharge in self.payments:
			for card, status, reason in recharge.tries:
				tried.setdefault(card, Counter())[f"{status} ({reason})" if reason else status] += 1
		return dict(sorted(tried.items(), key=lambda item: int(item[0].split("-")[0])))

	def as_dict(self) -> dict[str, Any]:
		"""For machines: amounts as exact text, times as ISO 8601."""
		return {
			"account": self.name,
			"currency": self.plan.currency,
			"opening_balance": plain(self.plan.opening_balance),
			"closing_balance": plain(self.closing_balance),
			"lowest_balance": plain(self.lowest_balance),
			"lowest_at": self.lowest_at and self.lowest_at.isoformat(),
			"charges": self.charges,
			"charged": plain(self.charged),
			"repeated": self.repeated,
			"refused": len(self.refused),
			"refused_amount": plain(self.refused_amount),
			"recharges": len(self.payments),
			"succeeded": self.counted(payment.SUCCEEDED),
			"failed": self.counted(payment.FAILED),
			"bought": plain(self.bought),
			"cards": {card: dict(outcomes) for card, outcomes in self.cards().items()},
			"payments": [
				{
					"started_at": p.started_at.isoformat(),
					"amount": plain(p.amount),
					"status": p.status,
					"settled_at": p.settled_at and p.settled_at.isoformat(),
				}
				for p in self.payments
			],
			"blocked": [
				{
					"reason": spell.code,
					"figures": spell.figures,
					"first_at": spell.first_at.isoformat(),
					"last_at": spell.last_at.isoformat(),
					"checks": spell.checks,
				}
				for spell in self.blocked
			],
			"switched_off_at": self.switched_off_at and self.switched_off_at.isoformat(),
			"switched_off_because": self.switched_off_because,
		}


@dataclass(slots=True)
class Result:
	"""A whole replay. `breaches` is empty when ledger, lots and gateway agree."""

	start: datetime
	end: datetime
	events: int
	accounts: list[Account]
	breaches: list[str]

	def as_dict(self) -> dict[str, Any]:
		"""For machines."""
		return {
			"simulated": True,
			"start": self.start.isoformat(),
			"end": self.end.isoformat(),
			"events": self.events,
			"accounts": [account.as_dict() for account in self.accounts],
			"books_agree": not self.breaches,
		}


# -- the replay --------------------------------------------------------------------------------------------


def replay(events: Iterable[UsageEvent], plans: Plan | Mapping[str, Plan]) -> Result:
	"""Let `events` (in order of time) happen again under `plans`: one for all, or one for each account.

	Auto-recharge is on for every account from just before the first usage. The same events and plans give the
	same result. Raises ValueError without events, and what Site.open_account raises for a plan.
	"""
	events = list(events)
	if not events:
		raise ValueError("there is no usage to replay")
	zones: dict[str, tzinfo] = {}
	for event in events:
		zones.setdefault(event.account, event.time.tzinfo)  # type: ignore[arg-type]
	# One clock in UTC: the rules compare times, and only an account's days and their display need a zone.
	site = Site(events[0].time.astimezone(timezone.utc) - BEFORE)
	accounts = {}
	for name in sorted(zones):
		plan = plans if isinstance(plans, Plan) else plans[name]
		accounts[name] = Account(name, plan)
		_open(site, name, plan, zones[name])
	for event in events:
		site.pass_time_until(event.time.astimezone(timezone.utc))
		_charge(site, accounts[event.account], event)
	site.pass_time_until(site.clock.now() + AFTERWARDS)
	for account in accounts.values():
		_sum_up(site, account, zones[account.name])
	return Result(events[0].time, events[-1].time, len(events), list(accounts.values()), site.breaches())


def _open(site: Site, name: str, plan: Plan, zone: tzinfo) -> None:
	site.open_account(
		name,
		plan.currency,
		plan.cards,
		opening_balance=plan.opening_balance,
		falls_below=plan.falls_below,
		recharge_up_to=plan.recharge_up_to,
		cap_limits=plan.caps,
		limits=plan.limits,
		zone=zone,
	)


def _charge(site: Site, account: Account, event: UsageEvent) -> None:
	try:
		charged = site.charge(event.account, event.request, event.amount)
	except InsufficientCredits:
		account.refused.append((event.time, event.amount))
	else:
		account.repeated += charged.repeated


def _sum_up(site: Site, account: Account, zone: tzinfo) -> None:
	world = site.world
	entries = [row.entry for row in world.all(rows.LedgerRow, account.name)]
	used = [entry for entry in entries if entry.entry_type == USAGE]
	account.charges, account.charged = len(used), -sum((entry.amount for entry in used), ZERO)
	account.balances = [(entry.posted_at.astimezone(zone), entry.balance_after) for entry in entries]
	account.closing_balance = world.get(rows.CreditAccount, account.name).balance
	lowest = min(account.balances, key=lambda point: point[1], default=(None, account.plan.opening_balance))
	account.lowest_at, account.lowest_balance = lowest
	account.payments = [_payment(world, r, zone) for r in world.all(rows.Recharge, account.name)]
	account.bought = sum((p.amount for p in account.payments if p.status == payment.SUCCEEDED), ZERO)
	account.blocked = _blocked(world.all(rows.Decision, account.name), zone)
	setting = world.get(rows.AutoRechargeSetting, account.name)
	if not setting.enabled:
		account.switched_off_at = setting.disabled_at.astimezone(zone)
		account.switched_off_because = setting.disabled_reason


def _payment(world: Any, recharge: Any, zone: tzinfo) -> Payment:
	attempts = world.all(rows.RechargeAttempt, recharge.name)
	return Payment(
		started_at=recharge.created_at.astimezone(zone),
		amount=recharge.amount,
		status=recharge.status,
		settled_at=recharge.settled_at and recharge.settled_at.astimezone(zone),
		ended_at=recharge.ended_at and recharge.ended_at.astimezone(zone),
		tries=[(a.card.rpartition("/")[2], a.status, a.code) for a in attempts],
	)


def _blocked(decisions: Any, zone: tzinfo) -> list[Blocked]:
	spells: list[Blocked] = []
	going_on = None
	for decision in decisions:
		if decision.code == threshold.OPEN_RECHARGE:
			continue
		kind = (decision.code, decision.figures.get("cap"), decision.figures.get("frees_at"))
		at = decision.at.astimezone(zone)
		if decision.code in BLOCKED and kind == going_on:
			spells[-1].last_at = at
			spells[-1].checks += 1
		elif decision.code in BLOCKED:
			spells.append(Blocked(decision.code, decision.figures, at, at))
		going_on = kind
	return spells
