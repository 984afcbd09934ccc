"""The demo's second half: two years of orders are learned, who is due is reminded, and one reminder becomes an invoice.

Run by dev/demo beside a web server and workers of the demo site:

	python dev/lib/demo_reorders.py --orders dev/orders.csv

The orders become real submitted Sales Invoices (once: a second run finds them). Mails go to a mail server on this
machine that passes nothing on. Exits with 1 when something that must hold does not.
"""

import argparse
from pathlib import Path

import frappe
import outgoing
from demo import logins, mails, orders, reminders, shop
from demo.progress import say
from demo.stage import connect


def open_shop(rows: orders.Orders):
	"""The shop with its past orders. Contacts and addresses come last: they would be looked up for each invoice."""
	shop.make_shop(rows)
	new, seconds = orders.import_orders(rows)
	say(f"  {new:,} invoices submitted in {seconds:.0f} s." if new else "  They are on this site already.")
	shop.make_people(rows)


def remind():
	"""An hour's run, and what becomes of two of its mails."""
	say(f"\n{reminders.opted_in()} customers have asked to be reminded. An hour's run:")
	sent = [mail for mail in reminders.send() if mail["List-Unsubscribe"]]
	say(f"  {len(sent)} mails arrived at the mail server.")
	if not sent:
		say("  Everybody who is due was reminded by an earlier run of this demo.")
		return
	sent.sort(key=mails.items_in, reverse=True)
	mails.show_mail(sent[0])
	mails.follow(sent[0])
	# Somebody who has not ordered yet, so that something is due on the page.
	logins.make_buyer(sent[1 if len(sent) > 2 else 0]["To"])
	if len(sent) > 1:
		mails.unsubscribe(sent[-1])


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--orders", type=Path, required=True)
	options = parser.parse_args()
	rows = shop.read_orders(options.orders)
	connect()
	say(f"Reorder reminders: {sum(map(len, rows.values())):,} lines of {len(rows):,} orders.")
	open_shop(rows)
	reminders.configure()
	reminders.learn()
	frappe.db.rollback()
	reminders.show_due()
	reminders.opt_in(shop.names(rows))
	remind()
	reminders.follow_up()
	reminders.print_funnel()
	reminders.print_report("Reorder Uplift")
	say(f"\nAll mails are in {outgoing.folder()}")
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


if __name__ == "__main__":
	main()
