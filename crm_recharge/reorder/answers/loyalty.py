"""The loyalty bonus for a purchase that came of a reminder: given once, taken back once, given again if need be.

ERPNext deletes every Loyalty Point Entry that names an invoice when that is returned, and writes its own anew. So
ours name none, only its kind, which ERPNext 16 asks for: a field of this app ties them to the Reorder Message Item.
They are never changed or deleted; `settle` adds what is wanted less what stands. What is taken back ends on the day
of what was given, so that neither outlives the other, and names it (`redeem_against`), so that ERPNext does not
redeem it.
"""

import frappe
from frappe.utils import add_days, cint, nowdate

from crm_recharge.reorder.answers import offers
from crm_recharge.reorder.answers.fields import REMINDED

SALES = "Sales Invoice"


def settle(row: str) -> int:
	"""Bring the points for Reorder Message Item `row` to what they should be; returns what stands afterwards.

	The caller holds the lock on the customer.
	"""
	facts = _facts(row)
	if not facts:
		return 0
	entries = frappe.get_all(
		"Loyalty Point Entry",
		{REMINDED: row},
		[
			"name",
			"loyalty_points",
			"loyalty_program",
			"company",
			"expiry_date",
			"redeem_against",
			"customer",
			"invoice_type",
		],
		order_by="creation, name",
	)
	standing = sum(entry.loyalty_points for entry in entries)
	# Points are for what was invoiced: what has only been delivered waits for that.
	earned = facts.won and facts.kind == "Reminded" and facts.invoice_type != "Delivery Note"
	wanted = cint(facts.loyalty_bonus) if earned else 0
	if standing > wanted:
		_take_back(row, entries)
		standing = 0
	if standing < wanted:
		standing += _give(row, facts, wanted - standing)
	if standing != facts.bonus_points:
		frappe.db.set_value("Reorder Message Item", row, "bonus_points", standing, update_modified=False)
	return standing


def _facts(row: str):
	found = frappe.db.sql(
		"""SELECT r.`won`, r.`won_on`, r.`loyalty_bonus`, r.`bonus_points`, r.`invoice_type`, r.`invoice`,
			m.`customer`, m.`kind`, m.`company`
		FROM `tabReorder Message Item` r JOIN `tabReorder Message` m ON m.`name` = r.`parent` WHERE r.`name` = %s""",
		row,
		as_dict=True,
	)
	return found[0] if found and found[0].customer else None


def _give(row: str, facts, points: int) -> int:
	"""Enter `points`; returns them, or 0 when the customer is in no programme that gives any for that day."""
	program = _program(facts)
	if not program:
		return 0
	entry = frappe.get_doc(
		{
			"doctype": "Loyalty Point Entry",
			"customer": facts.customer,
			"company": program.company,
			"loyalty_program": program.name,
			"loyalty_program_tier": program.tier,
			"loyalty_points": points,
			"invoice_type": facts.invoice_type or SALES,
			"purchase_amount": 0,
			"posting_date": facts.won_on,
			"expiry_date": add_days(facts.won_on, cint(program.expiry_duration)),
			REMINDED: row,
		}
	)
	entry.insert(ignore_permissions=True)
	return points


def _program(facts):
	"""The customer's Loyalty Program, as it is on the day of the purchase for the company that sold."""
	sold_by = (
		frappe.db.get_value(facts.invoice_type, facts.invoice, "company") if facts.invoice else facts.company
	)
	return offers.program_of(facts.customer, sold_by, facts.won_on)


def _take_back(row: str, entries: list) -> None:
	"""For each entry that gave points and still does: its opposite."""
	taken = {entry.redeem_against for entry in entries if entry.loyalty_points < 0}
	for entry in entries:
		if entry.loyalty_points <= 0 or entry.name in taken:
			continue
		opposite = frappe.get_doc(
			{
				"doctype": "Loyalty Point Entry",
				"customer": entry.customer,
				"company": entry.company,
				"loyalty_program": entry.loyalty_program,
				"loyalty_points": -entry.loyalty_points,
				"invoice_type": entry.invoice_type or SALES,
				"purchase_amount": 0,
				"posting_date": nowdate(),
				"expiry_date": entry.expiry_date,
				"redeem_against": entry.name,
				REMINDED: row,
			}
		)
		opposite.insert(ignore_permissions=True)
