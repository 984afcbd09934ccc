"""Whatever is sent to a public method, the answer is a plain refusal or a result: no 5xx, no traceback.

CRM_RECHARGE_ODD_SEED picks the sample, CRM_RECHARGE_ODD_SECONDS how long the methods are tried (20).
"""

import json
import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor

import frappe
from frappe.utils.password import update_password

from crm_recharge.recharge import by_hand
from crm_recharge.recharge.worker import carry_out
from crm_recharge.reorder.answers.tests.reminded import make_reminder
from crm_recharge.reorder.consent import preferences
from crm_recharge.tests import factories
from crm_recharge.tests.compat import MAJOR, BenchTestCase, Unwritten
from crm_recharge.tests.support.money_case import GatewayTestCase, retire
from crm_recharge.tests.support.node import Node
from crm_recharge.tests.support.public_methods import intake_of, methods_of_documents, public_methods
from crm_recharge.tests.support.reorder_case import make_buyer, make_item

SECONDS = float(os.environ.get("CRM_RECHARGE_ODD_SECONDS", 20))
SEED = int(os.environ.get("CRM_RECHARGE_ODD_SEED") or random.SystemRandom().randrange(10**6))
CALLERS = 4
MOST_AGAIN = 500
# Of ERPNext and Frappe, what a method of ours may write.
BESIDE = (
	*("Sales Order", "Quotation", "Sales Invoice", "Payment Entry", "Journal Entry", "Customer"),
	*("Contact", "ToDo"),
)

ODD = {
	"nothing": None,
	"empty": "",
	"blanks": "   ",
	"nul": "a\x00b",
	"half a character": "\ud800",
	"emoji": "🎉💥",
	"quotes": "'\"`;--\\%_",
	"markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
	"braces": "{{ 7*7 }}{% raw %}{0}{what}%s%(x)s",
	"path": "../../../etc/passwd",
	"long": "x" * 5000,
	"very long": "x" * 3_000_000,
	"true": True,
	"false": False,
	"zero": 0,
	"below zero": -1,
	"whole": 7,
	"fraction": 0.1,
	"tiny": 1e-300,
	"huge": 1e300,
	"400 digits": int("9" * 400),
	"400 digits as text": "9" * 400,
	"not a number": float("nan"),
	"endless": float("-inf"),
	"word for endless": "Infinity",
	"exponent": "1e5",
	"grouped": "5,000.00",
	"other digits": "١٢",
	"list": ["a", 1, None],
	"nested": [[[[{"a": [{}]}]]]],
	"empty list": [],
	"empty object": {},
	"object": {"name": "x", "doctype": "User", "\ud800": "\x00"},
	"filter": ["like", "%"],
	"operator": {"name": ["!=", ""]},
	"json": '[{"a": NaN}]',
	"deep json": "[" * 60_000,
	"no day": "2026-02-30",
	"last day": "9999-12-31",
	"last moment": "9999-12-31T23:59:59.999999-14:00",
	"first day": "0001-01-01",
	"far zone": "2026-01-01T00:00:00+99:99",
	"code": "__import__('os').system('true')",
	"field": "name` FROM tabUser -- ",
}

# How a call looks that would be good, by the end of the method's path.
STAFF, OWNER, BUYER, GUEST = "staff", "owner", "buyer", "guest"


class TestOddInput(GatewayTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.random = random.Random(SEED)

	def setUp(self):
		super().setUp()
		if not hasattr(type(self), "records"):
			self.begin()
		self.methods = public_methods()

	@classmethod
	def begin(cls):
		"""Once for all tests, with the gateway of the first."""
		cls.records = cls.make_records()
		cls.node = Node(
			crm_recharge_stripe_secret_key=cls.stripe.secret_key,
			crm_recharge_stripe_api_base=cls.stripe.api_base,
			crm_recharge_stripe_publishable_key="pk_test_1",
		)
		cls.addClassCleanup(cls.node.stop)
		cls.url = cls.node.start().start_web()
		cls.sessions = {who: cls.session(user) for who, user in cls.users.items()}

	@classmethod
	def make_records(cls) -> dict:
		owner, buyer = (factories.make_user(user_type="Website User") for _ in range(2))
		roles = ("Credit Manager", "System Manager", "Accounts Manager", "Reorder Manager", "Reorder API")
		staff = factories.make_user(*roles, "Sales Manager", "Credit API")
		cls.users = {STAFF: staff, OWNER: owner, BUYER: buyer, GUEST: None}
		for user in (owner, buyer, staff):
			cls.addClassCleanup(retire, user)
		account = factories.make_account(account_owner=owner)
		factories.give(account, "1000")
		card = factories.make_card(account, cls.stripe)
		factories.make_setting(account, [card], enabled=0, falls_below=20, recharge_up_to=200)
		recharge = by_hand.start(account, "50", "paid", card)["recharge"]
		frappe.db.commit()
		carry_out(recharge)
		customer, contact = make_buyer()
		document = frappe.get_doc("Customer", customer)
		document.append("portal_users", {"user": buyer})
		document.save(ignore_permissions=True)
		frappe.db.set_value("Contact", contact, "user", buyer)
		reminder = make_reminder(customer, make_item())
		frappe.db.commit()
		return {
			"account": account,
			"card": card,
			"recharge": recharge,
			"customer": customer,
			"contact": contact,
			"reminder": reminder,
			"entry": frappe.get_all("Credit Ledger", {"credit_account": account}, pluck="name")[0],
			"company": frappe.get_all("Company", pluck="name", limit=1)[0],
		}

	@classmethod
	def session(cls, user: str | None):
		session = cls.node.session()
		session.headers["Accept"] = "application/json"
		if user:
			doc = frappe.get_doc("User", user)
			doc.api_key, doc.api_secret = frappe.generate_hash(length=15), frappe.generate_hash(length=15)
			session.headers["Authorization"] = f"token {doc.api_key}:{doc.api_secret}"
			doc.save(ignore_permissions=True)
			frappe.db.commit()
		return session

	def good(self, parameter: str, method: str):
		"""A value of that parameter that is in order."""
		values = {
			**self.records,
			"amount": "25",
			"quantity": "1",
			"idempotency_key": frappe.generate_hash(length=12),
			"events": [{"amount": "1", "idempotency_key": frappe.generate_hash(length=12)}],
			"note": "why",
			"reason": "why",
			"enabled": 0,
			"falls_below": "20",
			"recharge_up_to": "200",
			"cards": [self.records["card"]],
			"setup_intent": "seti_1",
			"payment_method": "pm_1",
			"token": "t",
			"do": "later",
			"wording": "I want reminders",
			"source": "web",
			"event": "evt_1",
			"name": "x",
			"how": "by phone",
			"chart_name": "Credits Used and Recharged",
			"doctype": "Credit Account",
			"docname": self.records["account"],
		}
		return values.get(parameter, "x")

	def who(self, path: str, function) -> str:
		if function in frappe.guest_methods:
			return GUEST
		if ".api.portal." in path:
			return OWNER
		return BUYER if ".api.reorder." in path and not path.endswith("opt_in") else STAFF

	def calls(self) -> list[tuple]:
		"""(who, path, arguments, how they are sent, what is odd), all of them, shuffled."""
		found = Unwritten()
		for path, function in self.methods.items():
			parameters, who = intake_of(function).parameters, self.who(path, function)
			names = list(parameters.by_name)
			base = [name for name in names if parameters.by_name[name].required or name in ALSO.get(path, ())]
			found.append((who, path, self.arguments(path, base), "json", "good"))
			found.append(
				(who, path, {"no_such_parameter": 1} | self.arguments(path, base), "json", "unknown")
			)
			for name in names:
				for odd, value in ODD.items():
					arguments = self.arguments(path, base) | {name: value}
					found.append((who, path, arguments, self.way_of(path, value), f"{name}: {odd}"))
		for path, (name, row) in NESTED.items():
			base = [p.name for p in intake_of(self.methods[path]).parameters.by_name.values() if p.required]
			for field in row:
				for odd, value in ODD.items():
					inner = row | {field: value}
					arguments = self.arguments(path, [*base, *ALSO.get(path, ())]) | {
						name: [inner] if name in ("events", "items") else inner
					}
					who = self.who(path, self.methods[path])
					found.append((who, path, arguments, "json", f"{name}.{field}: {odd}"))
		self.random.shuffle(found)
		return found

	def arguments(self, path: str, names: list[str]) -> dict:
		return {name: self.good(name, path) for name in names}

	def send(self, who: str, path: str, arguments: dict, how: str = "json"):
		url = f"{self.url}/api/method/{path}"
		if how == "get":
			return self.sessions[who].get(url, params=_as_query(arguments), timeout=120)
		if how == "form":
			return self.sessions[who].post(url, data=_as_query(arguments), timeout=120)
		body = json.dumps(arguments).encode()
		return self.sessions[who].post(
			url, data=body, headers={"Content-Type": "application/json"}, timeout=120
		)

	def way_of(self, path: str, value) -> str:
		"""How an odd value is sent: as it is in JSON, or as the text that a form or an address has for it."""
		if isinstance(value, str) and (len(value) > 1000 or not value.isprintable()):
			return "json"
		readable = "GET" in frappe.allowed_http_methods_for_whitelisted_func[self.methods[path]]
		return self.random.choice(["json", "json", "form", "get" if readable else "form"])

	def wrong(self, response) -> str | None:
		"""What is wrong with an answer."""
		if response.status_code != 200 and not 400 <= response.status_code < 500:
			return f"status {response.status_code}"
		text = response.text
		if "Traceback" in text or "site-packages" in text or "/apps/frappe" in text:
			return "internals"
		if response.status_code >= 400:
			body = response.json()
			if "exc" in body or "exception" in body:
				return "a traceback"
			if not body.get("error", {}).get("code"):
				return "no code"
			if not body.get("_server_messages"):
				return "no sentence"
		return None

	def test_every_odd_value_of_every_parameter_is_answered_plainly(self):
		calls, until, faults, refused = self.calls(), time.monotonic() + SECONDS, {}, []

		def one(call):
			if time.monotonic() > until:
				return
			response = self.send(*call[:4])
			if wrong := self.wrong(response):
				faults.setdefault(f"{call[1]} {wrong}", []).append((call[3:], response.text[:300]))
			if response.status_code >= 400:
				refused.append(call)

		with ThreadPoolExecutor(CALLERS) as pool:
			list(pool.map(one, calls))
		print(f"seed {SEED}: {len(calls)} calls, {len(refused)} refused", flush=True)
		for what, examples in sorted(faults.items()):
			print(what, examples[:3])
		self.assertEqual(sorted(faults), [], f"seed {SEED}")
		self.assert_change_nothing([call for call in refused if call[4] != "good"][:MOST_AGAIN])

	def assert_change_nothing(self, refused: list[tuple]):
		"""What was refused is sent again, and the tables are as they were."""
		before = self.tables()
		with ThreadPoolExecutor(CALLERS) as pool:
			statuses = list(pool.map(lambda call: self.send(*call[:4]).status_code, refused))
		changed = sorted(table for table, sum_of in self.tables().items() if sum_of != before[table])
		again = [call for call, status in zip(refused, statuses, strict=True) if status < 400]
		self.assertEqual((changed, again), ([], []), f"seed {SEED}")

	def tables(self) -> dict[str, int]:
		"""A sum over each table in which a refused request might leave something."""
		frappe.db.rollback()
		modules = frappe.get_module_list("crm_recharge")
		ours = frappe.get_all("DocType", {"module": ["in", modules], "issingle": 0}, pluck="name")
		names = ", ".join(f"`tab{name}`" for name in [*ours, *BESIDE])
		return dict(frappe.db.sql(f"CHECKSUM TABLE {names}, `tabSingles`"))

	def test_a_method_of_a_document_is_held_to_the_same(self):
		preference = preferences.opt_in(
			self.records["contact"], self.records["customer"], "test", "I want it"
		)
		frappe.db.commit()
		self.assertIn("ReorderPreference.record_consent", " ".join(methods_of_documents()))
		for method in ("record_consent", "record_opt_out"):
			for arguments, code in (
				({}, "missing_parameter"),
				({"how": ["x"]}, "not_text"),
				({"how": "x", "hwo": "y"}, "unknown_parameter"),
				({"how": "\ud800"}, "unreadable_text"),
			):
				if code == "unreadable_text" and MAJOR >= 16:
					continue  # what Frappe 16 cannot read there it hands on as the text that came
				values = {"dt": preference.doctype, "dn": preference.name, "method": method}
				values["args"] = json.dumps(arguments)
				url = f"{self.url}/api/method/run_doc_method"
				response = self.sessions[STAFF].post(url, data=values, timeout=60)
				self.assertEqual(response.status_code, 422, response.text[:300])
				self.assertEqual(response.json()["error"]["code"], code)

	def test_ten_megabytes_are_refused_in_no_time(self):
		of_account = {"account": self.records["account"]}
		for arguments in (
			{"account": "x" * 10_000_000},
			of_account | {"amount": "9" * 10_000_000, "idempotency_key": "k"},
			of_account | {"amount": 1, "idempotency_key": "x" * 10_000_000},
			of_account | {"amount": 1, "idempotency_key": "k", "note": "x" * 10_000_000},
			{"x" * 10_000_000: 1},
			of_account | {f"p{n}": n for n in range(100_000)},
		):
			started = time.monotonic()
			response = self.send(STAFF, "crm_recharge.api.credits.charge", arguments)
			self.assertEqual(response.status_code, 422, response.text[:200])
			self.assertLess(len(response.content), 10_000)
			self.assertLess(time.monotonic() - started, 10)

	def test_parameters_that_come_twice_or_in_another_shape(self):
		url = f"{self.url}/api/method/crm_recharge.api.credits.balance"
		account, session = self.records["account"], self.sessions[STAFF]
		for query, status in (
			(f"account={account}", 200),
			(f"account={account}&account=x", 200),
			(f"account[]={account}", 422),
			(f"account[name]={account}", 422),
			(f"account={account}&flags=1", 422),
			(f"account={account}&ignore_permissions=1", 422),
			(f"account={account}&_=123&_lang=de", 200),
			(f"account={account}&%F0%9F%8E%89=1", 422),
			(f"account={account}&%00=1", 422),
			(f"account={account}&=1", 422),
			(f"account={account}&args=1&kwargs=1&self=1", 422),
		):
			with self.subTest(query=query):
				response = session.get(f"{url}?{query}", timeout=60)
				self.assertEqual(response.status_code, status, response.text[:300])
				self.assertIsNone(self.wrong(response))

	def test_a_body_of_another_kind(self):
		url = f"{self.url}/api/method/crm_recharge.api.credits.charge"
		for kind, body in (
			("text/plain", b"account=x"),
			("application/xml", b"<account/>"),
			("application/json; charset=utf-16", "{}".encode("utf-16")),
			("multipart/form-data", b"nothing"),
			("multipart/form-data; boundary=x", b"--x\r\n\r\n"),
			("application/json", b"\xff\xfe"),
			("application/json", b""),
			("", b"\x00\x01"),
		):
			with self.subTest(kind=kind):
				response = self.sessions[STAFF].post(
					url, data=body, headers={"Content-Type": kind}, timeout=60
				)
				self.assertIsNone(self.wrong(response), response.text[:300])
				self.assertTrue(400 <= response.status_code < 500)

	def test_pages_and_their_forms(self):
		"""What a person's address or form holds: shown or refused, by a page."""
		session = self.node.session()
		user = self.users[BUYER]
		password = "a-long-Passphrase-79"
		update_password(user, password)
		frappe.db.commit()
		session.post(f"{self.url}/api/method/login", data={"usr": user, "pwd": password}, timeout=60)
		page = session.get(f"{self.url}/reorders", timeout=60).text
		token = re.search(r'csrf_token = "(\w{20,})"', page)[1]
		calls = Unwritten(
			("GET", page, {name: value})
			for page, names in PAGES.items()
			for name in names
			for value in ODD.values()
		)
		calls += [
			(
				"POST",
				"reorders",
				{"csrf_token": token, "act": act, "reminder": self.records["reminder"], name: value},
			)
			for act in ("order", "snooze", "date", "wishes", "stop", "x")
			for name in (
				"act",
				"reminder",
				"quantity",
				"key",
				"in",
				"date",
				"customer",
				"frequency_days",
				"snoozed_until",
			)
			for value in ODD.values()
		]
		self.random.shuffle(calls)
		until = time.monotonic() + SECONDS / 3
		for verb, path, values in calls:
			if time.monotonic() > until:
				break
			# A web server takes addresses of some thousand signs.
			values = {k: str(v)[:1000] for k, v in _as_query(values).items()}
			values = {k: v.encode("utf-8", "replace").decode() for k, v in values.items()}
			with self.subTest(page=path, values=str(values)[:200], seed=SEED):
				more = {"params": values} if verb == "GET" else {"data": values}
				response = session.request(
					verb, f"{self.url}/{path}", timeout=60, allow_redirects=False, **more
				)
				self.assertLess(response.status_code, 500)
				self.assertNotIn("Traceback", response.text)
				self.assertIn("no-store", response.headers["Cache-Control"])


class TestEveryMethodHasAnIntake(BenchTestCase):
	def test_no_public_method_reads_its_parameters_itself(self):
		methods = public_methods() | methods_of_documents()
		self.assertGreater(len(methods), 50)
		self.assertEqual([path for path, function in methods.items() if not intake_of(function)], [])


ALSO = {
	"crm_recharge.api.credits.charge": ("amount", "idempotency_key"),
	"crm_recharge.api.credits.grant": ("amount", "idempotency_key"),
	"crm_recharge.api.credits.adjust": ("amount", "note", "idempotency_key"),
	"crm_recharge.api.recharge.start": ("amount", "idempotency_key"),
	"crm_recharge.api.recharge.refund": ("idempotency_key", "reason"),
	"crm_recharge.api.reorder.order_again": ("idempotency_key",),
	"crm_recharge.api.reorder.preference": ("wording",),
	"crm_recharge.api.reorder.opt_in": ("contact",),
	"crm_recharge.api.reorder.looked_at": ("token", "do"),
}


PAGES = {
	"credits": ("account", "x"),
	"reorders": ("customer", "done", "kind", "order"),
	"reorder": ("do", "token", "done"),
	"recharge-confirm": ("token", "returned"),
}
# Objects within parameters, each of their fields as odd as a parameter.
NESTED = {
	"crm_recharge.api.credits.charge_many": (
		"events",
		dict.fromkeys(
			("amount", "category", "quantity", "team", "user", "note", "occurred_at", "currency", "x")
		)
		| {"idempotency_key": "k"},
	),
	"crm_recharge.api.recharge.set_auto_recharge": (
		"caps",
		dict.fromkeys(("cap_amount_day", "cap_amount_month", "cap_count_hour", "cap_count_day", "x")),
	),
	"crm_recharge.api.portal.save_auto_recharge": (
		"limits",
		dict.fromkeys(("cap_amount_day", "cap_count_hour", "anomaly_factor", "x")),
	),
	"crm_recharge.api.reorder.order_again": (
		"items",
		dict.fromkeys(("reminder", "item_code", "quantity", "x")),
	),
	"crm_recharge.api.insight.credits_by_day": (
		"chart",
		dict.fromkeys(("filters_json", "time_interval", "timespan", "x")),
	),
}


def _as_query(arguments: dict) -> dict:
	return {name: value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
