"""What the browser tests share: a site served by somebody else, a stand-in for Stripe, Chromium, people.

CRM_RECHARGE_URL and CRM_RECHARGE_SITE name the site; a worker must be running for it. CHROMIUM names the browser.
With CRM_RECHARGE_PICTURES set to a folder, tests leave pictures of what they saw there.
"""

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import frappe
import pytest
from frappe.installer import update_site_config
from playwright.sync_api import expect, sync_playwright

from crm_recharge.credits import ledger, usage
from crm_recharge.frappe_versions import DESK
from crm_recharge.recharge import cards
from crm_recharge.tests import factories
from crm_recharge.tests.support.stripe_stand_in import PUBLISHABLE_KEY, SECRET_KEY, StandIn

PASSWORD = "browser-Tests-1"
# As long as a busy machine may take; an idle one answers within two seconds.
WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)

# Realtime is not part of these services, and the desk says so in its console.
TOLERATED = ("socket.io",)


def required(name: str) -> str:
	"""An environment variable that must be set."""
	value = os.environ.get(name)
	if not value:
		pytest.exit(f"{name} is not set: run ./dev/test --tier browser", returncode=3)
	return value


@pytest.fixture(scope="session")
def site():
	"""The site's database, as Administrator. Tests see what the server committed after `site.fresh()`."""
	frappe.init(site=required("CRM_RECHARGE_SITE"), sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	yield Site()
	frappe.destroy()


@pytest.fixture(scope="session")
def stripe(site):
	"""A stand-in for Stripe that the site's server and workers speak to while these tests run."""
	with StandIn() as stand_in:
		values = {
			"crm_recharge_stripe_secret_key": SECRET_KEY,
			"crm_recharge_stripe_publishable_key": PUBLISHABLE_KEY,
			"crm_recharge_stripe_api_base": stand_in.api_base,
		}
		before = {key: frappe.local.conf.get(key) for key in values}
		configure(values)
		try:
			yield stand_in
		finally:
			configure(before)


def configure(values: dict) -> None:
	for key, value in values.items():
		update_site_config(key, value if value is not None else "None", validate=False)
		frappe.local.conf[key] = value


class Site:
	"""Makes records, and reads what the server has committed."""

	def account(self, stripe, *numbers: str, balance="100", enabled: bool = True, **setting) -> str:
		"""An account of a new customer with a card for each number and an auto-recharge setting over them."""
		customer = factories.make_customer(customer_name=f"Northwind {frappe.generate_hash(length=6)}")
		account = factories.make_account(customer)
		known = cards.gateway_customer(account)
		saved = [cards.save(account, stripe.make_card(known, number)) for number in numbers]
		if float(balance):
			ledger.grant(account, balance, "opening", note="Opening balance")
		if saved:
			factories.make_setting(
				account, saved, int(enabled), falls_below=50, recharge_up_to=500, **setting
			)
		frappe.db.commit()
		return account

	def charge(self, account: str, amount) -> None:
		"""Usage from elsewhere."""
		usage.charge(account, {"amount": str(amount), "idempotency_key": frappe.generate_hash(length=12)})
		frappe.db.commit()

	def user(self, *roles: str) -> str:
		"""A person with `roles` who can log in with PASSWORD."""
		user = factories.make_user(*roles, new_password=PASSWORD)
		frappe.db.commit()
		return user

	def set_owner(self, account: str, user: str) -> None:
		"""Make `user` the owner of `account`."""
		frappe.db.set_value("Credit Account", account, "account_owner", user)
		frappe.db.commit()

	def until(self, doctype: str, name, field, value) -> None:
		"""Wait until a worker has written `value`. Raises AssertionError when it does not come."""
		deadline = time.monotonic() + WAIT_MS / 1000
		while (found := self.value(doctype, name, field)) != value:
			assert time.monotonic() < deadline, f"{doctype} {name}: {field} is still {found!r}"
			time.sleep(0.2)

	def value(self, doctype: str, name, field):
		"""A value as it is committed now."""
		frappe.db.rollback()
		return frappe.db.get_value(doctype, name, field)

	def write(self, doctype: str, name: str, field: str, value) -> None:
		"""Change a value past the form, as something elsewhere would."""
		frappe.db.set_value(doctype, name, field, value)
		frappe.db.commit()
		# Once more: whoever asked before the commit has put the old value back.
		frappe.clear_document_cache(doctype, name)

	def count(self, doctype: str, filters: dict) -> int:
		"""Rows as they are committed now."""
		frappe.db.rollback()
		return frappe.db.count(doctype, filters)


@pytest.fixture(scope="session")
def chromium():
	with sync_playwright() as playwright:
		browser = playwright.chromium.launch(
			executable_path=os.environ.get("CHROMIUM") or "/usr/bin/chromium",
			args=["--no-sandbox", "--disable-background-networking"],
		)
		yield browser
		browser.close()


class Desk:
	"""One person's desk in one window; collects what goes wrong in it."""

	def __init__(self, context):
		self.url = required("CRM_RECHARGE_URL")
		self.page = context.new_page()
		self.page.set_default_timeout(WAIT_MS)
		self.problems: list[str] = []
		self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
		self.page.on("console", self.note_console)
		self.page.on("response", self.note_response)

	def note_console(self, message):
		place = f"{message.text} {message.location.get('url', '')}"
		if message.type == "error" and not any(word in place for word in TOLERATED):
			self.problems.append(f"console: {place}")

	def note_response(self, response):
		if response.status >= 500:
			self.problems.append(f"{response.status}: {urlsplit(response.url).path}")

	def open(self, path: str):
		"""Go to a page of the website ("/credits") or of the desk ("credit-account"), within the desk without loading anew."""
		if path.startswith("/"):
			self.page.goto(self.url + path)
		elif urlsplit(self.page.url).path.startswith(DESK):
			self.page.evaluate("path => frappe.set_route(path)", path)
			self.page.wait_for_url(f"**{DESK}/{path}*")
		else:
			self.page.goto(f"{self.url}{DESK}/{path}")
		return self.page

	def account(self, account: str):
		"""Open an account's form and wait for its figures."""
		self.open(f"credit-account/{account}")
		self.balance(account).wait_for()
		return self.page

	def balance(self, account: str):
		return self.form("Credit Account").locator("[data-balance]")

	def form(self, doctype: str):
		"""The form that is shown for `doctype`."""
		return self.page.locator(f'[id="page-{doctype}"]:visible')

	@property
	def dialog(self):
		return self.page.locator(".modal.show").last

	def button(self, label: str):
		"""A button at the head of the page that is shown."""
		return self.page.locator(".page-head:visible").get_by_role("button", name=label, exact=True)

	def picture(self, name: str):
		"""Keep a picture, when somebody wants them."""
		folder = os.environ.get("CRM_RECHARGE_PICTURES")
		if folder:
			self.page.wait_for_timeout(600)  # dialogs fade in, charts grow
			self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.fixture(scope="session")
def log_in(chromium):
	"""Opens a desk for a user, logged in without the form."""
	contexts = []

	def enter(user: str, password: str = PASSWORD) -> Desk:
		context = chromium.new_context(viewport={"width": 1280, "height": 800})
		contexts.append(context)
		url = required("CRM_RECHARGE_URL")
		answer = context.request.post(f"{url}/api/method/login", form={"usr": user, "pwd": password})
		assert answer.ok, f"{user} could not log in: {answer.text()[:300]}"
		return Desk(context)

	yield enter
	for context in contexts:
		context.close()


@pytest.fixture(scope="session")
def managers_window(site, log_in) -> Desk:
	return log_in(site.user("Credit Manager"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
	report = yield
	if report.when == "call" and report.failed and "manager" in item.funcargs:
		item.funcargs["manager"].picture(f"failed-{item.name}")
	return report


@pytest.fixture
def manager(managers_window):
	"""The desk of a Credit Manager; a test leaves it without an error in its console."""
	managers_window.problems.clear()
	yield managers_window
	managers_window.page.evaluate("() => frappe.ui.open_dialogs.slice().forEach((dialog) => dialog.hide())")
	assert managers_window.problems == []
