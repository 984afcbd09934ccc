"""Commands for `bench --site SITE …`: what a person runs who operates the site. See docs/operations.md."""

from datetime import datetime, time, timedelta

import click
import frappe
from frappe.commands import get_site, pass_context


class BadPeriod(click.ClickException):
	"""A period that cannot be read, or that ends before it begins."""


@click.command("crm-recharge-reconcile")
@click.option(
	"--from", "start", required=True, help="First day, such as 2026-01-31, in the site's time zone."
)
@click.option("--to", "end", help="Last day, itself included. Without it: until now.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@pass_context
def reconcile_command(context, start: str, end: str | None, dry_run: bool):
	"""Compare every payment at the gateway with what is known of it here, for any period; settle what was missed."""
	frappe.init(site=get_site(context))
	frappe.connect()
	try:
		counts = reconcile_and_report(start, end, dry_run, click.echo)
	finally:
		frappe.destroy()
	if counts.get("incomplete") or counts.get("away") or counts.get("failed"):
		raise SystemExit(1)


def reconcile_and_report(start: str, end: str | None, dry_run: bool = False, say=click.echo) -> dict:
	"""Reconcile from the day `start` to the day `end`, telling each finding by `say`. Returns the counts.

	Raises BadPeriod.
	"""
	from crm_recharge.recharge.reconcile import reconcile_period

	first, until = _period(start, end)

	def tell(verdict) -> None:
		say(f"{verdict.kind}: {verdict.intent}: {verdict.text}")

	counts = reconcile_period(first, until, act=not dry_run, tell=tell)
	if counts.get("away"):
		from crm_recharge.gateway import home

		say(home.in_words())
		return counts
	said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if kind != "incomplete")
	say(f"{'Would be' if dry_run else 'Done'}: {said or 'no payments in this period'}")
	if counts.get("incomplete"):
		say("The gateway could not be asked to the end: see the Error Log, and run the command again.")
	return counts


def _period(start: str, end: str | None) -> tuple[datetime, datetime | None]:
	from crm_recharge import clock

	try:
		first = datetime.fromisoformat(start).date()
		last = datetime.fromisoformat(end).date() if end else None
	except ValueError:
		raise BadPeriod("Give days as 2026-01-31.") from None
	if last and last < first:
		raise BadPeriod(f"The period ends ({last}) before it begins ({first}).")
	midnight = time.min
	return (
		clock.read(datetime.combine(first, midnight)),
		clock.read(datetime.combine(last + timedelta(days=1), midnight)) if last else None,
	)


commands = [reconcile_command]
