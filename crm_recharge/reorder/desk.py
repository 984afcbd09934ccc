"""What the buttons of the desk's forms do. Each method checks the caller's rights itself."""

from datetime import date

import frappe
from frappe import _
from frappe.utils import getdate, nowdate

from crm_recharge.credits.money import exact
from crm_recharge.domain.inputs import Amount, Day, Key
from crm_recharge.doors import sight
from crm_recharge.intake import intake
from crm_recharge.reorder.answers import changes, orders
from crm_recharge.reorder.answers.orders import Line, Wish
from crm_recharge.reorder.learning import customers, forecasts
from crm_recharge.reorder.sending import run

MANAGERS = ("Reorder Manager", "System Manager")
DESK = "desk"


def with_reorders(data: dict) -> dict:
	"""Add reminders to the connections of Customer (override_doctype_dashboards)."""
	shown = ["Reorder Reminder", "Reorder Message", "Reorder Preference"]
	data.setdefault("transactions", []).append({"label": _("Reorder Reminders"), "items": shown})
	return data


@frappe.whitelist(methods=["POST"])
@intake
def snooze(reminder: str, until: Day | None = None) -> None:
	"""No reminder of this item before `until`; empty ends it. Raises ValidationError for a day that is past."""
	row = _reminder(reminder)
	changes.snooze([row.name], _day_to_come(until))


@frappe.whitelist(methods=["POST"])
@intake
def expect(reminder: str, on: Day | None = None) -> None:
	"""The day on which the customer means to buy the item again; empty goes back to what is learned."""
	row = _reminder(reminder)
	changes.expect([row.name], _day_to_come(on))


@frappe.whitelist(methods=["POST"])
@intake
def stop(reminder: str, stopped: bool = True) -> None:
	"""No reminders of this item for this customer any more, or again."""
	row = _reminder(reminder)
	frappe.db.set_value("Reorder Reminder", row.name, "stopped", int(stopped))
	forecasts.refresh(row.customer, [row.item_code])


@frappe.whitelist(methods=["POST"])
@intake
def remind_now(customer: str) -> dict:
	"""Remind a customer of all that is due, at once. All checks but the hours of the day are those of every hour.

	Returns:
		message: the Reorder Message, or None; mailed, told (the sales team), held_out; reasons: what was held back,
		a sentence each.
	"""
	sight.check("Reorder Reminder", "write")
	outcome = run.remind_and_tell(sight.check_customer(customer), trigger=DESK)
	return {
		"message": outcome.message,
		"mailed": outcome.mailed,
		"told": outcome.told,
		"held_out": outcome.held_out,
		"reasons": [{"item": row["item_name"], "reason": row["reason"]} for row in outcome.sentences],
	}


@frappe.whitelist(methods=["POST"])
@intake
def order_now(reminder: str, quantity: Amount, idempotency_key: Key) -> dict:
	"""Order the item again for the customer, as the document that Reorder Settings asks for.

	What the latest reminder of it offers holds here as on the customer's own pages.

	Args:
		quantity: in the item's stock unit.
		idempotency_key: the same key gives the first order again.

	Returns: order_type, order. Raises ValidationError with what stands in the way.
	"""
	row = _reminder(reminder)
	sight.check(orders.kind_of_document(), "create")
	company = orders.company_for(row.customer)
	if company:
		sight.check_company(company)
	amount = exact(quantity)
	if amount <= 0:
		frappe.throw(_("Enter a quantity above zero."))
	# Without a unit ERPNext would take the one for selling, a box perhaps.
	line = Line(row.item_code, amount, frappe.get_cached_value("Item", row.item_code, "stock_uom"))
	wish = Wish(
		customer=row.customer,
		company=company,
		lines=(line,),
		owner=frappe.session.user,
		**orders.open_offer(row.customer, [line.item_code], company),
	)
	key = orders.request_key(DESK, row.name, idempotency_key)
	placed = orders.place(wish, key, orders.content_of([line]))
	return {"order_type": placed.doctype, "order": placed.name}


@frappe.whitelist(methods=["POST"])
@intake
def learn_anew(customer: str) -> None:
	"""Work out all of a customer's statistics from its invoices, in the background. For Reorder Managers."""
	frappe.only_for(MANAGERS)
	customer = sight.check_customer(customer)
	customers.mark_stale(customer, _("To be learned anew, as {0} asked for.").format(frappe.session.user))


def _reminder(name: str):
	document = frappe.get_doc("Reorder Reminder", name)
	document.check_permission("write")
	return document


def _day_to_come(value: str | None) -> date | None:
	if not value:
		return None
	try:
		day = getdate(value)
	except Exception:
		frappe.throw(_("{0} is not a date.").format(value))
	if day <= getdate(nowdate()):
		frappe.throw(_("Choose a day after today."))
	return day
