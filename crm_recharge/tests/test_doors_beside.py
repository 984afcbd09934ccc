"""What Frappe keeps, counts, mails and names beside the records: charts, tags, prepared reports, notices, ties
of ERPNext's documents, requests for one's data. Tried over HTTP by people who may see one customer, or none.
"""

import json

import frappe

from crm_recharge.recharge import differences, notices
from crm_recharge.reorder import sales_team
from crm_recharge.tests.compat import MAJOR
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.money_case import retire
from crm_recharge.tests.test_doors import ALL_RIGHTS, DoorCase

CHART = "frappe.desk.doctype.dashboard_chart.dashboard_chart.get"


class BesideCase(DoorCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.client, cls.attacker = cls.restricted()
		cls.all_seeing = cls.web.client(cls.user(*ALL_RIGHTS))
		stranger = make_user(user_type="Website User")
		cls.addClassCleanup(retire, stranger)
		cls.stranger, cls.stranger_user = cls.web.client(stranger), stranger

	def made(self, doctype: str, **values):
		doc = frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
		self.addCleanup(self.gone, doctype, doc.name)
		frappe.db.commit()
		return doc

	def gone(self, doctype: str, name: str):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		frappe.delete_doc(doctype, name, force=True, ignore_missing=True)
		frappe.db.commit()


class TestCharts(BesideCase):
	def chart(self, client, **values):
		return client.call("POST", f"/api/method/{CHART}", **values)

	def by_account(self, name: str, **values) -> dict:
		return {
			"name": name,
			"document_type": "Credit Lot",
			"chart_type": "Group By",
			"group_by_type": "Count",
			"group_by_based_on": "credit_account",
			"filters_json": "[]",
			**values,
		}

	def test_a_chart_that_somebody_else_has_looked_at_is_counted_anew(self):
		doc = self.by_account(f"Doors {frappe.generate_hash(length=6)}")
		chart = self.made("Dashboard Chart", chart_name=doc["name"], is_public=1, **doc).name
		for refresh in ("1", "0"):
			answer = self.chart(self.all_seeing, chart_name=chart, refresh=refresh)
			self.assertIn(self.label(self.theirs), answer.json()["message"]["labels"])
		answer = self.chart(self.client, chart_name=chart)
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		self.assertEqual(answer.json()["message"]["labels"], [self.label(self.mine)])
		self.assertEqual(self.chart(self.stranger, chart_name=chart).status_code, 403)

	def test_what_a_browser_leaves_open_is_no_fault(self):
		doc = self.by_account(f"Doors {frappe.generate_hash(length=6)}")
		doc |= {"chart_type": "Count", "based_on": "creation", "timeseries": 1, "time_interval": "Weekly"}
		chart = self.made("Dashboard Chart", chart_name=doc["name"], **doc | {"timespan": "Last Year"}).name
		left = dict.fromkeys(("time_interval", "timespan", "from_date", "to_date", "heatmap_year"), "")
		answer = self.chart(self.all_seeing, chart_name=chart, filters="[]", refresh="1", **left)
		self.assertEqual(answer.status_code, 200, answer.text[:300])

	def label(self, records: dict) -> str:
		"""How a chart names an account: Frappe 16 by its title."""
		account, title = records["Credit Account"], frappe.get_meta("Credit Account").title_field
		return account if MAJOR < 16 else frappe.db.get_value("Credit Account", account, title)

	def test_a_heatmap_is_for_those_from_whom_nothing_is_kept(self):
		sent = {
			"name": "x",
			"document_type": "Credit Lot",
			"chart_type": "Sum",
			"type": "Heatmap",
			"based_on": "creation",
			"value_based_on": "remaining",
		}
		filters = [["Credit Lot", "credit_account", "=", self.theirs["Credit Account"]]]
		for client in (self.client, self.stranger):
			for no_cache in ("1", None):
				answer = self.chart(
					client, chart=json.dumps(sent), filters=json.dumps(filters), no_cache=no_cache
				)
				self.assertEqual(answer.status_code, 403, answer.text[:300])
		answer = self.chart(self.all_seeing, chart=json.dumps(sent), filters=json.dumps(filters))
		# Frappe 16.10 itself can make no heatmap, of any DocType, and says so.
		self.assertIn(answer.status_code, (200,) if MAJOR < 16 else (200, 422), answer.text[:300])

	def test_charts_of_other_apps_are_frappe_s(self):
		sent = {"name": "x", "document_type": "ToDo", "chart_type": "Group By", "group_by_type": "Count"}
		sent |= {"group_by_based_on": "status", "filters_json": "[]", "doctype": "Dashboard Chart"}
		answer = self.chart(self.all_seeing, chart=json.dumps(sent), no_cache="1")
		self.assertEqual(answer.status_code, 200, answer.text[:300])


class TestTags(BesideCase):
	def setUp(self):
		super().setUp()
		self.tag = f"t{frappe.generate_hash(length=8)}"
		for side in (self.mine, self.theirs):
			answer = self.all_seeing.call(
				"POST",
				"/api/method/frappe.desk.doctype.tag.tag.add_tag",
				tag=self.tag,
				dt="Credit Account",
				dn=side["Credit Account"],
			)
			self.assertEqual(answer.status_code, 200, answer.text[:300])

	def test_they_tell_of_a_record_to_those_alone_who_may_see_it(self):
		fields = json.dumps(["document_name", "title"])
		filters = json.dumps({"tag": self.tag})
		tag = "/api/method/frappe.desk.doctype.tag.tag"
		for path, sent in (
			("/api/resource/Tag Link", {"fields": fields, "filters": filters}),
			(f"{tag}.get_documents_for_tag", {"tag": f"#{self.tag}"}),
			(f"{tag}.get_tagged_docs", {"doctype": "Credit Account", "tag": f"%{self.tag}%"}),
		):
			with self.subTest(path=path):
				answer = self.all_seeing.call("GET", path, **sent)
				self.assertIn(self.theirs["Credit Account"], answer.text)
				answer = self.client.call("GET", path, **sent)
				self.assertIn(self.mine["Credit Account"], answer.text)
				self.assertNotIn(self.theirs["Credit Account"], answer.text)
				self.assertNotIn(self.their_customer, answer.text)
				answer = self.stranger.call("GET", path, **sent)
				for account in (self.mine, self.theirs):
					self.assertNotIn(account["Credit Account"], answer.text)


class TestFiles(BesideCase):
	def test_the_list_of_files_names_those_of_records_one_may_see(self):
		files = {
			side["Credit Account"]: self.made(
				"File",
				file_name=f"{frappe.generate_hash(length=10)}.txt",
				content="x",
				is_private=1,
				attached_to_doctype="Credit Account",
				attached_to_name=side["Credit Account"],
			).file_name
			for side in (self.mine, self.theirs)
		}
		own, other = files.values()
		for client, seen in ((self.client, [own]), (self.all_seeing, [own, other]), (self.stranger, [])):
			answer = client.call(
				"GET",
				"/api/resource/File",
				fields=json.dumps(["file_name"]),
				filters=json.dumps([["file_name", "in", [own, other]]]),
			)
			self.assertEqual(sorted(name for name in (own, other) if name in answer.text), sorted(seen))

	def test_who_knows_the_address_of_a_file_does_not_get_it(self):
		secret = f"secret {frappe.generate_hash(length=12)}"
		file = self.made(
			"File",
			file_name=f"{frappe.generate_hash(length=10)}.txt",
			content=secret,
			is_private=1,
			attached_to_doctype="Credit Account",
			attached_to_name=self.theirs["Credit Account"],
		)
		named = {"file_url": file.file_url, "is_private": 1, "file_name": "mine.txt"}
		by_name = {"file_name": file.file_url.rsplit("/")[-1], "is_private": 1}
		for client in (self.client, self.stranger):
			own = client.call("POST", "/api/resource/File", file_name="own.txt", content="own", is_private=1)
			if own.status_code == 200:
				own = own.json()["data"]["name"]
				self.addCleanup(self.gone, "File", own)
				client.call("PUT", f"/api/resource/File/{own}", file_url=file.file_url)
			for path, sent in (
				("/api/method/upload_file", named),
				("/api/resource/File", named),
				("/api/resource/File", by_name),
				("/api/resource/File", named | {"filedata": "x"}),
				("/api/method/frappe.client.insert", {"doc": json.dumps({"doctype": "File", **named})}),
			):
				answer = client.call("POST", path, **sent)
				self.assertNotIn(secret, answer.text)
				self.assertIn(answer.status_code, (403, 404, 417), f"{path} {answer.text[:300]}")
			for path in (file.file_url, "/api/method/download_file"):
				answer = client.call("GET", path, file_url=file.file_url)
				self.assertNotIn(secret, answer.text)
		answer = self.client.call(
			"POST", "/api/resource/File", file_name="x.txt", content=secret, is_private=1
		)
		self.assertEqual(answer.status_code, 200, "who has the content uploads it")
		self.addCleanup(self.gone, "File", answer.json()["data"]["name"])
		answer = self.all_seeing.call("POST", "/api/resource/File", **named)
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		self.addCleanup(self.gone, "File", answer.json()["data"]["name"])


class TestPreparedReports(BesideCase):
	REPORT = "Reorder Cycles"

	def prepared(self) -> str:
		"""One that was run by somebody who sees everything, with its file."""
		from frappe.core.doctype.prepared_report.prepared_report import create_json_gz_file

		name = self.made("Prepared Report", report_name=self.REPORT, filters="{}", status="Completed").name
		frappe.db.set_value("Prepared Report", name, "status", "Completed")
		data = {"columns": [{"fieldname": "customer"}], "result": [{"customer": self.their_customer}]}
		create_json_gz_file(data, "Prepared Report", name, self.REPORT)
		frappe.db.commit()
		return name

	def test_what_one_person_ran_is_not_another_s(self):
		name = self.prepared()
		frappe.db.set_value("Report", self.REPORT, "prepared_report", 1)
		frappe.db.commit()
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.db.set_value, "Report", self.REPORT, "prepared_report", 0)
		confined = self.web.client(
			self.user("Reorder Manager", "Prepared Report User", Customer=self.my_customer)
		)
		filters = json.dumps({"prepared_report_name": name})
		file = frappe.db.get_value("File", {"attached_to_name": name}, "file_url")
		for path, sent in (
			("/api/method/frappe.desk.query_report.run", {"report_name": self.REPORT, "filters": filters}),
			(
				"/api/method/frappe.core.doctype.prepared_report.prepared_report.download_attachment",
				{"dn": name},
			),
			(f"/api/resource/Prepared Report/{name}", {}),
			("/api/resource/Prepared Report", {"filters": json.dumps({"name": name})}),
			(file, {}),
			(
				"/api/method/frappe.desk.query_report.run",
				{"report_name": self.REPORT, "filters": "{}", "user": "Administrator"},
			),
		):
			with self.subTest(path=path, sent=sent):
				answer = confined.call("GET", path, **sent)
				self.assertNotIn(self.their_customer, answer.text)
				self.assertNotIn(f'"{name}"', answer.text)
				self.assertFalse(answer.content.startswith(b"\x1f\x8b"), "the file was handed out")
				self.assertNotEqual(answer.status_code, 500, answer.text[:300])
		everything = self.web.client(self.user("Reorder Manager"))
		answer = everything.call(
			"GET", "/api/method/frappe.desk.query_report.run", report_name=self.REPORT, filters=filters
		)
		self.assertIn(self.their_customer, answer.text)


class TestTies(BesideCase):
	"""What ties ERPNext's documents to a recharge comes from the app alone."""

	def test_an_invoice_of_one_s_own_is_tied_to_nobody_s_recharge(self):
		company = frappe.db.get_value("Credit Account", self.mine["Credit Account"], "company")
		user = self.user(*ALL_RIGHTS, "Accounts User", "Sales User", Customer=self.my_customer)
		client = self.web.client(user)
		item = frappe.db.get_value("Item", {"disabled": 0, "is_sales_item": 1, "has_variants": 0})
		answer = client.call(
			"POST",
			"/api/resource/Sales Invoice",
			customer=self.my_customer,
			company=company,
			items=[{"item_code": item, "qty": 1, "rate": 1}],
			crm_recharge=self.theirs["Recharge"],
			crm_recharge_refund=self.theirs["Recharge Refund"],
		)
		self.assertEqual(answer.status_code, 200, answer.text[:500])
		name = answer.json()["data"]["name"]
		self.addCleanup(self.gone, "Sales Invoice", name)
		for how in ("insert", "update"):
			row = self.stored("Sales Invoice", name)
			self.assertEqual((row["crm_recharge"], row["crm_recharge_refund"]), ("None", "None"), how)
			answer = client.call(
				"GET",
				"/api/method/frappe.client.get_list",
				doctype="Sales Invoice",
				fields=json.dumps(["name", "crm_recharge.credit_account as theirs"]),
				filters=json.dumps({"name": name}),
			)
			self.assertNotIn(self.theirs["Credit Account"], answer.text)
			client.call("PUT", f"/api/resource/Sales Invoice/{name}", crm_recharge=self.theirs["Recharge"])


class TestWhoIsTold(BesideCase):
	"""Notices go to those alone from whom their account is not kept."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.confined = cls.user("Credit Manager", Customer=cls.my_customer)
		cls.unconfined = cls.user("Credit Manager")

	def told(self, name: str) -> set[str]:
		return set(frappe.get_all("Notification Log", {"document_name": name}, pluck="for_user"))

	def test_a_manager_confined_to_another_customer_hears_nothing(self):
		for recharge, hears in ((self.theirs["Recharge"], False), (self.mine["Recharge"], True)):
			notices.send("gateway_error", recharge)
			told = self.told(recharge)
			self.assertIn(self.unconfined, told)
			self.assertEqual(self.confined in told, hears)
		account = self.theirs["Credit Account"]
		notices.send_about_account("auto_recharge_stopped", account)
		self.assertNotIn(self.confined, self.told(account))
		self.assertIn(self.unconfined, self.told(account))
		self.assertNotIn(
			frappe.db.get_value("User", self.confined, "email"), notices.admin_addresses([account])
		)
		frappe.db.rollback()

	def test_an_alert_goes_to_those_who_may_see_all_that_it_tells_of(self):
		mine, theirs = self.mine["Credit Account"], self.theirs["Credit Account"]
		self.assertIn(self.confined, notices.managers([mine]))
		for accounts in ([theirs], [mine, theirs], None, [mine, "CA-gone"]):
			self.assertNotIn(self.confined, notices.managers(accounts), accounts)
			self.assertIn(self.unconfined, notices.managers(accounts), accounts)
		self.assertIn(self.confined, notices.managers([]))

	def test_where_all_managers_are_confined_the_system_managers_are_told(self):
		account = self.theirs["Credit Account"]
		for user in notices.managers([account]):
			frappe.db.set_value("User", user, "enabled", 0)
		admin = make_user("System Manager")
		self.assertIn(admin, notices.managers([account]))
		self.assertNotIn(self.confined, notices.managers([account]))
		frappe.db.rollback()

	def test_differences_are_told_by_their_accounts(self):
		difference = self.theirs["Gateway Difference"]
		frappe.db.set_value(
			"Gateway Difference", difference, {"kind": differences.TOLD[0], "explanation": "secret"}
		)
		differences.tell_of([difference])
		self.assertNotIn(self.confined, self.told(difference))
		self.assertIn(self.unconfined, self.told(difference))
		frappe.db.rollback()

	def test_a_task_goes_to_nobody_from_whom_the_customer_is_kept(self):
		seller = self.user("Sales User", Customer=self.my_customer)
		frappe.db.set_single_value("Reorder Settings", "fallback_user", None)
		frappe.clear_document_cache("Reorder Settings", "Reorder Settings")
		for customer, person in ((self.my_customer, seller), (self.their_customer, None)):
			frappe.db.set_value("Customer", customer, "account_manager", seller)
			self.assertEqual(sales_team.person_for(customer), person)
		frappe.db.rollback()


class TestPersonalData(BesideCase):
	def test_one_asks_for_one_s_own_data_alone(self):
		victim = make_user(user_type="Website User")
		self.addCleanup(retire, victim)
		frappe.db.commit()
		for client in (self.stranger, self.client):
			answer = client.call(
				"POST",
				"/api/method/frappe.website.doctype.web_form.web_form.accept",
				web_form="request-data",
				data=json.dumps({"doctype": "Personal Data Download Request", "user": victim}),
			)
			self.assertEqual(answer.status_code, 403, answer.text[:300])
		frappe.db.rollback()
		self.assertFalse(frappe.db.exists("Personal Data Download Request", {"user": victim}))
		answer = self.stranger.call(
			"POST",
			"/api/method/frappe.website.doctype.web_form.web_form.accept",
			web_form="request-data",
			data=json.dumps({"doctype": "Personal Data Download Request", "user": self.stranger_user}),
		)
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		for name in frappe.get_all(
			"Personal Data Download Request", {"user": self.stranger_user}, pluck="name"
		):
			self.gone("Personal Data Download Request", name)
