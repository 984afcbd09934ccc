"""The pages of reminders can be read on any screen: contrast, one heading that says what it is, labels, nothing cut off."""

import os
from itertools import pairwise
from pathlib import Path

import frappe
import pytest
from frappe.utils import add_days, nowdate

from crm_recharge.reorder.answers import links
from crm_recharge.reorder.answers.tests.reminded import make_message, make_reminder, set_settings
from crm_recharge.reorder.answers.tests.test_orders import make_address, make_coupon
from crm_recharge.reorder.consent import preferences
from crm_recharge.tests.support import reorder_case
from crm_recharge.tests.support.reorder_case import day

from .browser_access import CUT, NARROW, POOR_CONTRAST, UNNAMED
from .conftest import required

WIDE = {"width": 1280, "height": 900}
ROOT = {"/reorder": ".crm-reorder", "/reorders": ".crm-reorders"}
LONG = "Beans from the highlands, roasted very dark, in a bag of one kilogram; Supercalifragilisticexpialidocious-2026"


@pytest.fixture
def look(chromium):
	"""Opens an address wide and narrow, each in a browser of its own, and asserts that it can be read."""
	contexts = []

	def at(address: str, name: str, cookies=None, do=lambda page: None):
		for label, size in (("", WIDE), ("-360", NARROW)):
			context = chromium.new_context(viewport=size)
			contexts.append(context)
			if cookies:
				context.add_cookies(cookies)
			page = context.new_page()
			page.goto(required("CRM_RECHARGE_URL") + address)
			do(page)
			page.wait_for_timeout(300)
			if folder := os.environ.get("CRM_RECHARGE_PICTURES"):
				page.screenshot(path=str(Path(folder) / f"reorder-{name}{label}.png"), full_page=True)
			assert_readable(page, ROOT[address.partition("?")[0]])

	yield at
	for context in contexts:
		context.close()


def assert_readable(page, root: str):
	assert page.evaluate(POOR_CONTRAST, root) == []
	for script in (CUT, UNNAMED):
		found = page.evaluate(script.replace(".crm-credits", root))
		# What is only for screen readers is cut on purpose.
		assert [element for element in found if "sr-only" not in element] == []
	levels = page.evaluate(
		"() => [...document.querySelectorAll('h1, main h2, main h3')]"
		".filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))"
	)
	assert levels.count(1) == 1 and levels[0] == 1, levels
	assert all(later - before <= 1 for before, later in pairwise(levels)), levels


@pytest.fixture
def reminded(site):
	"""A message about four items: one with a discount, one not sold any more, one without a price, one plain."""
	reorder_case.without_default_taxes(reorder_case.first_company())
	set_settings(order_document="Sales Order", submit_order=1, ask_for_payment=0, company=None)
	customer, contact = reorder_case.make_buyer(
		customer_name=f"Coffee & Sons {frappe.generate_hash(length=4)}"
	)
	make_address(customer)
	items = [
		reorder_case.make_item(price, item_name=name)
		for price, name in (("1234.5", LONG), ("5", "Filters"), (None, "Mugs"), ("7", "Cups"))
	]
	for item in items:
		make_reminder(customer, item, quantity=12)
	preference = preferences.opt_in(contact, customer, "test", "Remind me").name
	message = make_message(customer, contact, [{"item_code": item} for item in items], preference=preference)
	coupon = make_coupon(customer, items[0], 20, add_days(nowdate(), 5))
	message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), 5)})
	frappe.db.set_value("Item", items[1], "disabled", 1)
	frappe.db.commit()
	return message


def address(message, action: str) -> str:
	return links.address_of_page(links.token(message.name, action), action)


def press(name: str):
	"""Press the button; what is done once is done when the second screen comes."""

	def pressed(page):
		button = page.get_by_role("button", name=name).first
		if button.count():
			button.click()
			page.wait_for_url("**/reorder?*done=1*")

	return pressed


@pytest.mark.parametrize(
	("action", "button"),
	[
		("later", "Remind me then"),
		("enough", "Save"),
		("fewer", "Save"),
		("stop", "Stop the reminders"),
		("reorder", "Order now"),
	],
)
def test_what_the_buttons_of_a_mail_open_and_what_comes_of_them(site, reminded, look, action, button):
	look(address(reminded, action), action)
	look(address(reminded, action), f"{action}-done", do=press(button))


def test_what_cannot_be_ordered_and_links_that_are_over(site, reminded, look):
	frappe.db.set_value("Customer", reminded.customer, "is_frozen", 1)
	frappe.db.commit()
	look(address(reminded, "reorder"), "refused")
	look("/reorder?do=reorder&token=x", "broken")


def test_the_page_of_the_account(site, reminded, look):
	rows = frappe.get_all("Reorder Reminder", {"customer": reminded.customer}, pluck="name", order_by="name")
	frappe.db.set_value("Reorder Reminder", rows[0], "snoozed_until", add_days(nowdate(), 9))
	frappe.db.set_value("Reorder Reminder", rows[1], "expected_on", add_days(nowdate(), 19))
	frappe.db.set_value("Reorder Reminder", rows[2], {"next_on": None, "next_from": None, "next_to": None})
	frappe.db.set_value("Reorder Preference", reminded.preference, "snoozed_until", day(-30))
	cookies = logged_in(site, reminded.customer)
	look("/reorders", "account", cookies, do=lambda page: page.locator("summary").first.click())
	preferences.opt_out(reminded.preference, "test")
	frappe.db.commit()
	look("/reorders", "account-without-mails", cookies)


def test_who_belongs_to_no_customer(site, look):
	look("/reorders", "nobody", logged_in(site))


def logged_in(site, customer: str | None = None) -> list[dict]:
	"""Cookies of a new website user, the login of the contact of `customer`."""
	import requests

	from crm_recharge.tests import factories

	from .conftest import PASSWORD

	user = factories.make_user(user_type="Website User", new_password=PASSWORD)
	if customer:
		contact = frappe.get_doc(
			"Contact", frappe.db.get_value("Customer", customer, "customer_primary_contact")
		)
		contact.user = user
		contact.save(ignore_permissions=True)
	frappe.db.commit()
	session = requests.Session()
	session.trust_env = False
	url = required("CRM_RECHARGE_URL")
	answer = session.post(f"{url}/api/method/login", data={"usr": user, "pwd": PASSWORD}, timeout=60)
	assert answer.status_code == 200, answer.text[:200]
	return [{"name": c.name, "value": c.value, "url": url} for c in session.cookies]
