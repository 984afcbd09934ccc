"""What is learned of the orders, who is due, who wants to be reminded, and one hour's run."""

import re
import time
from email.message import EmailMessage

import frappe
import outgoing
from frappe.utils import get_datetime, now_datetime

from demo.progress import say
from demo.stage import COMPANY, must

LONGEST_WAIT = 300
SHOWN = 12


def learn():
	"""The history by a worker, and the fit that follows it and otherwise happens each night."""
	from crm_recharge.reorder.learning import history

	began = now_datetime()
	run = history.start()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()
	told(wait_for_run({"name": run}))
	told(wait_for_run({"kind": "Refit", "started_at": [">=", began]}))


def wait_for_run(filters: dict) -> frappe._dict:
	"""Wait until the latest Reorder Run of `filters` has ended."""
	started = time.monotonic()
	while time.monotonic() - started < LONGEST_WAIT:
		frappe.db.rollback()
		found = frappe.get_all("Reorder Run", filters, ["*"], order_by="started_at desc", limit=1)
		if found and found[0].status != "Running":
			return found[0]
		time.sleep(0.3)
	raise SystemExit(f"a run has not ended after {LONGEST_WAIT} s: are the workers running? {filters}")


def told(run: frappe._dict):
	seconds = (get_datetime(run.ended_at) - get_datetime(run.started_at)).total_seconds()
	say(f"  {run.kind}: {run.status.lower()} in {seconds:.1f} s. {run.summary or ''}")
	for problem in (run.problems or "").splitlines()[:5]:
		say(f"    {problem}")


def show_due():
	"""Who is due, with the range and what is known."""
	rows = frappe.get_all(
		"Reorder Reminder",
		{"status": "Due"},
		[
			"customer",
			"item_code",
			"last_day",
			"purchase_days",
			"usual_interval",
			"next_from",
			"next_on",
			"next_to",
			"p_alive",
			"p_buy_30",
		],
		order_by="p_buy_30 desc",
	)
	say(
		f"\n{len(rows)} items of {len({r.customer for r in rows})} customers are due; the {min(SHOWN, len(rows))} most likely to be bought:"
	)
	say(
		f"  {'customer':<20} {'item':<22} {'last':<10} {'usual':>6}  {'expected between':<23} {'still buys':>10} {'30 days':>8}"
	)
	for row in rows[:SHOWN]:
		say(
			f"  {row.customer:<20} {row.item_code:<22} {row.last_day!s:<10} {row.usual_interval:>5.0f}d"
			f"  {row.next_from} – {row.next_to} {row.p_alive:>9.0f}% {row.p_buy_30:>7.0f}%"
		)


def configure():
	"""Settings, rules, and an account that sends to the sink."""
	outgoing.set_up()
	settings = frappe.get_doc("Reorder Settings")
	settings.update(
		{
			"enabled": 1,
			"company": COMPANY,
			"send_from": "00:00:00",
			"send_until": "23:59:00",
			"weekdays_only": 0,
			"without_rule": 0,
			"sender_name": "Acme Shop",
			"postal_address": "Acme Cloud, 1 Market Street, Springfield",
			"order_document": "Sales Order",
			"submit_order": 1,
		}
	)
	settings.save()
	for applies_to, field, target, values in (
		("All Items", None, None, {"default_interval": 60}),
		("Item Group", "item_group", "Coffee", {"default_interval": 30, "discount_percent": 10}),
		(
			"Item",
			"item_code",
			"Resistance Bands",
			{"timing": "Age of the item", "age_days": 182, "lead_time": 7},
		),
	):
		filters = {"applies_to": applies_to} | ({field: target} if field else {})
		if not frappe.db.exists("Reorder Rule", filters):
			frappe.get_doc({"doctype": "Reorder Rule", **filters, **values}).insert()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def opt_in(names: list[str]):
	"""Three of four customers tick the box in the shop, once."""
	from crm_recharge.reorder.consent import preferences

	for number, name in enumerate(names):
		if number % 4 == 3 or frappe.db.exists("Reorder Preference", {"customer": name}):
			continue
		contact = frappe.db.get_value("Customer", name, "customer_primary_contact")
		preferences.opt_in(contact, name, "Web shop", "Remind me when it is time to reorder.")
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def opted_in() -> int:
	"""How many customers want to be reminded."""
	wishes = frappe.get_all("Reorder Preference", {"opted_in": 1}, pluck="customer", distinct=True)
	return len(wishes)


def send() -> list[EmailMessage]:
	"""One hour's run, then Frappe's mail queue, which a scheduler may have emptied already."""
	from crm_recharge.reorder.sending import run

	before = len(outgoing.received())
	name = run.send_all()
	told(frappe.get_doc("Reorder Run", name))
	again = run.send_all()
	repeated = frappe.parse_json(frappe.db.get_value("Reorder Run", again, "figures") or "{}")
	must(not repeated.get("mails"), "a second run sends nothing twice")
	outgoing.deliver()
	return outgoing.received()[before:]


def follow_up():
	"""What the hourly run does first: note which mails have gone out."""
	from crm_recharge.reorder.sending import follow

	follow.follow_up()


def print_funnel():
	from crm_recharge.reorder.insight.funnel import funnel, total

	summed = total(funnel({"company": COMPANY}))
	steps = ("due", "held_out", "sent", "opened", "clicked", "answered", "ordered", "won")
	say("\nFunnel (items in reminders):")
	for step in steps:
		known = summed[step] is not None
		say(f"  {step.replace('_', ' '):<9} {summed[step] if known else 'not followed':>12}")
	say(f"  {'revenue':<9} {summed['revenue']:>12,.2f}")


def print_report(name: str, filters: dict | None = None):
	from frappe.desk.query_report import run

	found = run(name, filters=filters or {})
	say(f"\n{name}")
	for figure in found.get("report_summary") or []:
		value = figure.get("value")
		say(
			f"  {figure.get('label')}: {value:,.2f}"
			if isinstance(value, float)
			else f"  {figure.get('label')}: {value}"
		)
	if found.get("message"):
		say(f"  {re.sub('<[^>]+>', ' ', str(found['message'])).strip()}")
