"""The page behind a reminder's buttons, and the items in the account, as people meet them on a desk and a phone."""

import re
from decimal import Decimal

import frappe
import pytest
from playwright.sync_api import expect

from crm_recharge.reorder.answers import links
from crm_recharge.reorder.answers.tests.reminded import make_message, make_reminder, set_settings
from crm_recharge.reorder.consent import preferences
from crm_recharge.tests import factories
from crm_recharge.tests.support import reorder_case

from .conftest import PASSWORD, required

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture
def reminded(site):
	"""A Reorder Message about two items, to a customer who takes reminders."""
	reorder_case.without_default_taxes(reorder_case.first_company())
	set_settings(order_document="Quotation", submit_order=0, ask_for_payment=0, tracking_days=90)
	customer, contact = reorder_case.make_buyer()
	items = [
		reorder_case.make_item(price, item_name=name) for name, price in (("Espresso", 20), ("Filters", 5))
	]
	for item in items:
		make_reminder(customer, item, quantity=1)
	preference = preferences.opt_in(contact, customer, "test", "Remind me").name
	message = make_message(customer, contact, [{"item_code": item} for item in items], preference=preference)
	frappe.db.commit()
	return message


@pytest.fixture
def open_page(chromium):
	"""Opens an address in a browser of its own; at the end nothing may have gone wrong in any of them."""
	opened = []

	def enter(address: str, viewport: dict = PHONE, scripts: bool = True):
		context = chromium.new_context(viewport=viewport, java_script_enabled=scripts)
		page = context.new_page()
		problems: list[str] = []
		page.on("pageerror", lambda error: problems.append(str(error)))
		page.goto(required("CRM_RECHARGE_URL") + address)
		opened.append((context, page, problems))
		return page

	yield enter
	for context, page, problems in opened:
		assert problems == []
		assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
		context.close()


def address(message, action: str) -> str:
	return links.address_of_page(links.token(message.name, action), action)


def quotations(message) -> list[str]:
	frappe.db.rollback()
	return frappe.get_all("Quotation", {"party_name": message.customer}, pluck="name")


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_total_follows_the_quantities_and_two_taps_are_one_order(site, reminded, open_page, viewport):
	page = open_page(address(reminded, "reorder"), viewport)
	expect(page.get_by_role("button", name="Send the request · $ 25.00")).to_be_visible()
	page.get_by_role("button", name="More of Espresso").click()
	expect(page.get_by_role("button", name="Send the request · $ 45.00")).to_be_visible()
	page.get_by_role("button", name="Less of Filters").click()
	send = page.get_by_role("button", name="Send the request · $ 40.00")
	expect(send).to_be_visible()
	send.dblclick()
	expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
	(name,) = quotations(reminded)
	expect(page.get_by_text(name)).to_be_visible()
	order = frappe.get_doc("Quotation", name)
	assert [(row.item_name, row.qty) for row in order.items] == [("Espresso", 2)]
	assert Decimal(str(order.grand_total)) == 40


def test_looking_is_no_click_but_a_touch_is(site, reminded, open_page):
	page = open_page(address(reminded, "reorder"))
	page.wait_for_timeout(500)
	assert site.value("Reorder Message", reminded.name, "clicked_at") is None
	page.mouse.click(10, 400)
	for _try in range(100):
		if site.value("Reorder Message", reminded.name, "clicked_at"):
			break
		page.wait_for_timeout(100)
	assert site.value("Reorder Message", reminded.name, "clicked_at")


def test_without_scripts(site, reminded, chromium):
	context = chromium.new_context(viewport=PHONE, java_script_enabled=False)
	page = context.new_page()
	page.goto(required("CRM_RECHARGE_URL") + address(reminded, "reorder"))
	page.get_by_label(re.compile("Quantity of Espresso")).fill("3")
	page.get_by_role("button", name="Work out the total again").click()
	page.get_by_role("button", name="Send the request · $ 65.00").click()
	expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
	assert len(quotations(reminded)) == 1
	context.close()


def test_later_enough_fewer_and_stop(site, reminded, open_page):
	page = open_page(address(reminded, "later"))
	page.get_by_text("In two weeks").click()
	page.get_by_role("button", name="Remind me then").click()
	expect(page.get_by_role("heading", name="All right, later")).to_be_visible()

	page = open_page(address(reminded, "enough"))
	page.get_by_label("Date").focus()
	expect(page.get_by_role("radio", name=re.compile("^On"))).to_be_checked()
	page.get_by_role("button", name="Save").click()
	expect(page.get_by_role("heading", name="Good to know")).to_be_visible()

	page = open_page(address(reminded, "fewer"))
	page.get_by_text("At most every two months").click()
	page.get_by_role("button", name="Save").click()
	expect(page.get_by_text("At most every two months")).to_be_visible()

	page = open_page(address(reminded, "stop"))
	page.get_by_role("button", name="Stop the reminders").click()
	expect(page.get_by_role("heading", name="The reminders have stopped")).to_be_visible()
	assert site.value("Reorder Preference", reminded.preference, "opted_in") == 0


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_items_in_the_account(site, reminded, open_page, viewport):
	user = factories.make_user(new_password=PASSWORD)
	frappe.db.set_value("Contact", reminded.contact, "user", user)
	frappe.db.commit()
	page = open_page("/login", viewport)
	page.request.post(f"{required('CRM_RECHARGE_URL')}/api/method/login", form={"usr": user, "pwd": PASSWORD})
	page.goto(f"{required('CRM_RECHARGE_URL')}/reorders")
	page.get_by_label("Quantity of Filters").fill("4")
	page.get_by_role("button", name="Order Filters again").dblclick()
	expect(page.get_by_text("Thank you! We have your request")).to_be_visible()
	(name,) = quotations(reminded)
	assert site.value("Quotation", name, "grand_total") == 20
	page.get_by_text("Another time").first.click()
	page.get_by_label("Remind me").first.select_option("14")
	page.get_by_role("button", name="Save").first.click()
	expect(page.get_by_text(re.compile("· no reminder before"))).to_be_visible()
	page.get_by_label("How often").select_option("60")
	page.locator("form").filter(has=page.get_by_label("How often")).get_by_role("button", name="Save").click()
	expect(page.get_by_text("Your wishes are saved.")).to_be_visible()
	assert site.value("Reorder Preference", reminded.preference, "frequency_days") == 60
