"""The demo's first half: customers with cards, a usage file replayed through the public API, and the proof.

Run by dev/demo beside a web server and workers of the demo site:

	python dev/lib/demo_credits.py --usage dev/usage.csv --prices dev/prices.csv

Talks to a stand-in for Stripe, or to Stripe itself when STRIPE_SECRET_KEY holds a test key. Time is compressed:
weeks of usage go through in about a minute, so the replay waits for each recharge that a charge starts.
Exits with 1 when ledger, lots, gateway and general ledger do not agree.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import frappe
import outgoing
from demo import accounts, proof, replay
from demo.days import moved_to_now
from demo.gateway import Gateway
from demo.progress import Progress, say
from demo.stage import connect


def play(usage: dict[str, list[dict]], prices: Path, gateway: Gateway) -> list[replay.Replay]:
	"""Make the accounts and charge their events, all accounts at once."""
	headers = accounts.make_masters(prices)
	made = [
		accounts.make_account(label, {row["team"] for row in rows if row.get("team")}, gateway)
		for label, rows in usage.items()
	]
	progress = Progress("events charged", sum(map(len, usage.values())))
	with ThreadPoolExecutor(max_workers=len(made)) as pool:
		played = list(pool.map(lambda a: replay.Replay(a, usage[a.label], headers, progress).run(), made))
	took = replay.wait_for_invoices([account.account for account in made])
	waits = sorted(wait for one in played for wait in one.waits)
	say(f"Replayed in {progress.seconds:.0f} s over HTTP; the last invoice {took:.1f} s later.")
	if waits:
		say(
			f"From threshold to the end of the recharge: median {waits[len(waits) // 2]:.2f} s,"
			f" worst {waits[-1]:.2f} s."
		)
	return played


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--usage", type=Path, required=True)
	parser.add_argument("--prices", type=Path, required=True)
	options = parser.parse_args()
	usage, days = moved_to_now(replay.read_usage(options.usage), datetime.now().astimezone())
	connect()
	accounts.set_up_books()
	outgoing.set_up()
	mails = len(outgoing.received())
	gateway = Gateway()
	where = f"a stand-in at {gateway.stand_in.api_base}" if gateway.stand_in else "Stripe, test mode"
	say(f"Gateway: {where}. {sum(map(len, usage.values())):,} events of {len(usage)} accounts.")
	if days:
		say(
			f"Their times are moved by {days} days, so that the last weeks of the desk's charts have usage to show."
		)
	played = play(usage, options.prices, gateway)
	say()
	frappe.db.rollback()
	rows = [proof.row_of(one, gateway) for one in played]
	proof.print_table(rows)
	agree = proof.prove(rows)
	outgoing.deliver()
	arrived = len(outgoing.received()) - mails
	say(
		f"\n{arrived} mails arrived at the mail server: invoices, and what customers and managers are told of."
	)
	say()
	say("Ledger, lots, gateway and general ledger agree." if agree else "The books do not agree: see above.")
	sys.exit(0 if agree else 1)


if __name__ == "__main__":
	main()
