"""What stands around the methods: forged requests, private pages, requests nobody can read, exported tables."""

import csv
import io
import re
from pathlib import Path

import frappe
import openpyxl
import requests

import crm_recharge
from crm_recharge import private_pages
from crm_recharge.tests import factories
from crm_recharge.tests.support.money_case import MoneyTestCase
from crm_recharge.tests.support.public_methods import public_methods
from crm_recharge.tests.support.web import Web

PASSWORD = "a-long-Passphrase-78"
STRIPE = re.compile(r"https://([\w*]+\.)*stripe\.com")


class WebCase(MoneyTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.web = Web().start()
		cls.addClassCleanup(cls.web.stop)

	def logged_in(self, *roles: str, **values) -> tuple[requests.Session, str]:
		"""A browser with the cookies of a new user's login, and the user; no page has been opened in it."""
		user = self.user(*roles, new_password=PASSWORD, **values)
		return self.log_in(user), user

	def log_in(self, user: str) -> requests.Session:
		session = requests.Session()
		session.trust_env = False
		session.headers["Accept"] = "application/json"
		answer = session.post(
			f"{self.web.url}/api/method/login", data={"usr": user, "pwd": PASSWORD}, timeout=60
		)
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		return session

	def page(self, path: str, session=None, **parameters):
		return (session or requests).get(
			f"{self.web.url}/{path}",
			params=parameters,
			headers={"Accept": "text/html"},
			timeout=60,
			allow_redirects=False,
		)

	def method(self, name: str) -> str:
		return f"{self.web.url}/api/method/{name}"


class TestForgedRequests(WebCase):
	"""A form on another site is sent with the visitor's cookies, and without the token of a page of this one."""

	def writing(self) -> dict[str, object]:
		allowed = frappe.allowed_http_methods_for_whitelisted_func
		return {
			path: function
			for path, function in public_methods().items()
			if function not in frappe.guest_methods and {"POST", "PUT", "DELETE"} & set(allowed[function])
		}

	def test_no_method_takes_a_post_by_cookie_without_a_token(self):
		session, _user = self.logged_in("Credit Manager", "System Manager", "Reorder Manager")
		methods = self.writing()
		self.assertGreater(len(methods), 40)
		for path in methods:
			with self.subTest(method=path):
				self.assert_forged(session.post(self.method(path), data={"account": "x"}, timeout=60))
		for path in list(methods)[:5]:
			for address in (f"/api/v1/method/{path}", f"/api/v2/method/{path}"):
				self.assert_forged(session.post(self.web.url + address, data={}, timeout=60))
			self.assert_forged(session.post(self.web.url, data={"cmd": path}, timeout=60))

	def assert_forged(self, response):
		self.assertEqual(response.status_code, 400, response.text[:300])
		answer = response.json()
		self.assertEqual(answer["error"]["code"], "csrf_token_missing")
		self.assertTrue(answer.get("_server_messages") or answer["errors"][0]["message"])
		self.assertNotIn("exc", answer)

	def test_what_is_forged_changes_nothing(self):
		session, user = self.logged_in(user_type="Website User")
		account = self.account("100", account_owner=user)
		before = self.state(account)
		values = {"account": account, "amount": "25", "idempotency_key": "forged"}
		response = session.post(self.method("crm_recharge.api.portal.start"), data=values, timeout=60)
		self.assert_forged(response)
		frappe.db.rollback()
		self.assertEqual(self.state(account), before)

	def test_records_of_this_app_are_not_written_by_a_forged_request(self):
		session, _user = self.logged_in("Credit Manager", "System Manager")
		account = self.account("1")
		team = factories.make_team(account)
		frappe.db.commit()
		document = {"doctype": "Credit Team", "credit_account": account, "team_name": "Forged"}
		text = frappe.as_json(document)
		for verb, address, values in (
			("POST", "/api/resource/Credit Team", document),
			("PUT", f"/api/resource/Credit Team/{team}", {"team_name": "Forged"}),
			("DELETE", f"/api/resource/Credit Team/{team}", {}),
			("POST", "/api/v2/document/Credit Team", document),
			("POST", "/api/method/frappe.client.insert", {"doc": text}),
			("POST", "/api/method/frappe.client.insert_many", {"docs": f"[{text}]"}),
			("POST", "/api/method/frappe.client.set_value", {"doctype": "Credit Team", "name": team}),
			("POST", "/api/method/frappe.client.delete", {"doctype": "Credit Team", "name": team}),
			("POST", "/api/method/frappe.client.bulk_update", {"docs": f"[{text}]"}),
			("POST", "/api/method/frappe.desk.form.save.savedocs", {"doc": text, "action": "Save"}),
			("POST", "/api/method/run_doc_method", {"dt": "Credit Team", "dn": team, "method": "rename"}),
			("POST", "/", {"cmd": "frappe.client.insert", "doc": text}),
			("POST", "/api/method/upload_file", {"method": "crm_recharge.reorder.learning.history.start"}),
			("POST", "/api/method/ping?cmd=crm_recharge.reorder.learning.history.start", {}),
			(
				"POST",
				"/api/method/frappe.desk.reportview.delete_items",
				{"doctype": "Credit Team", "items": "[]"},
			),
			("POST", "/api/method/frappe.client.rename_doc", {"doctype": "Credit Team", "old_name": team}),
			("POST", "/api/method/frappe.share.add", {"doctype": "Credit Team", "name": team}),
		):
			with self.subTest(address=address):
				self.assert_forged(session.request(verb, self.web.url + address, data=values, timeout=60))
		frappe.db.rollback()
		self.assertFalse(frappe.db.exists("Credit Team", {"team_name": "Forged"}))

	def test_other_apps_and_reading_are_left_alone(self):
		session, user = self.logged_in("Credit Manager", "System Manager")
		account = self.account("1")
		answer = session.get(
			self.method("crm_recharge.api.credits.balance"), params={"account": account}, timeout=60
		)
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		todo = {"doctype": "ToDo", "description": "no business of this app"}
		answer = session.post(f"{self.web.url}/api/resource/ToDo", data=todo, timeout=60)
		self.assertEqual(answer.status_code, 200, answer.text[:300])

	def test_a_page_gives_its_session_a_token_that_opens(self):
		for path in ("credits", "reorders"):
			session, user = self.logged_in(user_type="Website User")
			account = self.account("100", account_owner=user)
			found = re.search(r'csrf_token = "(\w{20,})"', self.page(path, session).text)
			self.assertTrue(found, f"/{path} carries no token")
			url, values = self.method("crm_recharge.api.portal.overview"), {"account": account}
			self.assertEqual(session.post(url, data=values, timeout=60).status_code, 400)
			answer = session.post(url, data=values, headers={"X-Frappe-CSRF-Token": found[1]}, timeout=60)
			self.assertEqual(answer.status_code, 200, answer.text[:300])
			answer = session.post(url, data=values | {"csrf_token": found[1]}, timeout=60)
			self.assertEqual(answer.status_code, 200, answer.text[:300])

	def test_the_forms_of_the_private_pages_are_held_to_it_too(self):
		session, _user = self.logged_in(user_type="Website User")
		answer = session.post(f"{self.web.url}/reorders", data={"act": "stop"}, timeout=60)
		self.assertEqual(answer.status_code, 400)

	def test_programs_with_a_key_and_links_with_a_token_need_none(self):
		account = self.account("100")
		client = self.web.client(self.user("Credit API"))
		answer = client.post("credits.charge", account=account, amount=1, idempotency_key="k")
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		session, _user = self.logged_in(user_type="Website User")
		for path, values in (
			("crm_recharge.api.reorder.unsubscribe", {"token": "x"}),
			("crm_recharge.api.recharge.confirm_start", {"token": "x"}),
			("crm_recharge.api.gateway.webhook", {}),
		):
			for caller in (session, requests):
				answer = caller.post(self.method(path), data=values, timeout=60)
				self.assertNotIn("csrf_token_missing", answer.text)
				self.assertTrue(400 <= answer.status_code < 500, answer.text[:300])

	def test_what_is_open_to_guests_is_nothing_but_what_asks_for_a_signature(self):
		"""These alone may be called with a cookie and without a token."""
		open_ones = {path for path, function in public_methods().items() if function in frappe.guest_methods}
		self.assertEqual(
			open_ones,
			{
				"crm_recharge.api.gateway.webhook",
				"crm_recharge.api.recharge.confirm_start",
				"crm_recharge.api.recharge.confirm_finish",
				"crm_recharge.api.reorder.unsubscribe",
				"crm_recharge.api.reorder.looked_at",
			},
		)


class TestPrivatePages(WebCase):
	def policy(self, response) -> dict[str, list[str]]:
		rules = [rule.split() for rule in response.headers["Content-Security-Policy"].split(";")]
		return {name: sources for name, *sources in rules}

	def opened(self):
		"""(page, response) of each, as its owner or as whoever holds a link sees it."""
		session, user = self.logged_in(user_type="Website User")
		self.account("100", account_owner=user)
		for path in private_pages.PAGES:
			yield path, self.page(path, session)
			yield path, self.page(path)

	def test_every_page_of_the_app_is_in_the_table(self):
		www = Path(crm_recharge.__file__).parent / "www"
		pages = {
			str(path.relative_to(www).with_suffix("")).removesuffix("/index")
			for path in www.rglob("*")
			if path.suffix in (".html", ".md")
		}
		self.assertEqual(pages, set(private_pages.PAGES))

	def test_nobody_keeps_frames_or_lists_them(self):
		for path, response in self.opened():
			with self.subTest(page=path, status=response.status_code):
				self.assertIn("no-store", response.headers["Cache-Control"])
				self.assertEqual(response.headers["Referrer-Policy"], "no-referrer")
				self.assertIn("noindex", response.headers["X-Robots-Tag"])
				self.assertEqual(response.headers["X-Frame-Options"], "DENY")
				self.assertEqual(self.policy(response)["frame-ancestors"], ["'none'"])

	def test_they_load_from_here_and_cards_from_stripe_alone(self):
		for path, response in self.opened():
			with self.subTest(page=path, status=response.status_code):
				policy = self.policy(response)
				self.assertEqual(policy["default-src"], ["'self'"])
				for name, sources in policy.items():
					strangers = [
						source
						for source in sources
						if source not in ("'self'", "'none'", "data:", "'unsafe-inline'")
						and not source.startswith("'sha256-")
						and not (path == "credits" and STRIPE.fullmatch(source))
					]
					self.assertEqual(strangers, [], name)
				self.assertNotIn("'unsafe-inline'", policy["script-src"])
				self.assertNotIn("'unsafe-eval'", policy["script-src"])
				self.assertEqual(policy["object-src"], ["'none'"])

	SPELLINGS = (
		*("{0}", "{0}/", "/{0}", "{0}.html", "{0}.html/", "{0}.html.html", "{0}%2ehtml"),
		*("%20{0}", "{0}%20", "{0}.html%20", "./{0}", "__pycache__/../{0}"),
	)

	def spelled(self, verb: str, path: str, session):
		"""As it stands: requests would tidy the address."""
		request = requests.Request(verb, self.web.url, data={"act": "stop"} if verb == "POST" else None)
		prepared = session.prepare_request(request)
		prepared.url = f"{self.web.url}/{path}"
		return session.send(prepared, timeout=60, allow_redirects=False)

	def test_a_spelling_of_the_address_changes_nothing(self):
		session, user = self.logged_in(user_type="Website User")
		self.account("100", account_owner=user)
		shown = 0
		for page in private_pages.PAGES:
			for spelling in self.SPELLINGS if page == "reorders" else self.SPELLINGS[:4]:
				response = self.spelled("GET", spelling.format(page), session)
				if "/crm_recharge/css/" in response.text:
					shown += 1
					self.assertIn(
						"no-store", response.headers.get("Cache-Control", ""), spelling.format(page)
					)
					self.assertEqual(self.policy(response)["frame-ancestors"], ["'none'"])
		self.assertGreater(shown, 20)

	def test_a_forged_form_is_refused_however_the_address_is_spelled(self):
		session, _user = self.logged_in(user_type="Website User")
		for spelling in self.SPELLINGS:
			path = spelling.format("reorders")
			self.assertIn(self.spelled("POST", path, session).status_code, (400, 404), path)

	def test_a_private_page_that_is_the_sites_home_stays_private(self):
		session, user = self.logged_in(user_type="Website User")
		self.account("100", account_owner=user)
		before = frappe.db.get_single_value("Portal Settings", "default_portal_home")
		self.addCleanup(self.set_home, before)
		for page in ("reorders", "credits"):
			self.set_home(f"/{page}")
			self.assertEqual(self.spelled("POST", "", session).status_code, 400)
			response = self.spelled("GET", "", session)
			self.assertIn("/crm_recharge/css/", response.text)
			self.assertIn("no-store", response.headers["Cache-Control"])
			self.assertEqual(self.policy(response)["frame-ancestors"], ["'none'"])
			session = self.log_in(user)

	def set_home(self, route: str | None):
		frappe.db.set_single_value("Portal Settings", "default_portal_home", route)
		frappe.db.commit()
		frappe.cache.delete_value("home_page")

	def test_every_page_begins_as_itself(self):
		www = Path(crm_recharge.__file__).parent / "www"
		for name in private_pages.PAGES:
			with self.subTest(page=name):
				code = (www / f"{name.replace('-', '_')}.py").read_text()
				self.assertIn(f'private_pages.begin("{name}")', code)

	def test_a_script_that_somebody_wrote_into_the_page_does_not_run(self):
		"""The policy admits the scripts around the page's own part, each by its hash, and none within."""
		mark = private_pages.mark()
		html = (
			f"<script>frame()</script>{mark}<p>Hello</p><script>evil()</script><script src='x'></script>{mark}"
			"<script type='text/javascript'>boot()</script>"
		)
		response = frappe._dict(direct_passthrough=False, mimetype="text/html", get_data=html.encode)
		self.assertEqual(private_pages._hashes(response), [sha("frame()"), sha("boot()")])
		response.get_data = html.replace("evil()", f"{'<!--guess-->'}</script>{'<script>evil()'}").encode
		self.assertEqual(private_pages._hashes(response), [sha("frame()"), sha("boot()")])

	def test_a_policy_names_origins_and_nothing_else(self):
		for address, origin in (
			("https://cdn.example.com/x/y?z", "https://cdn.example.com"),
			("http://127.0.0.1:9000/v3/", "http://127.0.0.1:9000"),
			("https://a.example; script-src *", ""),
			("javascript:alert(1)", ""),
			("https://user:secret@cdn.example.com", "https://cdn.example.com"),
			("https://a.example:99999", ""),
			("", ""),
		):
			self.assertEqual(private_pages.origin_of(address), origin, address)


def sha(text: str) -> str:
	import base64
	import hashlib

	return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class TestUnreadableRequests(WebCase):
	def test_a_body_that_is_no_json_is_refused_in_words(self):
		account = self.account("10")
		client = self.web.client(self.user("Credit API"))
		for body in ("{", "[" * 100_000, '{"a": ' + "1" * 5000 + "}", "nul", "{'a': 1}", "\ufeff{}", "{} {}"):
			response = client.post_raw("credits.charge", body)
			self.assertEqual(response.status_code, 422, f"{body[:20]}: {response.text[:200]}")
			answer = response.json()
			self.assertEqual(answer["error"]["code"], "unreadable_json")
			self.assertTrue(answer["_server_messages"])
			self.assertNotIn("exc", answer)
		for body in ("[1]", '[{"account": "x"}]', "[]"):
			response = client.post_raw("credits.charge", body)
			self.assertEqual(response.json()["error"]["code"], "unknown_parameter", response.text[:200])
		for body in ("5", '"x"', "null"):
			response = client.post_raw("credits.charge", body)
			self.assertTrue(400 <= response.status_code < 500, response.text[:200])
		frappe.db.rollback()
		self.assertEqual(frappe.db.get_value("Credit Account", account, "balance"), 10)

	def test_a_page_takes_no_body_that_is_no_json_either(self):
		for page in private_pages.PAGES:
			answer = requests.post(
				f"{self.web.url}/{page}", data="{", headers={"Content-Type": "application/json"}, timeout=60
			)
			self.assertEqual(answer.status_code, 422, answer.text[:300])
			self.assertEqual(answer.json()["error"]["code"], "unreadable_json")
			self.assertIn("no-store", answer.headers["Cache-Control"])

	def test_a_reports_filters_are_an_object(self):
		session = self.log_in(self.user("Reorder Manager", "System Manager", new_password=PASSWORD))
		modules = frappe.get_module_list("crm_recharge")
		for report in frappe.get_all("Report", {"module": ["in", modules]}, pluck="name"):
			for filters in ("x", "1", "[1]", "null", '"a"', "{" * 500, "{}", ""):
				for method in ("run", "export_query"):
					values = {
						"report_name": report,
						"filters": filters,
						"file_format_type": "CSV",
						"visible_idx": "[]",
					}
					answer = session.get(
						self.method(f"frappe.desk.query_report.{method}"),
						params=values,
						timeout=60,
					)
					with self.subTest(report=report, filters=filters[:9], method=method):
						self.assertLess(answer.status_code, 500, answer.text[-300:])
						self.assertNotIn("Traceback", answer.text)
						if filters not in ("", "{}"):
							self.assertEqual(answer.json()["error"]["code"], "not_an_object")


class TestExports(WebCase):
	FORMULA = '=HYPERLINK("http://x.example","open")'

	def setUp(self):
		super().setUp()
		self.of = self.account("100")
		self.client = self.web.client(self.user("Credit Manager", "System Manager"))
		for note in (self.FORMULA, "+1 555", "-2+3", "@SUM(A1)", "fine"):
			response = self.client.post(
				"credits.charge", account=self.of, amount="1.5", note=note, idempotency_key=note
			)
			self.assertEqual(response.status_code, 200, response.text)

	def export(self, kind: str, **how) -> bytes:
		values = {
			"doctype": "Credit Ledger",
			"file_format_type": kind,
			"title": "Credit Ledger",
			"fields": frappe.as_json(["`tabCredit Ledger`.`note`", "`tabCredit Ledger`.`amount`"]),
			"filters": frappe.as_json([["Credit Ledger", "credit_account", "=", self.of]]),
			**how,
		}
		response = self.client._session.post(self.method("frappe.desk.reportview.export_query"), data=values)
		self.assertEqual(response.status_code, 200, response.text[:500])
		return response.content

	def assert_safe(self, rows: list[list]):
		notes = {row[1] for row in rows}
		self.assertLessEqual({f"'{self.FORMULA}", "'+1 555", "'-2+3", "'@SUM(A1)", "fine"}, notes)
		self.assertIn("-1.5", {str(row[2]).rstrip("0") for row in rows})

	def test_a_list_as_csv(self):
		self.assert_safe(list(csv.reader(io.StringIO(self.export("CSV").decode()))))
		text = self.export("CSV", csv_delimiter=";", csv_quoting=csv.QUOTE_ALL).decode()
		self.assert_safe(list(csv.reader(io.StringIO(text), delimiter=";")))

	def test_a_list_for_excel(self):
		sheet = openpyxl.load_workbook(io.BytesIO(self.export("Excel"))).active
		cells = [cell for row in sheet.iter_rows() for cell in row]
		self.assertEqual([cell.value for cell in cells if cell.data_type == "f"], [])
		self.assert_safe([[cell.value for cell in row] for row in sheet.iter_rows()])
		self.assertIn(-1.5, [cell.value for cell in cells])

	def mailed(self, kind: str):
		"""What Frappe's job would put into the mail of a report that a person built of a list."""
		report = frappe.get_doc(
			{
				"doctype": "Report",
				"report_name": f"Notes {frappe.generate_hash(length=6)}",
				"report_type": "Report Builder",
				"ref_doctype": "Credit Ledger",
				"is_standard": "No",
				"json": frappe.as_json(
					{
						"fields": [["note", "Credit Ledger"], ["amount", "Credit Ledger"]],
						"filters": [["Credit Ledger", "credit_account", "=", self.of]],
					}
				),
			}
		).insert()
		mail = frappe.new_doc("Auto Email Report")
		mail.update(
			{"report": report.name, "report_type": report.report_type, "format": kind, "no_of_rows": 99}
		)
		mail.update({"name": report.name, "user": "Administrator", "filters": "{}"})
		self.addCleanup(frappe.db.rollback)
		return mail.get_report_content()

	def test_a_table_that_is_mailed(self):
		self.assert_safe(list(csv.reader(io.StringIO(self.mailed("CSV")))))
		sheet = openpyxl.load_workbook(io.BytesIO(self.mailed("XLSX"))).active
		self.assertEqual([c.value for row in sheet.iter_rows() for c in row if c.data_type == "f"], [])
		self.assert_safe([[cell.value for cell in row] for row in sheet.iter_rows()])

	def test_a_mailed_table_shows_what_people_wrote_as_text(self):
		note = "<img src=x onerror=alert(1)><a href='https://evil.example'>Pay</a>"
		frappe.db.rollback()
		# Past the API, as another app might.
		frappe.db.sql(
			"UPDATE `tabCredit Ledger` SET `note` = %s WHERE `credit_account` = %s", (note, self.of)
		)
		html = self.mailed("HTML")
		self.assertIn("&lt;img src=x", html)
		self.assertNotIn("<img src=x", html)
		self.assertNotIn("href='https://evil", html)

	def test_a_table_written_in_the_background(self):
		text = '"Note"\n"=1+1"\n-5\n'
		file = frappe.get_doc(
			{
				"doctype": "File",
				"file_name": f"{frappe.generate_hash(length=8)}.csv",
				"attached_to_doctype": "Report",
				"attached_to_name": "Credit Ledger",
				"content": text.encode(),
				"is_private": 1,
			}
		)
		file.insert(ignore_permissions=True)
		frappe.db.commit()
		self.addCleanup(frappe.delete_doc, "File", file.name)
		self.assertEqual(frappe.get_doc("File", file.name).get_content(), '"Note"\n"\'=1+1"\n-5\n')
