"""Sending: hourly, customer by customer, each in one transaction.

Under the lock of the customer's row everything is checked again; then message, offer, Communication, Email Queue row
and the dates that keep it from being sent again are committed at once. Dying anywhere leaves all of it or nothing,
and the unique cycle key refuses what two workers might try to send together.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import frappe
from frappe import _
from frappe.query_builder import Order
from frappe.query_builder.functions import Count
from frappe.utils import cint, get_time, getdate

from crm_recharge import transactions
from crm_recharge.clock import now_datetime
from crm_recharge.contention import retry_on_contention
from crm_recharge.domain.reorder.due import allowed_at
from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder import words
from crm_recharge.reorder.answers import offers
from crm_recharge.reorder.learning import runs
from crm_recharge.reorder.rules import BOTH, EMAIL, SALES_TEAM
from crm_recharge.reorder.sending import check, follow, message, offer, reasons

HOURLY = "hourly"
PAGE = 200
BUDGET = 1200
"""Seconds a run may take; what is left goes on with the next hour, from where this one stopped."""
SILENT = timedelta(minutes=30)
"""Without a heartbeat for that long a run counts as dead."""
MOST_PROBLEMS = 200
RESTING = ("already_reminded", "stopped")
"""Nothing but a purchase or a wish changes these, and then the day is worked out anew."""


@dataclass
class Outcome:
	"""What became of a customer. `message`: the Reorder Message, if one was made; `reasons`: what was held back."""

	message: str | None = None
	mailed: bool = False
	told: bool = False
	held_out: bool = False
	items: int = 0
	reasons: Counter = field(default_factory=Counter)
	sentences: list = field(default_factory=list)


# -- the run -----------------------------------------------------------------------------------------------


def run_hourly() -> str | None:
	"""Each hour: follow up what was queued, then send what is due. Returns the Reorder Run, if there was one."""
	follow.follow_up()
	settings = frappe.get_cached_doc("Reorder Settings")
	if not settings.enabled or not within_hours(now_datetime(), settings) or _somebody_else_runs():
		return None
	return send_all()


def within_hours(now: datetime, settings) -> bool:
	"""Whether mails may go out at `now`, a time of the site's time zone."""
	start, end = (_minute(settings.get(name)) for name in ("send_from", "send_until"))
	return allowed_at(_minute(now.time()), now.weekday(), start, end, bool(settings.weekdays_only))


def _minute(value) -> int:
	# MariaDB hands a time out as a timedelta.
	time_ = (datetime.min + value).time() if isinstance(value, timedelta) else get_time(value or "00:00:00")
	return time_.hour * 60 + time_.minute


def _somebody_else_runs() -> bool:
	return any(runs.is_alive(name, SILENT) for name in runs.under_way("Sending"))


def send_all() -> str:
	"""Remind everybody who is due. Returns the Reorder Run with what was done, held back, and went wrong."""
	begin_after = _where_the_last_one_stopped()
	run = frappe.get_doc(
		{"doctype": "Reorder Run", "kind": "Sending", "status": "Running"}
		| dict.fromkeys(("started_at", "heartbeat_at"), now_datetime())
	)
	by_machine(run).insert(ignore_permissions=True)
	transactions.commit()
	progress = _Progress(run.name)
	try:
		_check_sender()
		_remind_all(progress, begin_after)
	except Exception as error:
		frappe.db.rollback()
		frappe.log_error(
			title="Sending reorder reminders failed", reference_doctype="Reorder Run", reference_name=run.name
		)
		progress.problem(str(error) or type(error).__name__)
		progress.failed = True
	progress.end()
	return run.name


def _remind_all(progress: "_Progress", begin_after: str) -> None:
	settings = frappe.get_cached_doc("Reorder Settings")
	today = getdate(now_datetime())
	progress.total = _count_due(today, settings)
	progress.counts["without_consent"] = _count_without_consent(today) if not _team_hears(settings) else 0
	deadline = time.monotonic() + BUDGET
	# From where the last run stopped to the end, then the beginning.
	for after, until in ((begin_after, None), ("", begin_after)) if begin_after else (("", None),):
		while customers := customers_due(after, until, today, settings):
			for customer in customers:
				if time.monotonic() > deadline or not _may_go_on():
					progress.stopped_at = after
					return
				after = progress.reached = customer
				_remind_one(customer, progress)
			progress.beat()
	progress.reached = None


def _may_go_on() -> bool:
	"""Sending was not switched off, and the hours are not over."""
	settings = frappe.get_cached_doc("Reorder Settings")
	return bool(settings.enabled) and within_hours(now_datetime(), settings)


def _remind_one(customer: str, progress: "_Progress") -> None:
	try:
		progress.count(remind_and_tell(customer, trigger=HOURLY))
	except message.BrokenTemplateError as error:
		frappe.db.rollback()
		progress.broken_template(error)
	except Exception as error:
		frappe.db.rollback()
		frappe.log_error(
			title=f"Reorder reminder for {customer} failed"[:140],
			reference_doctype="Customer",
			reference_name=customer,
		)
		transactions.commit()
		progress.problem(f"{customer}: {error or type(error).__name__}")
	progress.done += 1


class _Progress:
	"""Counts of a run, written to its Reorder Run."""

	def __init__(self, run: str):
		self.run, self.started = run, time.monotonic()
		self.total = self.done = 0
		self.reached = self.stopped_at = None
		self.failed = False
		self.counts, self.reasons = Counter(), Counter()
		self.problems: list[str] = []
		self.templates: set[str] = set()

	def count(self, outcome: Outcome) -> None:
		self.counts["mails"] += outcome.mailed
		self.counts["tasks"] += outcome.told
		self.counts["held_out"] += outcome.held_out
		self.counts["items"] += outcome.items
		self.reasons.update(outcome.reasons)

	def problem(self, text: str) -> None:
		self.counts["problems"] += 1
		if len(self.problems) < MOST_PROBLEMS:
			self.problems.append(" ".join(text.split())[:500])

	def broken_template(self, error: message.BrokenTemplateError) -> None:
		"""Reported once a run; the log is not filled hour by hour either."""
		self.counts["not_rendered"] += 1
		if error.template in self.templates:
			return
		self.templates.add(error.template)
		self.problem(str(error) + " " + _("Mend it in Email Template; what is due is sent after that."))
		title = f"Email Template {error.template} is broken"[:140]
		recent = {"method": title, "creation": [">", now_datetime() - timedelta(days=1)]}
		if not frappe.db.exists("Error Log", recent):
			frappe.log_error(
				title=title,
				message=str(error),
				reference_doctype="Email Template",
				reference_name=error.template,
			)
			transactions.commit()

	def beat(self) -> None:
		share = min(100.0, 100.0 * self.done / self.total) if self.total else 0
		self._write({"heartbeat_at": now_datetime(), "progress": share, "reached": self.reached})

	def end(self) -> None:
		status = "Failed" if self.failed else "Done with Problems" if self.problems else "Done"
		seconds = round(time.monotonic() - self.started, 3)
		figures = {
			"seconds": seconds,
			**{key: value for key, value in self.counts.items() if value},
			"held_back": dict(self.reasons.most_common()),
		}
		self._write(
			{
				"status": status,
				"ended_at": now_datetime(),
				"heartbeat_at": now_datetime(),
				"progress": 100
				if not (self.stopped_at or self.failed)
				else min(99, 100 * self.done / (self.total or 1)),
				"reached": self.stopped_at,
				"summary": self.summary(),
				"figures": json.dumps(figures, indent=1),
				"problems": "\n".join(self.problems) or None,
			}
		)

	def summary(self) -> str:
		parts = [
			words.counted(self.done, _("1 customer looked at"), _("{0} customers looked at")),
			words.counted(
				self.counts["mails"], _("1 mail queued with {1}"), _("{0} mails queued with {1}")
			).replace("{1}", words.items(self.counts["items"])),
		]
		if self.counts["tasks"]:
			one, many = _("1 task for the sales team"), _("{0} tasks for the sales team")
			parts.append(words.counted(self.counts["tasks"], one, many))
		if self.counts["held_out"]:
			parts.append(_("{0} held out for comparison").format(self.counts["held_out"]))
		if self.counts["without_consent"]:
			one = _("1 customer who is due has not consented")
			many = _("{0} customers who are due have not consented")
			parts.append(words.counted(self.counts["without_consent"], one, many))
		if self.reasons:
			parts.append(", ".join(f"{n} × {reasons.short(code)}" for code, n in self.reasons.most_common()))
		if self.stopped_at:
			parts.append(_("stopped after {0}; the next run goes on there").format(self.stopped_at))
		if self.counts["problems"]:
			parts.append(words.counted(self.counts["problems"], _("1 problem"), _("{0} problems")))
		return "; ".join(parts) + "."

	def _write(self, values: dict) -> None:
		frappe.db.set_value(
			"Reorder Run", self.run, values | {"total": self.total, "done": self.done}, update_modified=False
		)
		transactions.commit()


def _where_the_last_one_stopped() -> str:
	"""The customer after whom the last run stopped for time, or died. Runs that died are marked as failed."""
	for name in runs.under_way("Sending"):
		if runs.is_alive(name, SILENT):
			continue
		frappe.db.set_value(
			"Reorder Run",
			name,
			{"status": "Failed", "problems": _("It was interrupted. The next run went on where it was.")},
			update_modified=False,
		)
	last = frappe.get_all(
		"Reorder Run",
		{"kind": "Sending", "status": ["!=", "Running"]},
		["reached"],
		order_by="started_at desc",
		limit=1,
	)
	return (last[0].reached or "") if last else ""


def _check_sender() -> None:
	"""Raises frappe.OutgoingEmailError when this site has no account to send from."""
	settings = frappe.get_cached_doc("Reorder Settings")
	message.sender_of((), settings, None)


# -- who is due --------------------------------------------------------------------------------------------


def customers_due(after: str, until: str | None, today, settings, limit: int = PAGE) -> list[str]:
	"""The next customers in order of name with something due whom a mail or a hint to the sales team may concern."""
	reminder, query = _due(today)
	query = query.select(reminder.customer).distinct().where(reminder.customer > after)
	if until is not None:
		query = query.where(reminder.customer <= until)
	query = query.where(_concerned(reminder, settings))
	return query.orderby(reminder.customer, order=Order.asc).limit(limit).run(pluck=True)


def _count_due(today, settings) -> int:
	reminder, query = _due(today)
	return query.select(_distinct_customers(reminder)).where(_concerned(reminder, settings)).run()[0][0]


def _count_without_consent(today) -> int:
	reminder, query = _due(today)
	return (
		query.select(_distinct_customers(reminder))
		.where(reminder.customer.notin(_consenting_customers()))
		.run()[0][0]
	)


def _distinct_customers(reminder):
	return Count(reminder.customer).distinct()


def _due(today):
	reminder = frappe.qb.DocType("Reorder Reminder")
	return reminder, frappe.qb.from_(reminder).where(
		reminder.remind_on.isnotnull() & (reminder.remind_on <= today) & (reminder.stopped == 0)
	)


def _concerned(reminder, settings):
	consenting = reminder.customer.isin(_consenting_customers())
	if _rules_for_team():
		return reminder.customer.isnotnull()
	if settings.sales_team in ("Beside the mail", "Instead of the mail"):
		row = frappe.qb.DocType("Reorder Customer")
		return consenting | reminder.customer.isin(
			frappe.qb.from_(row).select(row.customer).where(row.valuable == 1)
		)
	return consenting


def _consenting_customers():
	preference = frappe.qb.DocType("Reorder Preference")
	return frappe.qb.from_(preference).select(preference.customer).where(preference.opted_in == 1)


def _rules_for_team() -> bool:
	return bool(frappe.db.exists("Reorder Rule", {"enabled": 1, "channel": ["in", [SALES_TEAM, BOTH]]}))


def _team_hears(settings) -> bool:
	return settings.sales_team in ("Beside the mail", "Instead of the mail") or _rules_for_team()


# -- one customer ------------------------------------------------------------------------------------------


def remind(customer: str, now: datetime | None = None, trigger: str = HOURLY) -> str | None:
	"""Remind `customer` of everything that is due and not held back; see `remind_and_tell`.

	Returns the Reorder Message, or None when there was nothing to remind of.
	"""
	return remind_and_tell(customer, now, trigger).message


def remind_and_tell(customer: str, now: datetime | None = None, trigger: str = HOURLY) -> Outcome:
	"""Remind `customer`, and say what was held back and why.

	Owns its transactions: what the caller has not committed is rolled back.

	Args:
		customer: its name.
		now: by default the site's now.
		trigger: "hourly", or whatever else asked. A person may ask outside the allowed hours; all other checks
			are the same for everybody.

	Raises BrokenTemplateError, NotQueuedError, frappe.OutgoingEmailError; then nothing was written.
	"""
	frappe.db.rollback()
	try:
		return _attempt(customer, now or now_datetime(), trigger)
	except frappe.UniqueValidationError:
		# Another worker was faster by a hair: it has reminded of this.
		frappe.db.rollback()
		frappe.clear_messages()
		return Outcome()
	except Exception:
		frappe.db.rollback()
		raise


@retry_on_contention
def _attempt(customer: str, now: datetime, trigger: str) -> Outcome:
	settings = frappe.get_cached_doc("Reorder Settings")
	if not settings.enabled:
		if trigger == HOURLY:
			return Outcome()
		frappe.throw(_("Sending is switched off. Switch it on in Reorder Settings first."))
	# Before anything is read, so that what is read is as it is now.
	row = _locked(customer)
	if not row:
		return Outcome()
	checked = check.look(customer, row, now, settings)
	if checked.preference and not _still_consents(checked.preference.name):
		return Outcome(reasons=Counter({"no_consent": 1}))
	if bool(row.held_out) != checked.held_out:
		# A customer who is new since the draw was last written.
		frappe.db.set_value(
			"Reorder Customer", row.name, "held_out", int(checked.held_out), update_modified=False
		)
	outcome = Outcome()
	by_mail, by_team = _sorted(checked, settings, outcome)
	if checked.held_out:
		_hold_out(checked, by_mail, by_team, now, settings, outcome)
	else:
		if by_mail:
			_mail(checked, by_mail, now, settings, outcome)
		if by_team:
			_hint(checked, by_team, now, settings, outcome)
	_let_rest(checked)
	_count_what_is_left(checked)
	transactions.commit()
	return outcome


def _locked(customer: str):
	rows = frappe.db.sql(
		"SELECT `name`, `customer`, `valuable`, `last_sent_at`, `held_out` FROM `tabReorder Customer`"
		" WHERE `customer` = %s FOR UPDATE",
		customer,
		as_dict=True,
	)
	return rows[0] if rows else None


def _still_consents(preference: str) -> bool:
	"""Whoever opts out in this very moment waits for this lock, or has been first."""
	return bool(frappe.db.get_value("Reorder Preference", preference, "opted_in", for_update=True))


def _sorted(checked: check.Checked, settings, outcome: Outcome) -> tuple[list, list]:
	"""What goes into the mail and what only to the sales team; the rest is counted on `outcome`."""
	valuable = bool(checked.row.valuable)
	beside = valuable and settings.sales_team == "Beside the mail"
	instead = valuable and settings.sales_team == "Instead of the mail" and _somebody_to_tell(checked)
	by_mail, by_team = [], []
	for due in checked.due:
		if due.reason:
			_held_back(outcome, due, due.reason)
			continue
		mail = due.rule.channel in (EMAIL, BOTH) and not instead
		team = due.rule.channel in (SALES_TEAM, BOTH) or beside or instead
		if mail and not checked.reason:
			by_mail.append(due)
		elif team and not checked.team_reason and (not mail or checked.reason.code == "no_consent"):
			# A mail that has to wait takes the hint with it: one thing is said once, to everybody.
			by_team.append(due)
		else:
			_held_back(outcome, due, checked.reason or checked.team_reason)
	most = max(cint(settings.max_items), 1)
	return by_mail[:most], by_team


def _somebody_to_tell(checked) -> bool:
	from crm_recharge.reorder import sales_team

	return bool(sales_team.person_for(checked.customer.name))


def _held_back(outcome: Outcome, due: check.Due, reason) -> None:
	outcome.reasons[reason.code] += 1
	outcome.sentences.append(
		{
			"item": due.reminder.item_code,
			"item_name": due.reminder.item_name or due.reminder.item_code,
			"code": reason.code,
			"reason": reasons.sentence(reason),
		}
	)


def _new_message(checked: check.Checked, dues: list[check.Due], now: datetime, settings):
	return message.draft(checked.customer, dues, check.company_of(checked.customer.name, settings), now)


def _mail(checked, dues, now, settings, outcome) -> None:
	from crm_recharge.reorder import sales_team
	from crm_recharge.reorder.answers import links

	ruling = [due.rule for due in dues]
	valuable_too = bool(checked.row.valuable) and settings.sales_team == "Beside the mail"
	team = valuable_too or any(rule.channel == BOTH for rule in ruling)
	document = _new_message(checked, dues, now, settings)
	message.offer_what_rules_say(document, ruling)
	template = message.template_of(ruling, settings)
	document.update(
		{
			"kind": "Reminded",
			"status": "Queued",
			"channel": BOTH if team else EMAIL,
			"contact": checked.preference.contact,
			"preference": checked.preference.name,
			"email": checked.email,
			"email_template": template,
		}
	)
	with message.speaking(message.language_of(checked.customer, checked.preference)):
		offer.make(document, document.company, getdate(now), message.days_of_offer(document, ruling))
		# From here on a second worker with the same items waits, and then is refused by the unique key.
		document.insert(ignore_permissions=True)
		sender_name = next((rule.sender_name for rule in ruling if rule.sender_name), None)
		addresses = {action: links.address(document.name, action) for action in message.ACTIONS}
		context = message.context_of(document, checked.preference, settings, addresses, sender_name)
		subject, body = message.render(template, context, settings.neutral_subject)
		harmless = context | {"links": dict.fromkeys(message.ACTIONS, "#"), "preview": True}
		_subject, record = message.render(template, harmless, settings.neutral_subject)
	document.subject = subject
	message.queue(
		document,
		subject,
		body,
		record,
		message.sender_of(ruling, settings, document.company),
		settings,
		links.one_click(document.name),
	)
	_note(
		document,
		{"subject": subject, "email_queue": document.email_queue, "communication": document.communication},
	)
	_remember(checked, dues, document, now)
	_sent_to(checked, document, now)
	if team:
		# As a person may have no account manager: that is no reason to keep the mail.
		outcome.told = bool(sales_team.tell(document))
	outcome.message, outcome.mailed = document.name, True
	outcome.items += len(dues)


def _hint(checked, dues, now, settings, outcome) -> None:
	"""Only a task for the sales team: a Reorder Message without mail."""
	from crm_recharge.reorder import sales_team

	if not _somebody_to_tell(checked):
		for due in dues:
			outcome.reasons[reasons.NOBODY] += 1
			outcome.sentences.append(
				{
					"item": due.reminder.item_code,
					"item_name": due.reminder.item_name or due.reminder.item_code,
					"code": reasons.NOBODY,
					"reason": reasons.nobody_to_tell(),
				}
			)
		return
	document = _new_message(checked, dues, now, settings)
	if offers.program_of(document.customer, document.company):
		for row, due in zip(document.items, dues, strict=True):
			row.loyalty_bonus = due.rule.loyalty_bonus
	document.update({"kind": "Reminded", "status": "Sent", "channel": SALES_TEAM})
	document.insert(ignore_permissions=True)
	_remember(checked, dues, document, now)
	outcome.told = bool(sales_team.tell(document))
	outcome.message = outcome.message or document.name


def _hold_out(checked, by_mail, by_team, now, settings, outcome) -> None:
	"""Write down what would have been said, so that both groups are measured alike."""
	for dues, channel in ((by_mail, EMAIL), (by_team, SALES_TEAM)):
		if not dues:
			continue
		document = _new_message(checked, dues, now, settings)
		document.update({"kind": "Held Out", "status": "Held Out", "channel": channel})
		document.insert(ignore_permissions=True)
		_rest([due.reminder.name for due in dues])
		if channel == EMAIL:
			_sent_to(checked, document, now)
		outcome.message, outcome.held_out = outcome.message or document.name, True
		outcome.reasons["held_out"] += len(dues)


def _note(document, values: dict) -> None:
	frappe.db.set_value("Reorder Message", document.name, values, update_modified=False)


def _remember(checked, dues, document, now) -> None:
	for due in dues:
		frappe.db.set_value(
			"Reorder Reminder",
			due.reminder.name,
			{
				"status": "Reminded",
				"status_reason": None,
				"last_message": document.name,
				"last_reminded_at": now,
				"remind_on": None,
			},
			update_modified=False,
		)


def _sent_to(checked, document, now) -> None:
	frappe.db.set_value(
		"Reorder Customer",
		checked.row.name,
		{"last_message": document.name, "last_sent_at": now},
		update_modified=False,
	)


def _count_what_is_left(checked) -> None:
	due = frappe.db.count("Reorder Reminder", {"customer": checked.row.customer, "status": "Due"})
	frappe.db.set_value("Reorder Customer", checked.row.name, "due_items", due, update_modified=False)


def _let_rest(checked) -> None:
	"""Look no more, hour by hour, at what only a purchase or a wish can change."""
	_rest([due.reminder.name for due in checked.due if due.reason and due.reason.code in RESTING])


def _rest(names: list[str]) -> None:
	if names:
		reminder = frappe.qb.DocType("Reorder Reminder")
		frappe.qb.update(reminder).set(reminder.remind_on, None).where(reminder.name.isin(names)).run()
