"""The customer's page as its owner meets it, on a desk's screen and on a phone's."""

import re

import pytest
from playwright.sync_api import expect

from crm_recharge.tests import factories

from .conftest import PASSWORD, Desk, required

GOOD, MASTERCARD, POOR, DECLINED = (
	"4242424242424242",
	"5555555555554444",
	"4000000000009995",
	"4000000000000002",
)
ASK = """async ([account]) => {
	const calls = {
		overview: {},
		start: { amount: "25", idempotency_key: "k" },
		save_auto_recharge: { enabled: 0, falls_below: "1", recharge_up_to: "100", cards: [] },
		begin_card: {},
	};
	const answers = {};
	for (const [method, more] of Object.entries(calls)) {
		const answer = await fetch(`/api/method/crm_recharge.api.portal.${method}`, {
			method: "POST",
			headers: { "Content-Type": "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token },
			body: JSON.stringify({ account, ...more }),
		});
		answers[method] = answer.status;
	}
	return answers;
}"""
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def owner_of(site, log_in):
	"""Gives an account a new owner without desk and opens /credits as that person."""
	opened = []

	def enter(account: str, viewport: dict | None = None) -> Desk:
		user = factories.make_user(new_password=PASSWORD)
		site.set_owner(account, user)
		window = log_in(user)
		if viewport:
			window.page.set_viewport_size(viewport)
		window.open(f"/credits?account={account}")
		window.page.locator("[data-balance]").wait_for()
		opened.append(window)
		return window

	yield enter
	for window in opened:
		assert window.problems == []
		window.page.close()


def test_a_guest_logs_in_and_comes_back_to_the_account(site, stripe, chromium):
	account = site.account(stripe, GOOD)
	user = factories.make_user(new_password=PASSWORD)
	site.set_owner(account, user)
	context = chromium.new_context(viewport=PHONE)
	page = context.new_page()
	page.goto(f"{required('CRM_RECHARGE_URL')}/credits?account={account}")
	page.wait_for_url(re.compile(r"/login\?redirect-to="))
	page.locator("#login_email").fill(user)
	page.locator("#login_password").fill(PASSWORD)
	page.locator(".form-login .btn-login").click()
	page.wait_for_url(re.compile(rf"/credits\?account={account}$"))
	expect(page.locator("[data-balance]")).to_contain_text("$ 100.00")
	context.close()


def test_credits_are_added_once_and_the_confirmation_tells_all(site, stripe, owner_of):
	account = site.account(stripe, POOR, MASTERCARD, balance="100")
	site.charge(account, "0.0312")
	window = owner_of(account)
	page = window.page
	expect(page.locator("[data-balance]")).to_have_text("$ 99.9688")
	window.picture("portal")
	page.get_by_role("button", name="Add Credits").click()
	dialog = page.get_by_role("dialog", name="Add Credits")
	dialog.get_by_label("Amount (USD)").fill("3")
	dialog.get_by_role("button", name="Charge $ 3.00").click()
	expect(dialog.locator("[data-result='bad']")).to_contain_text(
		"$ 3.00 is too little: one payment takes at least $ 5.00"
	)
	dialog.get_by_role("button", name="$ 25.00", exact=True).click()
	dialog.get_by_role("button", name="Charge $ 25.00").dblclick()
	result = page.locator("[data-result='good']")
	expect(result).to_contain_text("$ 124.9688")
	expect(result).to_contain_text("Mastercard •••• 4444")
	expect(result).to_contain_text("Visa •••• 9995: there is not enough money on the card")
	expect(result).to_contain_text(site.value("Recharge", {"credit_account": account}, "settled_intent"))
	window.picture("portal-credits-added")
	page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
	expect(page.locator("[data-balance]")).to_have_text("$ 124.9688")
	assert site.count("Recharge", {"credit_account": account, "origin": "Portal"}) == 1
	paid = stripe.intents(site.value("Credit Account", account, "gateway_customer"), "succeeded")
	assert [intent["amount"] for intent in paid] == [2500]
	# The refusal of 3 is the browser's to note.
	window.problems[:] = [p for p in window.problems if "portal.start" not in p]


def test_auto_recharge_is_set_up_on_a_phone_with_a_card_of_stripes_form(site, stripe, owner_of):
	account = site.account(stripe, balance="40")
	window = owner_of(account, PHONE)
	page = window.page
	page.get_by_role("button", name="Add Card").click()
	form = page.get_by_role("dialog", name="Add Card")
	form.get_by_label("Card number").fill("5555 5555 5555 4444")
	form.get_by_label("MM / YY").fill("12 / 34")
	form.get_by_label("CVC").fill("123")
	form.get_by_role("button", name="Save Card").click()
	cards = page.locator("#cards li")
	expect(cards).to_contain_text("Mastercard •••• 4444")
	page.get_by_label("Recharge automatically").check()
	page.get_by_label("When the balance falls to or below").fill("600")
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#auto-problem")).to_contain_text(
		"The balance to recharge up to ($ 500.00) must be above the one at which it starts ($ 600.00)"
	)
	page.get_by_label("When the balance falls to or below").fill("50")
	expect(page.locator("#words")).to_contain_text(
		"When your balance is at or below $ 50.00, one payment brings it back to $ 500.00."
	)
	page.get_by_role("button", name="Save", exact=True).click()
	# A card would be charged at once: told and asked first.
	question = page.get_by_role("dialog", name="A card is charged now")
	expect(question).to_contain_text(
		"Your balance is $ 40.00, at or below $ 50.00: this charges Mastercard •••• 4444 with $ 460.00 now."
	)
	question.get_by_role("button", name="Save, charge $ 460.00").click()
	# 500 less the 40 that are there, as one payment; the page follows it by itself.
	expect(page.locator("[data-balance]")).to_have_text("$ 500.00")
	expect(page.locator("#save-news")).to_have_text("")
	assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
	window.picture("portal-phone")
	assert site.count("Recharge", {"credit_account": account, "origin": "Automatic", "amount": 460}) == 1
	window.problems[:] = [p for p in window.problems if "save_auto_recharge" not in p]


def test_switched_off_by_a_failure_it_says_why_and_is_mended_here(site, stripe, owner_of):
	account = site.account(stripe, DECLINED, GOOD, balance="100")
	setting = f"ARS-{account}"
	window = owner_of(account)
	page = window.page
	first, second = page.locator("#cards li").nth(0), page.locator("#cards li").nth(1)
	expect(first).to_contain_text("Visa •••• 0002")
	page.get_by_label("Move Visa •••• 4242 up").press("Enter")
	expect(first).to_contain_text("Visa •••• 4242")
	page.get_by_label("Charge Visa •••• 4242 automatically").uncheck()
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#save-news")).to_have_text("Saved")
	site.charge(account, "60")
	site.until("Auto-Recharge Setting", setting, "enabled", 0)
	page.reload()
	banner = page.locator("#auto-state [role='alert']")
	expect(banner).to_contain_text("Auto-recharge was switched off on")
	expect(banner).to_contain_text("Visa •••• 0002: the bank declined the card")
	window.picture("portal-switched-off")
	page.get_by_label("Remove Visa •••• 0002").click()
	page.get_by_role("dialog", name="Remove a card").get_by_role("button", name="Remove").click()
	expect(page.locator("#cards li")).to_have_count(1)
	page.get_by_label("Charge Visa •••• 4242 automatically").check()
	page.get_by_label("Recharge automatically").check()
	expect(second).to_have_count(0)
	page.get_by_role("button", name="Save", exact=True).click()
	page.get_by_role("button", name="Save, charge $ 460.00").click()
	expect(page.locator("[data-balance]")).to_have_text("$ 500.00")
	expect(banner).to_have_count(0)
	window.problems[:] = [p for p in window.problems if "save_auto_recharge" not in p]


def test_another_ones_account_is_refused_on_the_page(site, stripe, owner_of):
	theirs = site.account(stripe, GOOD)
	window = owner_of(site.account(stripe, GOOD))
	page = window.open(f"/credits?account={theirs}")
	expect(page.get_by_role("alert")).to_contain_text(f"{theirs} is not one of your credit accounts")
	expect(page.locator("[data-balance]")).to_have_count(0)
	# Nor does the server give it to a request that the page would not make.
	answers = page.evaluate(ASK, [theirs])
	assert answers == {"overview": 403, "start": 403, "save_auto_recharge": 403, "begin_card": 403}
	assert site.count("Recharge", {"credit_account": theirs}) == 0
	window.problems[:] = [p for p in window.problems if "403" not in p]
