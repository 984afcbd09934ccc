"""The customer's pages can be read, and used without a mouse: contrast, headings, labels, focus, a narrow screen."""

import re
from itertools import pairwise

import frappe
import pytest
from playwright.sync_api import expect

from crm_recharge.tests import factories

from .conftest import PASSWORD

GOOD, MASTERCARD, AUTHENTICATE, DECLINED = (
	"4242424242424242",
	"5555555555554444",
	"4000002760003184",
	"4000000000000002",
)
NARROW = {"width": 360, "height": 740}
ROOT = ".crm-credits"

# Every piece of text that is shown, whose colour is less than 4.5:1 (3:1 where it is large) from what is behind it.
POOR_CONTRAST = """(root) => {
	const parse = (colour) => {
		const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
		return { r, g, b, a };
	};
	const over = (top, below) => ({
		r: top.r * top.a + below.r * (1 - top.a),
		g: top.g * top.a + below.g * (1 - top.a),
		b: top.b * top.a + below.b * (1 - top.a),
		a: 1,
	});
	const light = ({ r, g, b }) => {
		const [x, y, z] = [r, g, b].map((v) => ((v /= 255), v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
		return 0.2126 * x + 0.7152 * y + 0.0722 * z;
	};
	const ratio = (a, b) => {
		const [bright, dark] = [light(a), light(b)].sort((x, y) => y - x);
		return (bright + 0.05) / (dark + 0.05);
	};
	const behind = (element) => {
		const layers = [];
		for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((below, layer) => over(layer, below), { r: 255, g: 255, b: 255, a: 1 });
	};
	const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
	const found = [];
	const look = (element, text) => {
		const style = getComputedStyle(element);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
		const background = behind(element);
		let colour = parse(style.color);
		for (let e = element; e; e = e.parentElement) colour.a *= Number(getComputedStyle(e).opacity);
		const measured = ratio(over(colour, background), background);
		if (measured < (large ? 3 : 4.5)) found.push(`${measured.toFixed(2)} ${text.trim().slice(0, 40)}`);
	};
	for (const part of document.querySelectorAll(root)) {
		const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
		for (let node = walker.nextNode(); node; node = walker.nextNode())
			if (node.data.trim() && node.parentElement && shown(node.parentElement)) look(node.parentElement, node.data);
		for (const field of part.querySelectorAll("input:not([type=checkbox]), select")) if (shown(field) && field.value) look(field, field.value);
	}
	return found;
}"""

# What reaches over the right edge, or is cut off within what holds it.
CUT = """() => {
	const width = document.documentElement.clientWidth;
	const cut = [];
	for (const element of document.querySelectorAll(".crm-credits, .crm-credits *")) {
		if (!element.checkVisibility()) continue;
		const box = element.getBoundingClientRect();
		if (box.width > width || box.right > width + 1 || box.left < -1)
			cut.push(`${element.tagName}.${element.className} ${Math.round(box.left)}–${Math.round(box.right)}`);
		const { overflowX } = getComputedStyle(element);
		if (overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1 && element.tagName !== "INPUT")
			cut.push(`${element.tagName}.${element.className} is scrolled sideways`);
	}
	if (document.documentElement.scrollWidth > width) cut.push("the page itself");
	return cut;
}"""

UNNAMED = """() => [...document.querySelectorAll(".crm-credits input, .crm-credits select, .crm-credits button, .crm-credits a")]
	.filter((element) => element.checkVisibility())
	.filter((element) => !element.labels?.length && !element.getAttribute("aria-label")
		&& !element.getAttribute("aria-labelledby") && !element.textContent.trim())
	.map((element) => element.outerHTML.slice(0, 80))"""


@pytest.fixture
def owner_of(site, log_in):
	opened = []

	def enter(account: str):
		user = factories.make_user(new_password=PASSWORD)
		site.set_owner(account, user)
		window = log_in(user)
		window.open(f"/credits?account={account}")
		window.page.locator("[data-balance]").wait_for()
		opened.append(window)
		return window

	yield enter
	for window in opened:
		window.page.close()


def assert_readable(page):
	assert page.evaluate(POOR_CONTRAST, ROOT) == []
	assert page.evaluate(UNNAMED) == []
	levels = page.evaluate(
		"() => [...document.querySelectorAll('main h1, main h2, main h3')]"
		".filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))"
	)
	assert levels.count(1) == 1
	assert all(later - before <= 1 for before, later in pairwise(levels)), levels


def in_every_width(window, name: str):
	"""Readable, with nothing cut off, on a desk's screen and on a narrow phone."""
	page = window.page
	wide = page.viewport_size
	for label, size in (("", wide), ("-360", NARROW)):
		page.set_viewport_size(size)
		page.wait_for_timeout(400)
		window.picture(f"access-{name}{label}")
		assert_readable(page)
		assert page.evaluate(CUT) == []
	page.set_viewport_size(wide)


def failing(site, stripe) -> str:
	account = site.account(stripe, DECLINED, balance="100")
	site.charge(account, "60")
	site.until("Auto-Recharge Setting", f"ARS-{account}", "enabled", 0)
	return account


def test_a_healthy_account_and_its_dialogs(site, stripe, owner_of):
	account = site.account(stripe, GOOD, MASTERCARD, balance="123456.7891")
	for amount in ("0.0004", "1234.5"):
		site.charge(account, amount)
	window = owner_of(account)
	page = window.page
	page.locator("summary").click()
	in_every_width(window, "healthy")
	page.get_by_role("button", name="Add Credits").click()
	expect(page.locator("#amount")).to_be_focused()
	in_every_width(window, "add-credits")
	page.locator("#amount").fill("3")
	page.get_by_role("button", name="Charge $ 3.00").click()
	expect(page.locator("[data-result='bad']")).to_be_visible()
	in_every_width(window, "refused")
	page.locator("#amount").fill("25")
	page.get_by_role("button", name="Charge $ 25.00").click()
	expect(page.locator("[data-result='good']")).to_be_visible()
	in_every_width(window, "added")
	page.keyboard.press("Escape")
	page.get_by_role("button", name="Add Card").click()
	page.locator("#card-name").wait_for()
	page.wait_for_timeout(600)
	in_every_width(window, "add-card")


def test_an_account_that_fails_or_waits(site, stripe, owner_of):
	window = owner_of(failing(site, stripe))
	in_every_width(window, "failing")
	waiting = site.account(stripe, AUTHENTICATE, balance="100")
	site.charge(waiting, "60")
	site.until(
		"Recharge", site.value("Credit Account", waiting, "open_recharge"), "status", "Action Required"
	)
	window = owner_of(waiting)
	in_every_width(window, "waiting")
	window.page.locator("#balance").get_by_role("link", name="Confirm the payment").click()
	window.page.wait_for_url(re.compile("/recharge-confirm"))
	in_every_width(window, "confirm")
	window.page.goto(window.page.url[:-6])
	in_every_width(window, "broken-link")


def test_an_account_that_is_held_or_paused(site, stripe, owner_of):
	account = site.account(stripe, GOOD, balance="1000")
	site.write("Auto-Recharge Setting", f"ARS-{account}", "paused_because", "far more used than usual")
	window = owner_of(account)
	in_every_width(window, "paused")
	frappe.db.sql(
		"UPDATE `tabCredit Account` SET `held_because` = 'Dispute dp_1', `balance` = -5 WHERE `name` = %s",
		account,
	)
	frappe.db.commit()
	window.page.reload()
	expect(window.page.locator("#auto-state")).to_contain_text("your bank disputes a payment")
	in_every_width(window, "held")


def test_who_owns_nothing_and_who_owns_two(site, stripe, log_in):
	nobody = log_in(site.user())
	nobody.open("/credits")
	in_every_width(nobody, "nothing")
	user = site.user()
	for _ in range(2):
		site.set_owner(site.account(stripe, GOOD), user)
	window = log_in(user)
	window.open("/credits")
	window.page.locator("[data-balance]").wait_for()
	in_every_width(window, "two-accounts")


def test_the_page_is_used_with_the_keyboard_and_the_focus_comes_back(site, stripe, owner_of):
	account = site.account(stripe, GOOD, MASTERCARD, balance="1000")
	page = owner_of(account).page
	for opener, focused, dialog in (
		("Add Credits", "#amount", "#add-credits-dialog"),
		("Add Card", "#card-name", "#card-dialog"),
		("Remove Mastercard •••• 4444", "#ask-no", "#ask-dialog"),
	):
		button = page.get_by_role("button", name=opener, exact=True)
		button.focus()
		page.keyboard.press("Enter")
		expect(page.locator(focused)).to_be_focused()
		page.wait_for_timeout(400)
		page.keyboard.press("Escape")
		expect(page.locator(dialog)).to_be_hidden()
		expect(button).to_be_focused()
	# What is gone does not get the focus back: the next best does.
	page.get_by_label("Remove Mastercard •••• 4444").press("Enter")
	page.wait_for_timeout(400)
	page.locator("#ask-yes").press("Enter")
	expect(page.locator("#cards li")).to_have_count(1)
	expect(page.locator("#add-card")).to_be_focused()
	# From the switch to Save without a mouse.
	page.locator("#enabled").focus()
	page.keyboard.press("Space")
	expect(page.locator("#words")).to_have_text("Nothing is charged by itself while this is off.")
	for _ in range(12):
		if page.evaluate("document.activeElement.id") == "save":
			break
		page.keyboard.press("Tab")
	page.keyboard.press("Enter")
	expect(page.locator("#save-news")).to_have_text("Saved")
	expect(page.locator("#save")).to_be_focused()
