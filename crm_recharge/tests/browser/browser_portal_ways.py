"""Ways on, on the customer's page: two windows, a setting that was changed meanwhile, a payment that waits, typed amounts."""

import re

import frappe
import pytest
from playwright.sync_api import expect

from crm_recharge.tests import factories

from .conftest import PASSWORD, Desk

GOOD, MASTERCARD, AUTHENTICATE, DECLINED = (
	"4242424242424242",
	"5555555555554444",
	"4000002760003184",
	"4000000000000002",
)
# The browser notes every refusal in its console; here they are what is tried.
REFUSALS = ("status of 409", "status of 422")


@pytest.fixture
def owner_of(site, log_in):
	"""Opens /credits as the account's owner, in one more window each time."""
	people, opened = {}, []

	def enter(account: str, viewport: dict | None = None) -> Desk:
		if account not in people:
			user = factories.make_user(new_password=PASSWORD)
			site.set_owner(account, user)
			people[account] = log_in(user)
			window = people[account]
		else:
			window = Desk(people[account].page.context)
		if viewport:
			window.page.set_viewport_size(viewport)
		window.open(f"/credits?account={account}")
		window.page.locator("[data-balance]").wait_for()
		opened.append(window)
		return window

	yield enter
	for window in opened:
		assert [p for p in window.problems if not any(refusal in p for refusal in REFUSALS)] == []
		window.page.close()


def add_credits(page, amount: str):
	page.get_by_role("button", name="Add Credits").click()
	dialog = page.locator("#add-credits-dialog")
	dialog.get_by_label("Amount (USD)").fill(amount)
	return dialog


# -- two windows -----------------------------------------------------------------------------------------------


def test_each_of_two_windows_is_told_of_its_own_payment(site, stripe, owner_of):
	account = site.account(stripe, GOOD, balance="100")
	first, second = owner_of(account).page, owner_of(account).page
	one, other = add_credits(first, "25"), add_credits(second, "50")
	# The bank takes its time, so that the second is asked for while the first is under way.
	stripe.faults.slow(6)
	one.get_by_role("button", name="Charge $ 25.00").click()
	expect(one.locator("[data-result='wait']")).to_be_visible()
	other.get_by_role("button", name="Charge $ 50.00").click()
	expect(other).to_contain_text("Yours of $ 50.00 was not started, and nothing was charged for it.")
	expect(other).to_contain_text("Another payment of $ 25.00 on this account: paid.")
	expect(other).not_to_contain_text("Credits Added")
	expect(one.locator("[data-result='good']")).to_contain_text("$ 125.00")
	# The second goes on with its own amount.
	other.get_by_role("button", name="Try Again").click()
	expect(other.get_by_label("Amount (USD)")).to_have_value("50.00")
	other.get_by_role("button", name="Charge $ 50.00").click()
	expect(other.locator("[data-result='good']")).to_contain_text("$ 175.00")
	assert site.count("Recharge", {"credit_account": account}) == 2


def test_what_was_changed_meanwhile_is_shown_with_two_ways_on(site, stripe, owner_of):
	account = site.account(stripe, GOOD, MASTERCARD, balance="1000")
	page, other = owner_of(account).page, owner_of(account).page
	other.get_by_label("When the balance falls to or below").fill("80")
	other.get_by_role("button", name="Save", exact=True).click()
	expect(other.locator("#save-news")).to_have_text("Saved")
	page.get_by_label("Recharge up to").fill("700")
	page.get_by_role("button", name="Save", exact=True).click()
	conflict = page.locator("#conflict")
	expect(conflict).to_contain_text("Auto-recharge was changed meanwhile")
	expect(conflict).to_contain_text("When the balance falls to or below (USD): now 80.00, here 50.00")
	expect(conflict).to_contain_text("Recharge up to (USD): now 500.00, here 700")
	# What was typed is still there, and can be saved on top.
	expect(page.get_by_label("Recharge up to")).to_have_value("700")
	page.get_by_role("button", name="Save what is here").click()
	expect(page.locator("#save-news")).to_have_text("Saved")
	expect(conflict).to_be_empty()
	setting = f"ARS-{account}"
	assert site.value("Auto-Recharge Setting", setting, ["falls_below", "recharge_up_to"]) == (50, 700)
	# The other window takes what is there now.
	other.get_by_label("When the balance falls to or below").fill("90")
	other.get_by_role("button", name="Save", exact=True).click()
	other.get_by_role("button", name="Take what is there now").click()
	expect(other.get_by_label("When the balance falls to or below")).to_have_value("50.00")
	expect(other.get_by_label("Recharge up to")).to_have_value("700.00")
	expect(other.locator("#save")).to_be_focused()
	assert site.value("Auto-Recharge Setting", setting, ["falls_below", "recharge_up_to"]) == (50, 700)


# -- what charges at once --------------------------------------------------------------------------------------


def test_saying_no_saves_and_charges_nothing(site, stripe, owner_of):
	account = site.account(stripe, GOOD, balance="12", enabled=False)
	page = owner_of(account).page
	page.get_by_label("Recharge automatically").check()
	save = page.get_by_role("button", name="Save", exact=True)
	save.click()
	question = page.get_by_role("dialog", name="A card is charged now")
	expect(question).to_contain_text("this charges Visa •••• 4242 with $ 488.00 now")
	question.get_by_role("button", name="Not now").click()
	expect(question).to_be_hidden()
	expect(save).to_be_focused()
	expect(page.locator("#save-news")).to_have_text("Not saved yet")
	assert site.value("Auto-Recharge Setting", f"ARS-{account}", "enabled") == 0
	assert site.count("Recharge", {"credit_account": account}) == 0


def test_resuming_says_what_it_charges(site, stripe, owner_of):
	account = site.account(stripe, GOOD, balance="40", enabled=False)
	setting = frappe.get_doc("Auto-Recharge Setting", f"ARS-{account}")
	setting.db_set({"enabled": 1, "paused_because": "far more used than usual"})
	setting.copy_to_account()
	frappe.db.commit()
	page = owner_of(account).page
	expect(page.locator(".badge").first).to_have_text("Auto-Recharge Paused")
	page.get_by_role("button", name="Resume", exact=True).click()
	question = page.get_by_role("dialog", name="A card is charged now")
	expect(question).to_contain_text("with $ 460.00 now")
	question.get_by_role("button", name="Resume, charge $ 460.00").click()
	expect(page.locator("[data-balance]")).to_have_text("$ 500.00")
	expect(page.locator(".badge").first).to_have_text("Active")


# -- a payment that waits for its card holder --------------------------------------------------------------------


def waiting(site, stripe) -> tuple[str, str]:
	account = site.account(stripe, AUTHENTICATE, balance="100")
	site.charge(account, "60")
	recharge = site.value("Credit Account", account, "open_recharge")
	site.until("Recharge", recharge, "status", "Action Required")
	return account, recharge


def test_a_payment_that_waits_is_cancelled_on_the_page_and_credits_are_added_anew(site, stripe, owner_of):
	account, recharge = waiting(site, stripe)
	window = owner_of(account)
	page = window.page
	expect(page.locator(".badge").first).to_have_text("Needs Confirmation")
	expect(page.locator("[data-pending]")).to_contain_text(
		"Your bank wants you to confirm the payment of $ 460.00"
	)
	expect(page.locator("#balance").get_by_role("link", name="Confirm the payment")).to_be_visible()
	window.picture("portal-waiting")
	page.get_by_role("button", name="Cancel the payment").click()
	question = page.get_by_role("dialog", name="Cancel the payment")
	question.get_by_role("button", name="Cancel the payment").click()
	expect(page.locator("[data-pending]")).to_have_count(0)
	expect(page.locator("#recharges")).to_contain_text("cancelled")
	assert site.value("Recharge", recharge, "status") == "Cancelled"
	assert site.value("Credit Account", account, "open_recharge") is None


def test_the_mailed_link_opens_and_the_dialog_offers_both_ways(site, stripe, owner_of):
	account, _recharge = waiting(site, stripe)
	page = owner_of(account).page
	page.get_by_role("button", name="Add Credits").click()
	dialog = page.locator("#add-credits-dialog")
	expect(dialog).to_contain_text(
		"An automatic payment of $ 460.00 on this account: waits for your confirmation."
	)
	expect(dialog.get_by_role("button", name="Cancel the payment")).to_be_visible()
	dialog.get_by_role("link", name="Confirm the payment").click()
	page.wait_for_url(re.compile("/recharge-confirm"))
	expect(page.get_by_role("heading", level=1)).to_have_text("Recharge of $ 460.00")
	page.get_by_role("button", name="Go to the payment page").click()
	page.wait_for_url(re.compile(re.escape(stripe.api_base)))


# -- typed amounts -----------------------------------------------------------------------------------------------


@pytest.fixture
def number_format(site):
	before = frappe.db.get_default("number_format")

	def use(style: str) -> None:
		frappe.db.set_default("number_format", style)
		frappe.db.commit()
		frappe.clear_cache()

	yield use
	use(before or "#,###.##")


@pytest.mark.parametrize(
	"style, level, shown, wrong, told",
	[
		(
			"#,###.##",
			"1,250.50",
			"$ 1,250.50",
			"1.250,50",
			"1.250,50 can be read in more than one way. Type 1,250.50.",
		),
		(
			"#.###,##",
			"1.250,50",
			"$ 1.250,50",
			"12.50",
			"12.50 can be read in more than one way. Type 12,50.",
		),
		("# ###,##", "1 250,50", "$ 1 250,50", "1e5", "Type both amounts in digits, such as 12,50."),
		("#'###.##", "1'250.50", "$ 1'250.50", "many", "Type both amounts in digits, such as 12.50."),
		(
			"#,##,###.##",
			"1,250.50",
			"$ 1,250.50",
			"5,00",
			"5,00 can be read in more than one way. Type 5.00.",
		),
	],
)
def test_the_page_reads_what_it_writes(
	site, stripe, owner_of, number_format, style, level, shown, wrong, told
):
	number_format(style)
	account = site.account(stripe, GOOD, balance="5000")
	page = owner_of(account).page
	below = page.get_by_label("When the balance falls to or below")
	up_to = page.get_by_label("Recharge up to")
	up_to.fill("5000")
	below.fill(wrong)
	expect(page.locator("#words")).to_contain_text(told)
	below.fill(level)
	expect(page.locator("#words")).to_contain_text(f"at or below {shown},")
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#save-news")).to_have_text("Saved")
	assert site.value("Auto-Recharge Setting", f"ARS-{account}", "falls_below") == 1250.5
	# As the page writes it now it is saved again.
	written = up_to.input_value()
	assert written != "5000"
	below.fill(below.input_value())
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#save-news")).to_have_text("Saved")
	assert site.value("Auto-Recharge Setting", f"ARS-{account}", "recharge_up_to") == 5000
	dialog = add_credits(page, written)
	expect(dialog.get_by_role("button", name=re.compile(r"^Charge \$"))).to_have_text(f"Charge $ {written}")
	dialog.get_by_role("button", name=re.compile(r"^Charge \$")).click()
	expect(dialog.locator("[data-result='good']")).to_be_visible()
	assert site.count("Recharge", {"credit_account": account, "amount": 5000}) == 1


def test_a_cleared_level_is_not_zero(site, stripe, owner_of):
	account = site.account(stripe, GOOD, balance="1000")
	page = owner_of(account).page
	page.get_by_label("When the balance falls to or below").fill("")
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#auto-problem")).to_have_text("When the balance falls to or below: type an amount.")
	page.get_by_label("When the balance falls to or below").fill("0")
	page.get_by_role("button", name="Save", exact=True).click()
	expect(page.locator("#save-news")).to_have_text("Saved")
	assert site.value("Auto-Recharge Setting", f"ARS-{account}", "falls_below") == 0


# -- cards -------------------------------------------------------------------------------------------------------


def test_a_card_that_is_entered_again_stays_one_card(site, stripe, owner_of):
	account = site.account(stripe, GOOD, balance="1000")
	page = owner_of(account).page
	for _ in range(2):
		page.get_by_role("button", name="Add Card").click()
		form = page.locator("#card-dialog")
		form.get_by_label("Card number").fill("4242 4242 4242 4242")
		form.get_by_label("MM / YY").fill("12 / 39")
		form.get_by_label("CVC").fill("123")
		form.get_by_role("button", name="Save Card").click()
		expect(form).to_be_hidden()
		expect(page.locator("#save-news")).to_have_text("This card is on the list already.")
		expect(page.locator("#cards li")).to_have_count(1)
	expect(page.locator("#cards li")).to_contain_text("expires 12/39")
	assert site.count("Recharge Card", {"credit_account": account}) == 1


def test_an_account_that_fails_is_no_green_active(site, stripe, owner_of):
	account = site.account(stripe, DECLINED, balance="100")
	site.charge(account, "60")
	site.until("Auto-Recharge Setting", f"ARS-{account}", "enabled", 0)
	page = owner_of(account).page
	expect(page.locator(".badge").first).to_have_text("Auto-Recharge Failed")
	expect(page.locator(".badge").first).to_have_class(re.compile("red"))
