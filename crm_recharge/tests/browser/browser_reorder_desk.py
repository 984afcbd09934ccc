"""Reorder reminders in the desk, as a Reorder Manager meets them, in Chromium."""

from urllib.parse import quote

import frappe
import pytest
from playwright.sync_api import expect

from crm_recharge.frappe_versions import DESK
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.insight.tests.rows import message
from crm_recharge.tests.support import reorder_case as made

from .conftest import PASSWORD, Desk, required


@pytest.fixture
def manager(site, chromium):
	"""A Reorder Manager's desk; whatever goes wrong in it fails the test."""
	context = chromium.new_context(viewport={"width": 1440, "height": 900})
	desk = Desk(context)
	desk.page.goto(required("CRM_RECHARGE_URL") + f"/login?redirect-to={DESK}/reorder-reminders")
	desk.page.locator("#login_email").fill(site.user("Reorder Manager", "Sales User", "Sales Manager"))
	desk.page.locator("#login_password").fill(PASSWORD)
	desk.page.locator(".form-login .btn-login").click()
	desk.page.wait_for_url(f"**{DESK}/reorder-reminders")
	yield desk
	context.close()
	# Frappe's charts draw once before they know their width.
	assert [problem for problem in desk.problems if "<rect>" not in problem] == []


@pytest.fixture
def customer(site):
	"""A customer who has bought an item three times, consents, and was reminded once."""
	made.make_fiscal_years()
	item = made.make_item(item_name="Coffee <b>Beans</b>")
	buyer, contact = made.make_buyer(customer_name=f"Northwind {frappe.generate_hash(length=6)}")
	for ago in (210, 180, 150, 120, 90, 60, 30):
		made.make_invoice(buyer, {item: 2}, on=ago)
	# The same on the same day again, which the report on purchase data asks about.
	made.make_invoice(buyer, {item: 2}, on=30)
	forgotten = made.make_item(item_name="Filters")
	for ago in (150, 120, 90):
		made.make_invoice(buyer, {forgotten: 1}, on=ago)
	preferences.opt_in(contact, buyer, "Phone", "Yes, mail me")
	message(buyer, [{"item_code": item, "item_name": "Coffee", "won": 1, "revenue": 20}], ago=3)
	frappe.db.commit()
	# Not before the worker has foretold them: it would write over what is meant here.
	for code in (item, forgotten):
		site.until("Reorder Reminder", {"customer": buyer, "item_code": code}, "forecast_on", made.day(0))
	frappe.db.set_value(
		"Reorder Reminder",
		{"customer": buyer, "item_code": forgotten},
		{"next_from": made.day(65), "next_on": made.day(60), "next_to": made.day(55), "p_alive": 90},
	)
	frappe.db.set_value(
		"Reorder Reminder",
		{"customer": buyer, "item_code": item},
		{"next_from": made.day(-3), "next_on": made.day(-9), "next_to": made.day(-17), "status": "Due"},
	)
	frappe.db.commit()
	return buyer


def test_the_workspace_shows_figures_and_leads_to_reports(manager, customer):
	page = manager.page
	expect(page.locator(".number-widget-box")).to_have_count(4)
	expect(page.locator(".number-widget-box", has_text="Reorders Won in 30 Days")).to_contain_text("$")
	expect(page.locator(".shortcut-widget-box", has_text="Customers Due")).to_contain_text("Due")
	manager.picture("reorder-workspace")
	page.get_by_role("link", name="Reorder Uplift").click()
	page.wait_for_url("**/query-report/Reorder%20Uplift*")
	expect(page.locator(".dt-scrollable:visible")).to_contain_text("Too early to say")


@pytest.mark.parametrize(
	("report", "seen"),
	[
		("Reorder Cycles", "Median"),
		("Most Forgotten Items", "Lost, Estimated"),
		("Reorder Reminder Funnel", "Bought"),
		("Purchase Data Quality", "What to Do"),
	],
)
def test_reports_open(manager, customer, report, seen):
	page = manager.open(f"query-report/{report.replace(' ', '%20')}")
	expect(page.locator(".report-wrapper:visible, .page-form:visible").first).to_be_visible()
	expect(page.locator(".page-container:visible")).to_contain_text(seen)
	manager.picture(report.lower().replace(" ", "-"))


def test_the_dashboard_has_its_charts(manager, customer):
	page = manager.open("dashboard-view/Reorder%20Reminders")
	expect(page.locator(".dashboard-widget-box:visible")).to_have_count(4)
	expect(page.locator(".number-widget-box:visible")).to_have_count(5)
	for title in ("Reorder Funnel", "Shortest Reorder Cycles"):
		bars = page.locator(".dashboard-widget-box", has_text=title).locator("svg rect.bar")
		expect(bars.first).to_be_attached()
	page.wait_for_timeout(1500)
	manager.picture("reorder-dashboard")


def test_a_reminder_says_its_range_in_words_and_takes_wishes(site, manager, customer):
	name = frappe.db.get_value("Reorder Reminder", {"customer": customer, "status": "Due"})
	page = manager.open(f"reorder-reminder/{name}")
	form = manager.form("Reorder Reminder")
	expect(form.locator(".form-message")).to_contain_text("Next purchase: between")
	expect(form.locator(".form-message")).to_contain_text("most likely")
	page.get_by_role("button", name="Wishes").click()
	page.locator(".dropdown-menu:visible").get_by_text("Snooze", exact=True).click()
	day = frappe.utils.add_days(frappe.utils.nowdate(), 20)
	manager.dialog.locator("input[data-fieldname='day']").fill(frappe.utils.formatdate(day))
	manager.dialog.get_by_role("button", name="Save").click()
	site.until("Reorder Reminder", name, "snoozed_until", frappe.utils.getdate(day))
	manager.picture("reorder-reminder")


def test_the_customer_form_tells_the_next_purchase_and_leads_on(site, manager, customer):
	site.write("Customer", customer, "crm_recharge_next_purchase_on", made.day(-9))
	page = manager.open(f"customer/{quote(customer)}")
	expect(manager.form("Customer")).to_contain_text("Next purchase: ")
	expect(manager.form("Customer").locator(".document-link", has_text="Reorder Reminder")).to_be_attached()
	assert page


def test_erasing_asks_first_and_then_leaves_nothing(site, manager, customer):
	name = frappe.db.get_value("Reorder Customer", {"customer": customer})
	page = manager.open(f"reorder-customer/{name}")
	page.get_by_role("button", name="Privacy").click()
	page.locator(".dropdown-menu:visible").get_by_text("Erase", exact=True).click()
	expect(manager.dialog).to_contain_text("deleted for good")
	manager.picture("reorder-erase")
	manager.dialog.get_by_role("button", name="Erase").click()
	page.wait_for_url(f"**{DESK}/reorder-customer")
	assert site.count("Reorder Reminder", {"customer": customer}) == 0
	assert site.count("Reorder Message", {"customer": customer}) == 0


def test_settings_read_history_in_the_background(site, manager, customer):
	page = manager.open("reorder-settings")
	page.get_by_role("button", name="Learning").click()
	page.locator(".dropdown-menu:visible").get_by_text("Read History", exact=True).click()
	before = site.count("Reorder Run", {"kind": "History", "status": "Done"})
	manager.dialog.get_by_role("button", name="Yes").click()
	page.wait_for_timeout(500)
	for _ in range(60):
		if site.count("Reorder Run", {"kind": "History", "status": "Done"}) > before:
			break
		page.wait_for_timeout(500)
	assert site.count("Reorder Run", {"kind": "History", "status": "Done"}) > before


def test_lists_show_states_and_ranges(manager, customer):
	for path, text in (
		("reorder-reminder", "between"),
		("reorder-message", "Sent"),
		("reorder-customer", "Northwind"),
		("reorder-preference", "Wants Reminders"),
		("reorder-run", "History"),
		("reorder-rule", ""),
	):
		page = manager.open(path)
		if text:
			expect(page.locator(".frappe-list:visible")).to_contain_text(text)


def test_the_list_comes_by_the_day_that_is_due_and_shows_it(site, manager, customer):
	rows = frappe.get_all("Reorder Reminder", {"customer": customer}, pluck="name", order_by="name")
	frappe.db.sql("UPDATE `tabReorder Reminder` SET `remind_on` = NULL")
	given = zip(rows, (("Waiting", made.day(-40)), ("Due", made.day(3))), strict=True)
	for name, (status, day) in given:
		frappe.db.set_value("Reorder Reminder", name, {"status": status, "remind_on": day})
	frappe.db.commit()
	manager.page.set_viewport_size({"width": 1280, "height": 800})
	page = manager.open("reorder-reminder")
	days = page.locator(".frappe-list:visible .list-row [data-filter^='remind_on']")
	expect(days).to_have_text([frappe.utils.formatdate(made.day(3)), frappe.utils.formatdate(made.day(-40))])
	for number in range(2):
		expect(days.nth(number)).to_be_visible()
	expect(page.locator(".frappe-list:visible .list-row").first).to_contain_text(f" · {customer}")
	# Who has stopped buying was due long ago, and would stand before all that is due.
	frappe.db.set_value("Reorder Reminder", rows[1], {"status": "Lapsed", "remind_on": made.day(200)})
	frappe.db.commit()
	page.reload()
	expect(days).to_have_text([frappe.utils.formatdate(made.day(-40))])
	manager.picture("reorder-list")


def test_what_the_model_keeps_is_told_in_words_by_whoever_asks(site, manager, customer):
	name = frappe.db.get_value("Reorder Reminder", {"customer": customer, "status": "Due"})
	page = manager.open(f"reorder-reminder/{name}")
	form = manager.form("Reorder Reminder")
	section = form.locator(".form-section", has_text="How This Was Worked Out")
	expect(section.locator(".section-body")).to_be_hidden()
	section.locator(".section-head").click()
	expect(section).to_contain_text("Bought on 7 days, first on")
	expect(section).to_contain_text("Usually 30 days lie between two purchases.")
	for internal in ("Sum", "Square", "Cross", "Irregular", "Relearn", "P50"):
		expect(form).not_to_contain_text(internal)
	page.wait_for_timeout(300)
	manager.picture("reorder-reminder-in-words")
