"""What comes between a customer and the page: scripts that are off or late, a login that ended elsewhere, no network."""

import re

import pytest
from frappe.utils import get_url
from playwright.sync_api import expect

from crm_recharge.recharge.links import confirm_link

from .conftest import PASSWORD, required

GOOD, AUTHENTICATE = "4242424242424242", "4000002760003184"
OVER = "You were logged out, or logged in anew, since this page was opened. Load it again."

# As another window of the same browser does it.
LOG_OUT = """() => fetch("/api/method/logout", { method: "POST", headers: { "X-Frappe-CSRF-Token": frappe.csrf_token } })"""


@pytest.fixture
def owner_of(site, chromium):
	"""Opens a page of the owner of an account, in a browser of its own."""
	contexts = []

	def enter(account: str, path: str = "/credits", **options):
		user = site.user()
		site.set_owner(account, user)
		context = chromium.new_context(**options)
		contexts.append(context)
		log_in(context, user)
		page = context.new_page()
		page.goto(required("CRM_RECHARGE_URL") + path)
		return page, user

	yield enter
	for context in contexts:
		context.close()


def log_in(context, user: str):
	url = f"{required('CRM_RECHARGE_URL')}/api/method/login"
	assert context.request.post(url, form={"usr": user, "pwd": PASSWORD}).ok


def test_without_scripts_the_balance_is_read_and_what_is_missing_is_said(site, stripe, owner_of):
	page, _user = owner_of(site.account(stripe, GOOD, balance="100.25"), java_script_enabled=False)
	expect(page.get_by_text("$ 100.25")).to_be_visible()
	expect(page.locator("#crm-credits noscript .note")).to_contain_text("needs JavaScript")
	assert [one.text_content() for one in page.locator("#crm-credits button:visible").all()] == []
	expect(page.locator("#auto-form")).to_be_hidden()


def test_without_scripts_the_mailed_page_says_what_it_needs(site, stripe, owner_of):
	account = site.account(stripe, AUTHENTICATE)
	site.charge(account, "60")
	recharge = site.value("Credit Account", account, "open_recharge")
	site.until("Recharge", recharge, "status", "Action Required")
	page, _user = owner_of(account, confirm_link(recharge)[len(get_url()) :], java_script_enabled=False)
	expect(page.locator(".crm-credits noscript .note")).to_contain_text("opens by JavaScript")
	expect(page.locator("#go")).to_be_hidden()


def test_nothing_can_be_pressed_before_the_page_is_ready(site, stripe, owner_of):
	page, _user = owner_of(site.account(stripe, GOOD))
	page.route(re.compile("/portal/page.js"), lambda route: route.abort())
	page.reload()
	expect(page.get_by_text("$ 100.00").first).to_be_visible()
	for button in ("#add-credits", "#save", "#add-card"):
		expect(page.locator(button)).to_be_hidden()


def test_a_login_that_ended_elsewhere_is_told_in_words_of_people(site, stripe, owner_of):
	account = site.account(stripe, GOOD)
	page, user = owner_of(account)
	page.locator("[data-balance]").wait_for()
	page.evaluate(LOG_OUT)
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#auto-problem")).to_have_text(OVER)
	page.get_by_role("button", name="Add Credits").click()
	page.get_by_label("Amount (USD)").fill("25")
	page.get_by_role("button", name="Charge $ 25.00").click()
	expect(page.locator("[data-result='bad']")).to_have_text(f"{OVER} Nothing was charged.")
	page.keyboard.press("Escape")
	expect(page.locator("#add-credits-dialog")).to_be_hidden()
	log_in(page.context, user)
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#auto-problem")).to_have_text(OVER)
	page.reload()
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#save-news")).to_have_text("Saved")


def test_without_a_network_nothing_is_charged_and_trying_again_charges_once(site, stripe, owner_of):
	account = site.account(stripe, GOOD)
	page, _user = owner_of(account)
	page.get_by_role("button", name="Add Credits").click()
	page.get_by_label("Amount (USD)").fill("25")
	page.context.set_offline(True)
	page.get_by_role("button", name="Charge $ 25.00").click()
	expect(page.locator("[data-result='bad']")).to_contain_text("so nothing is charged twice")
	page.context.set_offline(False)
	page.get_by_role("button", name="Charge $ 25.00").dblclick()
	expect(page.locator("[data-result='good']")).to_contain_text("$ 25.00")
	assert site.count("Recharge", {"credit_account": account}) == 1


def test_who_comes_back_from_the_payment_page_may_go_there_again(site, stripe, owner_of):
	account = site.account(stripe, AUTHENTICATE)
	site.charge(account, "60")
	recharge = site.value("Credit Account", account, "open_recharge")
	site.until("Recharge", recharge, "status", "Action Required")
	page, _user = owner_of(account)
	page.locator("#balance").get_by_role("link", name="Confirm the payment").click()
	page.wait_for_url(re.compile("/recharge-confirm"))
	page.get_by_role("button", name="Go to the payment page").click()
	page.wait_for_url(lambda url: "/recharge-confirm" not in url)
	page.go_back()
	expect(page.get_by_role("button", name="Go to the payment page")).to_be_enabled()
	expect(page.locator("#news")).to_have_text("")
