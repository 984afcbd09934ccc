"""Every page of the app as browsers meet it: guest, owner, stranger and staff, with links that are whole, broken or missing.

A new page under www/ is tried as it is added.
"""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import frappe
import requests

import crm_recharge
from crm_recharge.credits import usage
from crm_recharge.recharge import links
from crm_recharge.recharge.worker import carry_out
from crm_recharge.tests import factories
from crm_recharge.tests.support.money_case import GatewayTestCase
from crm_recharge.tests.support.web import Web

PASSWORD = "a-long-Passphrase-78"
AUTHENTICATE = "4000002760003184"
PAGES = sorted(path.stem for path in (Path(crm_recharge.__file__).parent / "www").glob("*.html"))
ALLOWED = (200, 301, 302, 303, 403, 404, 410)
INTERNALS = re.compile(r"Traceback|frappe\.exceptions|site-packages|apps/frappe|jinja2")


class TestPagesOverHTTP(GatewayTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.web = Web().start()
		cls.addClassCleanup(cls.web.stop)

	def session(self, user: str | None) -> requests.Session:
		session = requests.Session()
		session.trust_env = False
		if user:
			answer = session.post(
				f"{self.web.url}/api/method/login", data={"usr": user, "pwd": PASSWORD}, timeout=60
			)
			self.assertEqual(answer.status_code, 200, answer.text[:300])
		return session

	def person(self, *roles: str, **values) -> str:
		return self.user(*roles, new_password=PASSWORD, **values)

	def get(self, session, page: str, **parameters):
		return session.get(f"{self.web.url}/{page}", params=parameters, timeout=60, allow_redirects=False)

	def waiting(self) -> tuple[str, str, str]:
		"""An account, its owner, and the token of a payment that waits for the card holder."""
		owner = self.person()
		account = self.account("500", account_owner=owner)
		factories.make_setting(account, [self.card(account, AUTHENTICATE)])
		frappe.db.commit()
		recharge = usage.charge(account, {"amount": 460, "idempotency_key": "k"})["recharge"]
		frappe.db.commit()
		self.assertEqual(carry_out(recharge), "Action Required")
		token = parse_qs(urlsplit(links.confirm_link(recharge)).query)["token"][0]
		return account, owner, token

	def assert_a_page(self, answer, what: str):
		self.assertIn(answer.status_code, ALLOWED, f"{what}: {answer.text[:300]}")
		self.assertIsNone(INTERNALS.search(answer.text), what)
		if answer.status_code in (301, 302, 303):
			return
		self.assertEqual(len(re.findall(r"<h1[\s>]", answer.text)), 1, f"{what}: a page has one heading")

	def test_no_page_fails_whoever_comes_with_whatever_link(self):
		account, owner, token = self.waiting()
		self.assertIn("credits", PAGES)
		self.assertIn("recharge-confirm", PAGES)
		strange = ("%00", "\x00", "x\x00y\n", "x" * 800, "😀", "../../etc/passwd", "<b>")
		asked = [
			{},
			{"account": account},
			{"account": "CA-nowhere"},
			{"token": token},
			{"token": token, "returned": "1"},
			{"token": token[:-3]},
			{"token": links.make("reorder", "RC-1", 3)},
			{"do": "reorder", "token": "broken"},
			{"do": "nothing", "token": token},
			{"customer": "nobody"},
			*({"token": text, "account": text, "do": text, "customer": text} for text in strange),
		]
		people = {
			"guest": None,
			"owner": owner,
			"stranger": self.person(),
			"staff": self.person("Credit Manager"),
		}
		for who, user in people.items():
			session = self.session(user)
			for page in PAGES:
				for parameters in asked:
					with self.subTest(who=who, page=page, asked=str(parameters)[:80]):
						self.assert_a_page(
							self.get(session, page, **parameters), f"{page} {str(parameters)[:80]}"
						)

	def test_the_mailed_link_shows_the_payment_that_waits(self):
		_account, owner, token = self.waiting()
		for user in (None, owner):
			answer = self.get(self.session(user), "recharge-confirm", token=token)
			self.assertEqual(answer.status_code, 200, answer.text[:500])
			self.assertIn("Recharge of $ 460.00", answer.text)
			self.assertIn('id="go"', answer.text)
		for bad in ({}, {"token": ""}, {"token": token[:-3]}, {"token": "x"}):
			answer = self.get(self.session(None), "recharge-confirm", **bad)
			self.assertEqual(answer.status_code, 403, answer.text[:300])
			self.assertIn("This link does not work", answer.text)
			self.assertNotIn("$ 460", answer.text)

	def test_guests_are_sent_to_log_in_and_strangers_see_nothing(self):
		account, _owner, _token = self.waiting()
		answer = self.get(self.session(None), "credits", account=account)
		self.assertEqual(answer.status_code, 302)
		self.assertIn("/login?redirect-to=/credits%3Faccount%3D", answer.headers["Location"])
		answer = self.get(self.session(self.person()), "credits", account=account)
		self.assertEqual(answer.status_code, 403)
		self.assertIn("is not one of your credit accounts", answer.text)
		self.assertNotIn("data-balance", answer.text)
