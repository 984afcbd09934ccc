"""Ways on, in the desk: what a save charges is told first, a form that was overtaken, amounts as people type them."""

import re

import frappe
import pytest
from playwright.sync_api import expect

GOOD, MASTERCARD, AUTHENTICATE, DECLINED = (
	"4242424242424242",
	"5555555555554444",
	"4000002760003184",
	"4000000000000002",
)
# The browser notes every refusal in its console; here they are what is tried.
REFUSALS = ("status of 409", "status of 422")


@pytest.fixture
def desk(manager):
	"""The manager's desk, in which refusals are expected."""
	yield manager
	manager.problems[:] = [p for p in manager.problems if not any(refusal in p for refusal in REFUSALS)]


def setting_form(desk, account: str):
	desk.open(f"auto-recharge-setting/ARS-{account}")
	form = desk.form("Auto-Recharge Setting")
	form.locator(".crm-recharge-note").wait_for()
	return form


def value_of(form, field: str):
	return form.locator(f"[data-fieldname='{field}'] input")


def save(desk):
	desk.page.keyboard.press("Control+s")


def test_saving_says_what_it_charges_and_no_saves_nothing(site, stripe, desk):
	account = site.account(stripe, GOOD, balance="12", enabled=False)
	form = setting_form(desk, account)
	form.get_by_label("Auto-Recharge", exact=True).check()
	save(desk)
	told = "The balance of $ 12.00 is at or below $ 50.00: this charges Visa •••• 4242 with $ 488.00 now."
	expect(desk.dialog).to_contain_text(told)
	desk.dialog.get_by_role("button", name="No", exact=True).click()
	expect(desk.page.locator(".modal.show")).to_have_count(0)
	assert site.value("Auto-Recharge Setting", f"ARS-{account}", "enabled") == 0
	assert site.count("Recharge", {"credit_account": account}) == 0
	save(desk)
	expect(desk.dialog).to_contain_text(told)
	desk.dialog.get_by_role("button", name="Yes", exact=True).click()
	site.until("Credit Account", account, "balance", 500)


def test_a_form_that_was_overtaken_shows_what_changed_and_two_ways_on(site, stripe, desk):
	account = site.account(stripe, GOOD, balance="1000")
	name = f"ARS-{account}"
	form = setting_form(desk, account)
	other = frappe.get_doc("Auto-Recharge Setting", name)
	other.falls_below = 80
	other.save()
	frappe.db.commit()
	value_of(form, "recharge_up_to").fill("700")
	value_of(form, "recharge_up_to").press("Tab")
	save(desk)
	expect(desk.dialog).to_contain_text("Falls Below: now 80, here 50")
	expect(desk.dialog).to_contain_text("Recharge Up To: now 500, here 700")
	desk.dialog.get_by_role("button", name="Save What Is Here").click()
	site.until("Auto-Recharge Setting", name, "recharge_up_to", 700)
	assert site.value("Auto-Recharge Setting", name, "falls_below") == 50
	other = frappe.get_doc("Auto-Recharge Setting", name)
	other.falls_below = 90
	other.save()
	frappe.db.commit()
	value_of(form, "recharge_up_to").fill("800")
	value_of(form, "recharge_up_to").press("Tab")
	save(desk)
	desk.dialog.get_by_role("button", name="Take What Is There Now").click()
	expect(value_of(form, "falls_below")).to_have_value(re.compile("^90"))
	expect(value_of(form, "recharge_up_to")).to_have_value(re.compile("^700"))


@pytest.mark.parametrize("typed, told", [("1e5", "1e5 is not an amount"), ("5.000,00", "Type 5,000.00.")])
def test_a_form_does_not_guess_what_was_typed(site, stripe, desk, typed, told):
	form = setting_form(desk, site.account(stripe, GOOD, balance="1000"))
	level = value_of(form, "recharge_up_to")
	level.fill(typed)
	level.press("Tab")
	expect(desk.page.locator(".desk-alert").last).to_contain_text(told)
	expect(level).to_have_value(re.compile("^500"))
	# As it is written it is read, and sums are worked out as everywhere in the desk.
	for typed, shown in (("5,000.00", "5,000"), ("250+250.5", "500.5")):
		level.fill(typed)
		level.press("Tab")
		expect(level).to_have_value(re.compile(f"^{re.escape(shown)}"))


def test_dialogs_read_what_is_written_and_refuse_the_rest(site, stripe, desk):
	account = site.account(stripe, GOOD, balance="100")
	desk.account(account)
	desk.button("Add Credits").click()
	amount = desk.dialog.locator("[data-fieldname='amount'] input")
	for typed, told in (
		("1e2", "1e2 is not an amount. Type digits, such as 12.50."),
		("50,00", "50,00 can be read in more than one way. Type 50.00."),
		("", "type an amount"),
	):
		amount.fill(typed)
		desk.dialog.locator("[data-action='charge']").click()
		expect(desk.dialog.locator("[data-result='bad']")).to_contain_text(told)
	amount.fill("1,250.50")
	charge = desk.dialog.locator("[data-action='charge']")
	expect(charge).to_have_text("Charge $ 1,250.50")
	charge.click()
	expect(desk.dialog.locator("[data-result='good']")).to_contain_text("$ 1,350.50")
	desk.dialog.get_by_role("button", name="Done").click()
	recharge = site.value("Recharge", {"credit_account": account}, "name")
	desk.open(f"recharge/{recharge}")
	desk.button("Refund").click()
	# Nought is not "all that is unused".
	desk.dialog.locator("[data-fieldname='amount'] input").fill("0")
	desk.dialog.locator("[data-fieldname='reason'] textarea").fill("A slip")
	desk.dialog.get_by_role("button", name="Refund").click()
	expect(desk.page.locator(".msgprint")).to_contain_text("above zero")
	assert site.count("Recharge Refund", {"recharge": recharge}) == 0


def test_a_colleagues_payment_is_told_as_another(site, stripe, desk):
	account = site.account(stripe, AUTHENTICATE, balance="100")
	site.charge(account, "60")
	recharge = site.value("Credit Account", account, "open_recharge")
	site.until("Recharge", recharge, "status", "Action Required")
	desk.account(account)
	expect(desk.page.locator(".page-head:visible .indicator-pill")).to_have_text("Needs Confirmation")
	desk.button("Add Credits").click()
	expect(desk.dialog).to_contain_text("Another Payment Is Under Way")
	expect(desk.dialog).to_contain_text("Another payment of $ 460.00 on this account:")
	desk.dialog.get_by_role("button", name="Cancel the Payment").click()
	desk.dialog.get_by_role("button", name="Yes", exact=True).click()
	site.until("Recharge", recharge, "status", "Cancelled")
	expect(desk.dialog.locator("[data-fieldname='amount'] input")).to_be_visible()


def test_the_account_cancels_a_payment_that_waits(site, stripe, desk):
	account = site.account(stripe, AUTHENTICATE, balance="100")
	site.charge(account, "60")
	recharge = site.value("Credit Account", account, "open_recharge")
	site.until("Recharge", recharge, "status", "Action Required")
	desk.account(account)
	desk.form("Credit Account").get_by_role("button", name="Cancel the Payment").click()
	expect(desk.dialog).to_contain_text("Cancel the payment of $ 460.00?")
	desk.dialog.get_by_role("button", name="Yes", exact=True).click()
	site.until("Recharge", recharge, "status", "Cancelled")
	expect(desk.form("Credit Account").locator("[data-pending]")).to_have_count(0)


def test_resuming_says_what_it_charges(site, stripe, desk):
	account = site.account(stripe, GOOD, balance="40", enabled=False)
	setting = frappe.get_doc("Auto-Recharge Setting", f"ARS-{account}")
	setting.db_set({"enabled": 1, "paused_because": "far more used than usual"})
	setting.copy_to_account()
	frappe.db.commit()
	desk.account(account)
	desk.button("Resume Auto-Recharge").click()
	expect(desk.dialog).to_contain_text("this charges Visa •••• 4242 with $ 460.00 now")
	desk.dialog.get_by_role("button", name="Yes", exact=True).click()
	site.until("Credit Account", account, "balance", 500)


def test_how_an_account_stands_is_told_in_form_and_list(site, stripe, desk):
	failing = site.account(stripe, DECLINED, balance="100")
	site.charge(failing, "60")
	site.until("Auto-Recharge Setting", f"ARS-{failing}", "enabled", 0)
	held, below = site.account(stripe, GOOD), site.account(stripe, GOOD)
	frappe.db.sql("UPDATE `tabCredit Account` SET `held_because` = 'Refund RF-1' WHERE `name` = %s", held)
	frappe.db.sql("UPDATE `tabCredit Account` SET `balance` = -5 WHERE `name` = %s", below)
	frappe.db.commit()
	fine = site.account(stripe, GOOD)
	expected = {
		failing: "Auto-Recharge Failed",
		held: "Auto-Recharge on Hold",
		below: "Below Zero",
		fine: "Active",
	}
	for account, told in expected.items():
		desk.account(account)
		expect(desk.page.locator(".page-head:visible .indicator-pill")).to_have_text(told)
	desk.open("credit-account")
	for account, told in expected.items():
		row = desk.page.locator(".list-row-container:visible").filter(
			has=desk.page.locator(f"[data-name='{account}']")
		)
		expect(row.locator(".indicator-pill").first).to_contain_text(told)


def test_one_row_is_not_rows(site, stripe, desk):
	account = site.account(stripe, GOOD, balance="10")
	desk.account(account)
	desk.button("Statement").click()
	expect(desk.dialog).to_contain_text("1 row")
	expect(desk.dialog).not_to_contain_text("1 rows")


def has_focus(page, locator):
	"""Whether a key would go there, also while another window of the browser is in front."""
	page.wait_for_function("element => element === document.activeElement", arg=locator.element_handle())


def test_after_a_dialog_the_focus_is_where_it_was(site, stripe, desk):
	page = desk.account(site.account(stripe, GOOD, balance="100"))
	for label in ("Add Credits", "Statement"):
		button = desk.button(label)
		button.focus()
		page.keyboard.press("Enter")
		desk.dialog.wait_for()
		page.wait_for_timeout(600)
		page.keyboard.press("Escape")
		expect(desk.page.locator(".modal.show")).to_have_count(0)
		has_focus(page, button)
	desk.button("Correct").click()
	page.locator(".dropdown-menu.show").get_by_text("Grant Credits").click()
	desk.dialog.wait_for()
	page.wait_for_timeout(600)
	page.keyboard.press("Escape")
	expect(desk.page.locator(".modal.show")).to_have_count(0)
	has_focus(page, desk.button("Correct"))
