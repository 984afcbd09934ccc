"""What a reminder would look like: for a customer, or with samples. Nothing is written, and no link in it acts."""

from datetime import timedelta

import frappe
from frappe import _
from frappe.email.email_body import get_formatted_html
from frappe.utils import cint, getdate, now_datetime

from crm_recharge.doors.sight import check_customer
from crm_recharge.intake import intake
from crm_recharge.reorder import catalogue, rules
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.learning.documents import own_items
from crm_recharge.reorder.sending import check, message, offer

NO_LINKS = dict.fromkeys(message.ACTIONS, "#")
SAMPLE_CODE = "SAMPLE2ONLY4"


@frappe.whitelist()
@intake
def preview(rule: str | None = None, customer: str | None = None) -> dict:
	"""Subject and HTML of a reminder as it would be sent now.

	Args:
		rule: a Reorder Rule whose template, sender and offer to show; by default what holds for the items.
		customer: whose items to show; by default samples.

	Returns:
		subject, html (a whole page), sender, template, and `notes`: what to know about it.
	"""
	_may_see(rule, customer)
	subject, body, facts = _rendered(rule, customer)
	return {"subject": subject, "html": get_formatted_html(subject, body), **facts}


@frappe.whitelist(methods=["POST"])
@intake
def send_test(rule: str | None = None, customer: str | None = None) -> str:
	"""Mail the preview to the user who is logged in; returns the address. Only the Email Queue is written.

	Errors: 403; 422 (no_outgoing_mail) where no account can send.
	"""
	_may_see(rule, customer)
	address = frappe.db.get_value("User", frappe.session.user, "email")
	if not frappe.utils.validate_email_address(address or ""):
		frappe.throw(_("Your user has no e-mail address to send a test to."))
	subject, body, facts = _rendered(rule, customer)
	if not facts["sender"]:
		frappe.throw(
			_("No Email Account can send yet: set up a default outgoing one."), frappe.OutgoingEmailError
		)
	queued = frappe.sendmail(
		recipients=[address],
		sender=facts["sender"],
		reply_to=frappe.get_cached_doc("Reorder Settings").reply_to or None,
		subject=_("[Test] {0}").format(subject),
		template=message.ENVELOPE,
		args={"html": body, "text": message.plain_text(body)},
		add_unsubscribe_link=0,
		delayed=True,
	)
	if not queued:
		frappe.throw(_("Nothing was queued for {0}: it has unsubscribed from all mail.").format(address))
	return address


def _may_see(rule: str | None, customer: str | None) -> None:
	frappe.has_permission("Reorder Rule", "read", doc=rule or None, throw=True)
	if customer:
		check_customer(customer)


def _rendered(rule: str | None, customer: str | None) -> tuple[str, str, dict]:
	settings, now, notes = frappe.get_cached_doc("Reorder Settings"), now_datetime(), []
	who = (
		frappe.db.get_value("Customer", customer, ["name", "customer_name", "language"], as_dict=True)
		if customer
		else None
	)
	if customer and not who:
		frappe.throw(_("Customer {0} does not exist.").format(customer), frappe.DoesNotExistError)
	dues = _pairs_of(customer, rule, settings) if customer else []
	if customer and not dues:
		notes.append(_("{0} has bought nothing of this yet: samples are shown.").format(who.customer_name))
	who = who or frappe._dict(name=None, customer_name=_("Sample Customer"), language=None)
	chosen = rules.one(rule) if rule else None
	dues = dues or _samples(rule, getdate(now), chosen)
	ruling = [chosen or due.rule for due in dues]
	company = check.company_of(customer or "", settings)
	document = message.draft(who, dues, company, now)
	preference = preferences.consenting(customer) if customer else None
	if customer and not preference:
		notes.append(
			_("{0} has no contact who wants reminders: this would not be sent.").format(who.customer_name)
		)
	document.contact = (
		preference.contact
		if preference
		else (frappe.db.get_value("Customer", customer, "customer_primary_contact") if customer else None)
	)
	message.offer_what_rules_say(document, ruling)
	_show_offer(document, ruling, getdate(now))
	if any(rule.free_shipping for rule in ruling) and not any(row.free_shipping for row in document.items):
		notes.append(
			_("Free shipping is left out: the Free Shipping Rule of Reorder Settings does not apply.")
		)
	template = message.template_of(ruling, settings)
	sender_name = next((each.sender_name for each in ruling if each.sender_name), None)
	with message.speaking(message.language_of(who, preference)):
		context = message.context_of(document, preference, settings, NO_LINKS, sender_name, preview=True)
		if not customer:
			context["name"] = _("Alex")
		subject, body = message.render(template, context, settings.neutral_subject)
	try:
		sender = message.sender_of(ruling, settings, company)
	except frappe.OutgoingEmailError:
		frappe.clear_messages()
		sender = None
		notes.append(_("No Email Account can send yet: set up a default outgoing one."))
	return subject, body, {"sender": sender, "template": template, "notes": notes}


def _pairs_of(customer: str, rule: str | None, settings) -> list[check.Due]:
	"""The customer's items, the next one first, of this rule if one is asked for."""
	reminder = frappe.qb.DocType("Reorder Reminder")
	rows = (
		frappe.qb.from_(reminder)
		.select("*")
		.where((reminder.customer == customer) & reminder.last_day.isnotnull() & (reminder.stopped == 0))
		.orderby(reminder.next_on.isnull(), reminder.next_on, reminder.item_code)
	).run(as_dict=True)
	ruling = rules.of_items([row.item_code for row in rows])
	sold = catalogue.sold([row.item_code for row in rows], customer=customer)
	found = [
		check.Due(row, ruling[row.item_code], None, "")
		for row in rows
		if row.item_code in sold and ruling[row.item_code].remind
	]
	if rule:
		found = [due for due in found if due.rule.name == rule]
	return found[: max(cint(settings.max_items), 1)]


def _samples(rule: str | None, today, chosen) -> list[check.Due]:
	"""Two items of the shop (of this rule where it has any), as if bought some weeks ago."""
	rows = []
	for number, item in enumerate(_some_items(rule)):
		rows.append(
			frappe._dict(
				item_code=item.name,
				item_name=item.item_name,
				item_group=item.item_group,
				last_day=today - timedelta(days=28 + 7 * number),
				last_quantity=1 + number,
				next_from=today + timedelta(days=4),
				next_on=today + timedelta(days=9),
				next_to=today + timedelta(days=17),
				p_alive=90,
			)
		)
	return [check.Due(row, chosen or rules.of_item(row.item_code), None, "") for row in rows]


def _some_items(rule: str | None) -> list:
	item = frappe.qb.DocType("Item")
	query = (
		frappe.qb.from_(item)
		.select(item.name, item.item_name, item.item_group)
		.where(catalogue.is_sold(item) & item.name.notin([*own_items(), ""]))
		.orderby(item.image.isnull(), item.creation)
		.limit(2)
	)
	found = []
	if rule:
		scope = frappe.db.get_value(
			"Reorder Rule", rule, ["applies_to", "item_code", "item_group", "brand"], as_dict=True
		)
		found = query.where(rules.in_scopes(item, [rules.scope_of(scope)])).run(as_dict=True)
	found = found or query.run(as_dict=True)
	return found or [
		frappe._dict(name="SAMPLE-1", item_name=_("Coffee beans, 1 kg"), item_group=None),
		frappe._dict(name="SAMPLE-2", item_name=_("Paper filters"), item_group=None),
	]


def _show_offer(document, ruling, today) -> None:
	"""As sending does, without a coupon being made."""
	if offer.limited(document):
		document.coupon_code = SAMPLE_CODE
	if days := message.days_of_offer(document, ruling):
		document.offer_ends = today + timedelta(days=days)
