"""The desk as a Credit Manager and a Credit User meet it, in Chromium, with the stand-in for Stripe and a worker."""

import re

from playwright.sync_api import expect

from crm_recharge.frappe_versions import DESK

from .conftest import PASSWORD, Desk, required

GOOD, MASTERCARD, POOR, DECLINED = (
	"4242424242424242",
	"5555555555554444",
	"4000000000009995",
	"4000000000000002",
)


def test_a_person_logs_in_and_the_workspace_shows_the_figures(site, stripe, chromium):
	site.charge(site.account(stripe, GOOD), "12.5")
	context = chromium.new_context(viewport={"width": 1280, "height": 800})
	desk = Desk(context)
	page = desk.page
	page.goto(required("CRM_RECHARGE_URL") + f"/login?redirect-to={DESK}/crm-recharge")
	page.locator("#login_email").fill(site.user("Credit Manager"))
	page.locator("#login_password").fill(PASSWORD)
	page.locator(".form-login .btn-login").click()
	page.wait_for_url(f"**{DESK}/crm-recharge")
	cards = page.locator(".number-widget-box")
	expect(cards).to_have_count(4)
	expect(cards.filter(has_text="Prepaid Balance").locator(".number")).to_contain_text("$")
	for title in ("Open Recharges", "Failed Recharges in 7 Days", "Switched Off by Failure"):
		expect(cards.filter(has_text=title).locator(".number")).to_have_text(re.compile(r"\d+"))
	chart = page.locator(".dashboard-widget-box", has_text="Credits Used and Recharged")
	expect(chart.locator("svg .dataset-units").first).to_be_attached()
	expect(page.locator(".shortcut-widget-box", has_text="Credit Account")).to_contain_text("Accounts")
	expect(page.get_by_role("link", name="Gateway Event")).to_be_visible()
	desk.picture("workspace")
	assert desk.problems == []
	context.close()


def test_an_account_shows_its_balance_to_the_last_digit(site, stripe, manager):
	account = site.account(stripe, GOOD, balance="100")
	site.charge(account, "0.0312")
	page = manager.account(account)
	expect(manager.balance(account)).to_contain_text("$ 99.9688")
	expect(manager.balance(account)).to_contain_text("USD")
	overview = page.locator(".crm-recharge-overview:visible")
	expect(overview.locator("[data-auto-recharge]")).to_contain_text("The balance $ 99.9688 is above $ 50.00")
	expect(overview.get_by_role("row").filter(has_text="Usage")).to_contain_text("$ -0.0312")
	expect(overview.get_by_role("row").filter(has_text="Grant")).to_contain_text("Opening balance")


def test_a_number_format_without_decimals_cuts_no_amount(site, stripe, log_in):
	account = site.account(stripe, GOOD, balance="1234.99")
	site.write("Credit Account", account, "overdraft_limit", "12.5")
	desk = log_in(site.user("Credit Manager"))
	# As the site's System Settings would have it.
	desk.page.add_init_script(
		"addEventListener('DOMContentLoaded', () => { frappe.boot.sysdefaults.number_format = '#.###' })"
	)
	page = desk.account(account)
	expect(desk.balance(account)).to_contain_text("$ 1.234,99")
	page.get_by_role("tab", name="Details").click()
	limit = page.locator("[data-fieldname='overdraft_limit']:visible input")
	expect(limit).to_have_value("12,50")
	limit.fill("7,25")
	limit.blur()
	assert page.evaluate("cur_frm.doc.overdraft_limit") == 7.25
	desk.open("credit-account")
	expect(page.locator(".list-row", has_text=account)).to_contain_text("1.234,99")


def test_add_credits_charges_once_however_often_it_is_pressed(site, stripe, manager):
	account = site.account(stripe, POOR, MASTERCARD, balance="100")
	page = manager.account(account)
	manager.button("Add Credits").click()
	manager.dialog.locator("[data-amount='25']").click()
	charge = manager.dialog.get_by_role("button", name="Charge $ 25.00")
	manager.picture("add-credits")
	charge.dblclick()
	result = manager.dialog.locator("[data-result='good']")
	expect(result).to_be_visible()
	expect(result).to_contain_text("$ 125.00")
	expect(result).to_contain_text("Mastercard •••• 4444")
	expect(result).to_contain_text("Visa •••• 9995: there is not enough money on the card")
	payment = site.value("Recharge", {"credit_account": account}, "settled_intent")
	expect(result).to_contain_text(payment)
	manager.picture("credits-added")
	manager.dialog.get_by_role("button", name="Done").click()
	# The form behind it follows without being loaded again.
	expect(manager.balance(account)).to_contain_text("$ 125.00")
	expect(page.locator(".crm-recharge-overview:visible")).to_contain_text(payment)
	assert site.count("Recharge", {"credit_account": account}) == 1
	paid = stripe.intents(site.value("Credit Account", account, "gateway_customer"), "succeeded")
	assert [intent["amount"] for intent in paid] == [2500]


def test_an_amount_of_ones_own_and_a_chosen_card(site, stripe, manager):
	account = site.account(stripe, POOR, GOOD, balance="10", enabled=False)
	manager.account(account)
	manager.button("Add Credits").click()
	amount = manager.dialog.locator("[data-fieldname='amount'] input")
	amount.fill("3")
	manager.dialog.locator(".btn-modal-primary").click()
	expect(manager.dialog.locator("[data-result='bad']")).to_contain_text(
		"One payment takes from $ 5.00 to $ 10,000.00"
	)
	amount.fill("12.34")
	manager.dialog.locator("[data-fieldname='card'] select").select_option(
		label="Visa •••• 4242 · expires 12/34"
	)
	manager.dialog.locator(".btn-modal-primary").click()
	expect(manager.dialog.locator("[data-result='good']")).to_contain_text("$ 22.34")
	assert site.count("Recharge Attempt", {"credit_account": account}) == 1


def test_cards_that_fail_say_why_and_nothing_is_credited(site, stripe, manager):
	account = site.account(stripe, DECLINED, POOR, balance="40", enabled=False)
	page = manager.account(account)
	manager.button("Add Credits").click()
	manager.dialog.locator("[data-amount='50']").click()
	manager.dialog.locator(".btn-modal-primary").click()
	result = manager.dialog.locator("[data-result='bad']")
	expect(result).to_contain_text("$ 50.00 could not be charged. The balance is unchanged.")
	expect(result).to_contain_text("Visa •••• 0002: the bank declined the card")
	expect(result).to_contain_text("Visa •••• 9995: there is not enough money on the card")
	manager.picture("not-charged")
	# The story of it, on its own form.
	result.get_by_role("link").click()
	story = page.locator("[data-status='Failed']:visible")
	expect(story).to_contain_text("No card could be charged")
	attempts = page.locator(".crm-recharge-table:visible").get_by_role("row")
	expect(attempts.nth(1)).to_contain_text("Visa •••• 0002")
	expect(attempts.nth(1)).to_contain_text("generic_decline")
	expect(attempts.nth(2)).to_contain_text(re.compile(r"insufficient_funds\s*\d+ ms"))
	manager.picture("recharge")
	assert site.value("Credit Account", account, "balance") == 40


def test_saving_the_form_leaves_the_balance_alone(site, stripe, manager):
	account = site.account(stripe, GOOD, balance="100")
	page = manager.account(account)
	site.charge(account, "7.25")
	page.locator(".form-tabs:visible").get_by_role("tab", name="Details").click()
	reason = page.locator("[data-fieldname='status_reason'] textarea:visible")
	reason.fill("Asked for a copy of the contract")
	reason.press("Tab")
	manager.button("Save").click()
	page.locator(".form-tabs:visible").get_by_role("tab", name="Overview").click()
	expect(manager.balance(account)).to_contain_text("$ 92.75")
	expect(page.locator(".crm-recharge-overview:visible")).to_contain_text("Asked for a copy of the contract")
	assert site.value("Credit Account", account, "balance") == 92.75
	assert site.value("Credit Account", account, "status_reason") == "Asked for a copy of the contract"


def test_a_threshold_that_cannot_work_is_refused_with_the_reason(site, stripe, manager):
	account = site.account(stripe, GOOD, MASTERCARD)
	manager.account(account)
	manager.button("Auto-Recharge").click()
	page = manager.page
	page.wait_for_url(f"**{DESK}/auto-recharge-setting/**")
	note = page.locator("[data-fieldname='explanation'] .crm-recharge-note:visible")
	expect(note).to_contain_text(
		"When the balance is at or below $ 50.00, one payment refills it to $ 500.00"
	)
	expect(note).to_contain_text(
		"Visa •••• 4242 is charged first; if it is declined, the next one: Mastercard •••• 4444"
	)
	manager.picture("auto-recharge")
	below = page.locator("[data-fieldname='falls_below'] input:visible")
	below.fill("600")
	below.press("Tab")
	expect(note).to_contain_text("Recharge Up To must be above Falls Below")
	manager.button("Save").click()
	expect(manager.dialog).to_contain_text("Recharge Up To (500) must be above Falls Below (600)")
	manager.dialog.locator(".btn-modal-close").first.click()
	below.fill("60")
	below.press("Tab")
	manager.button("Save").click()
	expect(page.locator(".page-head:visible .indicator-pill")).to_have_text("On")
	assert site.value("Auto-Recharge Setting", {"credit_account": account}, "falls_below") == 60
	# The desk writes what the server refused into its console as well.
	refused = ("target_not_above_threshold", "ask_before_saving")
	assert [p for p in manager.problems if not any(word in p for word in refused)] == []
	manager.problems.clear()


def test_a_card_is_saved_through_stripes_form_and_joins_the_list(site, stripe, manager):
	account = site.account(stripe, DECLINED, enabled=False)
	manager.open(f"auto-recharge-setting/ARS-{account}")
	manager.button("Add Card").click()
	form = manager.dialog
	form.get_by_label("Card number").fill("5555 5555 5555 4444")
	form.get_by_label("MM / YY").fill("12 / 34")
	form.get_by_label("CVC").fill("123")
	form.get_by_role("button", name="Save Card").click()
	rows = manager.page.locator("[data-fieldname='cards'] .grid-body .grid-row:visible")
	expect(rows).to_have_count(2)
	expect(rows.nth(1)).to_contain_text("Mastercard •••• 4444")
	manager.button("Save").click()
	expect(manager.page.locator(".page-head:visible .indicator-pill")).to_have_text("Off")
	assert site.count("Auto-Recharge Card", {"parent": f"ARS-{account}"}) == 2
	assert not any(
		"4444444" in str(call["params"]) for call in stripe.log() if call["path"].endswith("/payment_methods")
	)


def test_a_failure_of_all_cards_is_a_banner_with_the_way_out(site, stripe, manager):
	account = site.account(stripe, DECLINED, balance="60")
	site.charge(account, "20")
	page = manager.account(account)
	note = page.locator("[data-auto-recharge]:visible")
	expect(note).to_contain_text("Auto-recharge is switched off.")
	expect(note).to_contain_text("Visa •••• 0002: the bank declined the card")
	manager.open(f"auto-recharge-setting/ARS-{account}")
	banner = page.locator(".form-message:visible, .headline-alert:visible").first
	expect(banner).to_contain_text("Auto-recharge was switched off on")
	expect(banner).to_contain_text("tick Auto-Recharge and save")
	manager.picture("switched-off")


def test_what_is_unused_is_refunded(site, stripe, manager):
	account = site.account(stripe, GOOD, balance="0", enabled=False)
	page = manager.account(account)
	manager.button("Add Credits").click()
	manager.dialog.locator("[data-amount='25']").click()
	manager.dialog.locator(".btn-modal-primary").click()
	manager.dialog.locator("[data-result='good']").get_by_role("link").click()
	site.charge(account, "5")
	manager.button("Refund").click()
	manager.dialog.locator("[data-fieldname='reason'] textarea").fill("Bought by mistake")
	manager.dialog.get_by_role("button", name="Refund").click()
	refunds = page.locator("[data-fieldname='story']:visible .crm-recharge-block", has_text="Refunds")
	expect(refunds).to_contain_text("Bought by mistake")
	expect(refunds).to_contain_text("Succeeded")
	expect(page.locator(".page-head:visible .indicator-pill")).to_have_text("Partly Refunded")
	expect(page.locator("[data-status='Partly Refunded']")).to_contain_text(
		"A part of it has been refunded since."
	)
	assert site.value("Credit Account", account, "balance") == 0


def test_accounting_that_failed_is_tried_again_by_hand(site, stripe, manager):
	account = site.account(stripe, GOOD, balance="100")
	item = site.value(
		"CRM Recharge Company", {"company": site.value("Credit Account", account, "company")}, "item"
	)
	try:
		site.write("Item", item, "disabled", 1)
		site.charge(account, "60")
		site.until("Recharge", {"credit_account": account}, "accounting_status", "Failed")
	finally:
		site.write("Item", item, "disabled", 0)
	name = site.value("Recharge", {"credit_account": account}, "name")
	manager.open(f"recharge/{name}")
	manager.button("Retry").click()
	site.until("Recharge", name, "accounting_status", "Done")
	assert site.value("Sales Invoice", site.value("Recharge", name, "sales_invoice"), "docstatus") == 1


def test_corrections_and_statement(site, stripe, manager):
	account = site.account(stripe, GOOD, balance="100")
	page = manager.account(account)
	page.locator(".page-head:visible").get_by_role("button", name="Correct").click()
	page.get_by_role("link", name="Adjust Balance").or_(
		page.get_by_text("Adjust Balance", exact=True)
	).first.click()
	manager.dialog.locator("[data-fieldname='amount'] input").fill("-0.0004")
	manager.dialog.locator("[data-fieldname='note'] textarea").fill("Test message sent twice")
	manager.dialog.get_by_role("button", name="Adjust Balance").click()
	expect(manager.balance(account)).to_contain_text("$ 99.9996")
	manager.button("Statement").click()
	statement = manager.dialog
	expect(statement.get_by_role("row").filter(has_text="Closing balance")).to_contain_text("$ 99.9996")
	expect(statement.get_by_role("row").filter(has_text="Test message sent twice")).to_contain_text(
		"$ -0.0004"
	)
	manager.picture("statement")


def test_the_ledger_has_no_new_button_and_no_save(site, stripe, manager):
	account = site.account(stripe, GOOD, balance="100")
	page = manager.open("credit-ledger/view/list")
	expect(page.locator(".list-row:visible").first).to_be_visible()
	expect(page.locator(".page-head:visible .primary-action")).to_be_hidden()
	manager.open(f"credit-ledger/{site.value('Credit Ledger', {'credit_account': account}, 'name')}")
	expect(page.locator(".page-head:visible").get_by_role("button", name="Reverse")).to_be_visible()
	expect(manager.button("Save")).to_be_hidden()


def test_a_credit_user_looks_but_does_not_charge(site, stripe, log_in):
	account = site.account(stripe, GOOD, balance="100")
	desk = log_in(site.user("Credit User"))
	page = desk.account(account)
	expect(desk.balance(account)).to_contain_text("$ 100.00")
	expect(page.locator(".page-head:visible").get_by_role("button", name="Statement")).to_be_visible()
	for label in ("Add Credits", "Correct"):
		expect(page.locator(".page-head:visible").get_by_role("button", name=label)).to_have_count(0)
	desk.open("credit-account/view/list")
	expect(page.locator(".list-row:visible").first).to_be_visible()
	expect(page.locator(".page-head:visible").get_by_role("button", name="Add Credit Account")).to_have_count(
		0
	)
	assert desk.problems == []


def test_the_connection_to_stripe_can_be_tested(stripe, manager):
	page = manager.open("crm-recharge-settings")
	expect(page.locator("[data-fieldname='stripe_help'] code")).to_contain_text(
		"crm_recharge.api.gateway.webhook"
	)
	manager.button("Test Connection").click()
	expect(manager.dialog).to_contain_text("answers in the place of Stripe")
	manager.picture("settings")
	manager.dialog.locator(".btn-modal-close").first.click()
	expect(page.locator(".modal.show")).to_have_count(0)


def test_auto_recharge_is_set_up_from_nothing(site, stripe, manager):
	account = site.account(stripe, balance="100")
	page = manager.account(account)
	expect(page.locator("[data-auto-recharge]:visible")).to_contain_text("Auto-recharge is not set up.")
	manager.button("Add Credits").click()
	expect(manager.dialog.locator("[data-result='bad']")).to_contain_text("This account has no card")
	manager.dialog.locator(".btn-modal-close").first.click()
	manager.button("Auto-Recharge").click()
	page.wait_for_url(f"**{DESK}/auto-recharge-setting/new-**")
	expect(page.locator("[data-fieldname='falls_below'] input:visible")).to_have_value("50.00")
	expect(page.locator("[data-fieldname='recharge_up_to'] input:visible")).to_have_value("500.00")
	manager.button("Save").click()
	page.wait_for_url(f"**{DESK}/auto-recharge-setting/ARS-{account}")
	manager.button("Add Card").click()
	manager.dialog.locator("[data-fieldname='payment_method'] input").fill("pm_card_visa")
	manager.dialog.get_by_role("button", name="Save Card").click()
	expect(page.locator("[data-fieldname='cards'] .grid-body .grid-row:visible")).to_contain_text(
		"Visa •••• 4242"
	)
	page.locator("[data-fieldname='enabled'] input:visible").check()
	manager.button("Save").click()
	expect(page.locator(".page-head:visible .indicator-pill")).to_have_text("On")
	site.charge(account, "60")
	manager.account(account)
	# One payment closes the whole gap: 500 less the 40 that were left.
	expect(manager.balance(account)).to_contain_text("$ 500.00")
	assert site.count("Recharge", {"credit_account": account, "origin": "Automatic", "amount": 460}) == 1
