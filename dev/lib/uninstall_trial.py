"""Installs the app on a site, uses it, takes it away, and tells what of it is left in the site's tables.

Usage, from a bench's sites folder, with the bench's Python:  python uninstall_trial.py SITE

The site has ERPNext and nothing of this app. Exits with 1 when something is left that is not in STAYS, when an invoice of
a recharge cannot be amended any more, or when the app cannot be installed again afterwards.
"""

import hashlib
import subprocess
import sys
from collections import defaultdict

import frappe
from bench_site import connected
from frappe.installer import update_site_config

APP = "crm_recharge"
FRAPPE = [sys.executable, "-m", "frappe.utils.bench_helper", "frappe"]
# What stays, and why: a table, or rows of it by how they begin.
STAYS = {
	"tabAccount": "the books are the company's",
	"tabItem": "the books are the company's",
	"tabItem Default": "the books are the company's",
	"tabUOM Conversion Detail": "of the item",
	"tabItem Price": "of the item",
	"tabCompany": "ERPNext counts its sales",
	"tabMode of Payment": "the books are the company's",
	"tabMode of Payment Account": "the books are the company's",
	"tabSales Invoice": "the books are the company's",
	"tabSales Invoice Item": "the books are the company's",
	"tabPayment Schedule": "the books are the company's",
	"tabGL Entry": "the books are the company's",
	"tabPayment Ledger Entry": "the books are the company's",
	"tabComment": "what happened stays on record",
	"tabVersion": "what happened stays on record",
	"tabDeleted Document": "Frappe's record of what was deleted",
	"tabError Log": "what went wrong stays on record",
	"tabScheduled Job Log": "what happened stays on record",
	"tabDocField · Print Heading": "not ours: Frappe and ERPNext both have it and each migration writes it anew",
	"tabDocPerm · Print Heading": "not ours: Frappe and ERPNext both have it and each migration writes it anew",
	"tabScheduled Job Type · queue.flush": "Frappe's own; its last start was ahead of the site's clock",
	"tabSeries": "a payment at the gateway names an account: no other may get its name",
	"tabInstalled Application": "Frappe's list of apps, written anew",
}
# The field that ties an invoice to its recharge.
INVOICE_OF = "crm_recharge"
IGNORED_COLUMNS = {"modified", "modified_by", "idx", "lft", "rgt"}
# Values of single documents and defaults that change with any installation.
IGNORED_ROWS = {"modified", "installed_apps"}


WORKER = "uninstall-trial@customer.example"
# How a person changes the app's own DocTypes.
CUSTOMISED = (
	{"doctype": "Custom Field", "dt": "Credit Account", "fieldname": "cost", "label": "Cost"},
	{"doctype": "Custom DocPerm", "parent": "Recharge", "role": "Credit User", "read": 1},
	{
		"doctype": "Property Setter",
		"doctype_or_field": "DocField",
		"doc_type": "Recharge",
		"field_name": "status",
		"property": "label",
		"property_type": "Data",
		"value": "State",
	},
)


def bench(site, *command):
	"""Run a bench command on the site; its output is shown when it fails."""
	# nosemgrep: frappe-subprocess-exec -- bench, a list
	done = subprocess.run([*FRAPPE, "--site", site, *command], capture_output=True, text=True)
	if done.returncode:
		sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def snapshot(site):
	"""Tables with their columns and indexes, and their rows: key -> hash of what is in them."""
	with connected(site):
		columns = defaultdict(list)
		for table, column in frappe.db.sql(
			"SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s",
			frappe.conf.db_name,
		):
			columns[table].append(column)
		rows = {table: rows_of(table, names) for table, names in columns.items()}
		for table, index in frappe.db.sql(
			"SELECT TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s",
			frappe.conf.db_name,
		):
			columns[table].append(f"index {index}")
		return columns, rows


def rows_of(table, columns):
	"""Rows by what names them, with a hash of the rest."""
	shown = [c for c in sorted(columns) if c not in IGNORED_COLUMNS and not c.startswith(APP)]
	# nosemgrep: frappe-sql-format-injection -- names from the schema
	found = frappe.db.sql(f"SELECT {', '.join(f'`{c}`' for c in shown)} FROM `{table}`", as_dict=True)
	rows = {}
	for row in found:
		if {str(row.get("field")), str(row.get("defkey"))} & IGNORED_ROWS:
			continue
		text = repr(sorted((k, str(v)) for k, v in row.items()))
		parts = [
			row.get(k) for k in ("doctype", "parent", "name", "field", "fieldname", "defkey") if row.get(k)
		]
		rows[" · ".join(map(str, parts)) or text] = hashlib.sha256(text.encode()).hexdigest()
	return rows


def prepare(site):
	"""What the site has before the app: a customer, somebody to work with it, logs that are cleared."""
	bench(site, "migrate", "--skip-search-index")
	with connected(site):
		frappe.set_user("Administrator")
		frappe.get_doc({"doctype": "Customer", "customer_name": "Uninstall Trial"}).insert()
		worker = {"email": WORKER, "first_name": "Trial", "send_welcome_email": 0}
		frappe.get_doc({"doctype": "User", **worker, "roles": [{"role": "Sales User"}]}).insert()
		frappe.get_doc("Log Settings").save()
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()


def use(site):
	"""What a site that has had the app for a while holds."""
	with connected(site):
		frappe.set_user("Administrator")
		move_credits()
		name_a_recharge()
		for doctype, name, values in (
			(
				"CRM Recharge Settings",
				None,
				{"stripe_secret_key": "sk_test_1", "stripe_publishable_key": "pk_test_1"},
			),
			("Email Template", "Credits Refunded", {"subject": "Edited"}),
		):
			doc = frappe.get_doc(doctype, name or doctype)
			doc.update(values)
			doc.flags.ignore_validate = doc.flags.ignore_mandatory = True
			doc.save()
		frappe.get_doc("User", WORKER).add_roles("Credit Manager", "Reorder API")
		for values in CUSTOMISED:
			frappe.get_doc(values).insert()
		frappe.get_doc("Log Settings").save()
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		update_site_config("crm_recharge_discard_balances", 1, validate=False)


def move_credits():
	"""An account with credits of which some are used."""
	from crm_recharge.api import credits

	company = frappe.get_all("Company", pluck="name")[0]
	account = {"customer": "Uninstall Trial", "company": company, "currency": "USD"}
	name = frappe.get_doc({"doctype": "Credit Account", **account}).insert().name
	credits.adjust(name, "20", note="Opening", idempotency_key="one")
	credits.adjust(name, "-5", note="Used", idempotency_key="two")


def name_a_recharge():
	"""Two invoices of a recharge, and that recharge. No payment is made for it: this is about the link alone."""
	account = frappe.get_last_doc("Credit Account")
	recharge = frappe.new_doc("Recharge", credit_account=account.name, amount=20, currency=account.currency)
	recharge.set_new_name()
	recharge.db_insert()
	row = frappe.get_doc("CRM Recharge Settings").companies[0]
	line = {"item_code": row.item, "qty": 1, "rate": 20, "income_account": row.unearned_revenue_account}
	for _number in range(2):
		head = {"customer": account.customer, "company": account.company, INVOICE_OF: recharge.name}
		frappe.get_doc({"doctype": "Sales Invoice", **head, "items": [line]}).insert().submit()


def amend_an_invoice(site, when):
	"""Cancel and amend, as the desk does, one of the invoices that named a recharge; tell whether it could be done."""
	with connected(site):
		frappe.set_user("Administrator")
		invoice = frappe.get_last_doc("Sales Invoice", {"docstatus": 1, "amended_from": ["is", "not set"]})
		invoice.cancel()
		amended = frappe.copy_doc(invoice)
		# The desk keeps, in an amended document, what is not copied into others.
		amended.update({"amended_from": invoice.name, INVOICE_OF: invoice.get(INVOICE_OF)})
		try:
			amended.insert().submit()
			# nosemgrep: frappe-manual-commit -- a script: nothing else commits
			frappe.db.commit()
		except frappe.ValidationError as error:
			print(f"{when}, an invoice that named a recharge could not be amended: {error}")
			return False
		print(f"{when}, an invoice that named a recharge was amended.")
		return True


def compare(before, after):
	"""What differs, as (what, why it stays); None where nobody has said why."""
	found = []
	for table in sorted({*before[0], *after[0]}):
		if table not in before[0]:
			found.append((table, None))
			continue
		for part in sorted({*after[0].get(table, ())} - {*before[0][table]}):
			ours = part.removeprefix("index ").removeprefix("unique_").startswith(APP)
			found.append((f"{table}, {part}", "Frappe never drops a column" if ours else None))
		old, new = before[1][table], after[1].get(table, {})
		for key in sorted(key for key in {*old, *new} if old.get(key) != new.get(key)):
			row = f"{table} · {key}"
			found.append((row, next((why for what, why in STAYS.items() if is_of(row, what)), None)))
	return found


def is_of(row, what):
	"""Whether `row` is of a table, or begins as `what` says."""
	return row.startswith(what if " · " in what else f"{what} · ")


def main(site):
	prepare(site)
	before = snapshot(site)
	bench(site, "install-app", APP)
	bench(site, "migrate", "--skip-search-index")
	use(site)
	bench(site, "migrate", "--skip-search-index")
	with connected(site):
		if frappe.db.get_value("Email Template", "Credits Refunded", "subject") != "Edited":
			sys.exit("a migration has overwritten an edited Email Template")
	used = snapshot(site)
	bench(site, "uninstall-app", APP, "--dry-run")
	if changed := [what for what, _why in compare(used, snapshot(site))]:
		sys.exit("a dry run has changed: " + ", ".join(changed[:20]))
	bench(site, "uninstall-app", APP, "--yes", "--no-backup")
	left = compare(before, snapshot(site))
	for what, why in sorted(left, key=lambda line: (line[1] is None, line)):
		print(f"{'stays' if why else 'LEFT '} {what[:120]}{f' ({why})' if why else ''}")
	amended = amend_an_invoice(site, "Without the app")
	# Frappe goes on without the app, and takes it again.
	bench(site, "migrate", "--skip-search-index")
	bench(site, "install-app", APP)
	with connected(site):
		again = frappe.db.exists("Email Template", "Credits Refunded") and frappe.db.exists(
			"Role", "Credit API"
		)
	print("Installed again." if again else "It could not be installed again.")
	amended = amend_an_invoice(site, "With it again") and amended
	sys.exit(0 if again and amended and all(why for _what, why in left) else 1)


if __name__ == "__main__":
	main(sys.argv[1])
