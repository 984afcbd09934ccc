"""What comes from outside meets the stored record: fields, links, rows, lists and methods, tried over HTTP.

The attacker is staff: somebody with every right of the app, restricted by User Permissions to another customer.
"""

import json

import frappe
from frappe.model.base_document import get_controller
from frappe.permissions import add_user_permission

from crm_recharge.api import credits, insight, portal
from crm_recharge.doors import guard, records, sight
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import give, make_account, make_user
from crm_recharge.tests.support.money_case import retire
from crm_recharge.tests.support.records import card_of, of_a_customer
from crm_recharge.tests.support.reorder_case import make_buyer, make_item
from crm_recharge.tests.support.web import Web

MODULES = ("Credits", "Gateway", "Outbox", "Recharge", "Reorder")
ALL_RIGHTS = ("Credit Manager", "Accounts Manager", "Reorder Manager", "Sales User", "Sales Master Manager")
FORGED = {
	"Int": 77,
	"Long Int": 77,
	"Currency": 7777,
	"Float": 7777,
	"Percent": 77,
	"Check": 1,
	"Date": "2001-02-03",
	"Datetime": "2001-02-03 04:05:06",
	"Code": '{"forged": 1}',
}
LINKS = {"User": "Guest", "Currency": "EUR", "DocType": "ToDo", "Item Group": "All Item Groups"}


def forged(row: dict, others: dict):
	"""A value for a field that it does not have by itself: a link leads to a record that is there."""
	if row["fieldtype"] == "Select":
		return (row.get("options") or "").strip().split("\n")[-1]
	if row["fieldtype"] == "Link":
		return others.get(row["options"]) or LINKS.get(row["options"]) or "forged"
	return FORGED.get(row["fieldtype"], "forged")


def same(stored: str, value) -> bool:
	return stored in (str(value), f"{value}.0")


class DoorCase(BenchTestCase):
	"""`self.mine` and `self.theirs`: a record of every kind of two customers; committed, as in life."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.web = Web().start()
		cls.addClassCleanup(cls.web.stop)
		cls.mine, cls.theirs = of_a_customer(), of_a_customer()
		cls.customers = {
			name: frappe.db.get_value("Credit Account", name, "customer")
			for name in (cls.mine["Credit Account"], cls.theirs["Credit Account"])
		}
		cls.my_customer, cls.their_customer = cls.customers.values()
		frappe.db.commit()

	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		frappe.db.rollback()

	@classmethod
	def user(cls, *roles: str, **only) -> str:
		"""A user with `roles`, restricted to the records in `only` (DocType with _ for a space → name)."""
		user = make_user(*roles)
		cls.addClassCleanup(retire, user)
		for doctype, name in only.items():
			add_user_permission(doctype.replace("_", " "), name, user, ignore_permissions=True)
		frappe.db.commit()
		return user

	@classmethod
	def restricted(cls):
		"""(client, name) of staff with all rights of the app, for the customer of `mine` alone."""
		user = cls.user(*ALL_RIGHTS, Customer=cls.my_customer)
		return cls.web.client(user), user

	def stored(self, doctype: str, name: str) -> dict:
		frappe.db.rollback()
		row = frappe.db.get_value(doctype, name, "*", as_dict=True)
		return {key: str(value) for key, value in (row or {}).items()}


class TestDeclarations(BenchTestCase):
	def test_every_doctype_of_the_app_is_declared(self):
		found = set(frappe.get_all("DocType", {"module": ["in", MODULES], "custom": 0}, pluck="name"))
		self.assertEqual(found, records.declared())
		self.assertEqual(records.MADE_BY_THE_APP - found, set())

	def test_every_doctype_of_the_app_is_guarded(self):
		for doctype in records.declared():
			with self.subTest(doctype=doctype):
				base = guard.Row if doctype in records.ROWS else guard.GuardedDocument
				self.assertTrue(issubclass(get_controller(doctype), base))
				self.assertEqual(frappe.get_meta(doctype).istable, int(doctype in records.ROWS))

	def test_what_links_to_an_account_or_customer_hangs_on_it(self):
		for doctype in records.declared() - {"Credit Account"}:
			links = {row.get("options") for row in records.fields_of(doctype).values()}
			with self.subTest(doctype=doctype):
				if "Credit Account" in links:
					self.assertIn(doctype, records.OF_AN_ACCOUNT)
				elif "Customer" in links:
					self.assertIn(doctype, records.OF_A_CUSTOMER)

	def test_the_hooks_come_from_the_declaration(self):
		for doctype in records.confined():
			self.assertIn(
				"crm_recharge.doors.visibility.list_conditions",
				frappe.get_hooks("permission_query_conditions")[doctype],
			)
			if doctype not in records.ROWS:
				self.assertIn(
					"crm_recharge.doors.visibility.has_permission",
					frappe.get_hooks("has_permission")[doctype],
				)


class TestFieldsOfTheApp(DoorCase):
	"""Every field that only the app sets, of every DocType: by a manager one by one, by the Administrator all at once."""

	DOCTYPES = tuple(sorted(records.declared() - set(records.ROWS)))

	def test_none_is_taken_on_an_update(self):
		manager = self.web.client(self.user("System Manager", *ALL_RIGHTS))
		for doctype in self.DOCTYPES:
			fields = sorted(records.app_fields(doctype))
			if name := self.theirs.get(doctype):
				for field in fields:
					self.try_update(manager, doctype, name, field)
				self.try_update(self.web.client("Administrator"), doctype, name, *fields)

	def try_update(self, client, doctype: str, name: str, *fields: str):
		before = self.stored(doctype, name)
		sent = {field: self.other_than(before, doctype, field) for field in fields}
		answer = client.call("PUT", f"/api/resource/{doctype}/{name}", **sent | {"owner": "Guest"})
		self.assertLess(answer.status_code, 500, (doctype, fields, answer.text[:300]))
		after = self.stored(doctype, name)
		# How often a document was announced goes up with each change, by itself.
		for field in ({*fields} - {"changes"}) | {"owner", "creation", "docstatus"}:
			with self.subTest(doctype=doctype, field=field, status=answer.status_code):
				self.assertEqual(after.get(field), before.get(field))
		for table in records.table_fields(doctype):
			rows = records.fields_of(doctype)[table]["options"]
			self.assertFalse(frappe.db.exists(rows, {"parent": name, "idx": 77}))

	def other_than(self, before: dict, doctype: str, field: str):
		row = records.fields_of(doctype)[field]
		value = forged(row, self.mine)
		if row["fieldtype"] == "Table":
			return [{"doctype": row["options"], "idx": 77, "detail": "forged"}]
		if row["fieldtype"] == "Check":
			return int(before[field] != "1")
		return f"{value}x" if same(before[field], value) else value

	def test_none_is_taken_on_an_insert(self):
		for client in (
			self.web.client(self.user("System Manager", *ALL_RIGHTS)),
			self.web.client("Administrator"),
		):
			for doctype in self.DOCTYPES:
				if not frappe.get_meta(doctype).issingle:
					self.try_insert(client, doctype)

	def try_insert(self, client, doctype: str):
		fields = {
			field: row
			for field, row in records.fields_of(doctype).items()
			if field in records.app_fields(doctype) and row["fieldtype"] != "Table"
		}
		sent = self.sent(doctype) | {field: forged(row, self.mine) for field, row in fields.items()}
		frappe.db.rollback()
		before = frappe.db.count(doctype)
		answer = client.call("POST", f"/api/resource/{doctype}", **sent | {"owner": "Guest"})
		if doctype in records.MADE_BY_THE_APP:
			self.assertEqual(answer.status_code, 403, (doctype, answer.text[:300]))
			frappe.db.rollback()
			self.assertEqual(frappe.db.count(doctype), before, doctype)
			return
		self.assertIn(answer.status_code, (200, 403, 417, 422), (doctype, answer.text[:300]))
		if answer.status_code != 200 and doctype in records.REFUSED_BY_ITS_OWN:
			# Refused aloud: without those fields it is made.
			aloud = records.REFUSED_BY_ITS_OWN[doctype]
			answer = client.call(
				"POST", f"/api/resource/{doctype}", **{k: v for k, v in sent.items() if k not in aloud}
			)
		self.assertEqual(answer.status_code, 200, (doctype, answer.text[:300]))
		made = self.stored(doctype, answer.json()["data"]["name"])
		self.assertNotEqual(made["owner"], "Guest")
		for field, row in fields.items():
			with self.subTest(doctype=doctype, field=field):
				if row["fieldtype"] not in ("Check", "Select") or row.get("default") != str(sent.get(field)):
					self.assertFalse(same(made[field], sent[field]), made[field])

	def sent(self, doctype: str) -> dict:
		"""What a form sends to make one, each under a name of its own."""
		mark = frappe.generate_hash(length=8)
		if doctype in ("Auto-Recharge Setting", "Credit Team", "Recharge"):
			account = make_account()
			frappe.db.commit()
			return {
				"credit_account": account,
				"amount": 20,
				"team_name": mark,
				"falls_below": 50,
				"recharge_up_to": 500,
			}
		if doctype == "Credit Account":
			customer = make_buyer()[0]
			frappe.db.commit()
			company = frappe.db.get_value("Credit Account", self.mine[doctype], "company")
			return {"customer": customer, "company": company, "currency": "USD"}
		if doctype == "Reorder Preference":
			customer, contact = make_buyer()
			frappe.db.commit()
			email = frappe.db.get_value("Contact", contact, "email_id")
			return {"customer": customer, "contact": contact, "email": email}
		if doctype == "Reorder Rule":
			item = make_item()
			frappe.db.commit()
			return {"applies_to": "Item", "item_code": item}
		if doctype == "Credit Webhook":
			account = self.theirs["Credit Account"]
			return {"credit_account": account, "url": "https://example.com/hooks", "events": "*"}
		if doctype == "Usage Category":
			return {"category_name": mark, "unit": "piece", "currency": "USD", "unit_price": 1}
		return {
			"credit_account": self.theirs["Credit Account"],
			"customer": self.their_customer,
			"name": mark,
		}

	def test_defaults_stand_where_something_was_forged(self):
		client = self.web.client(self.user("Credit Manager"))
		sent = self.sent("Recharge") | {"status": "Succeeded", "origin": "Automatic", "requested_by": "Guest"}
		made = client.call("POST", "/api/resource/Recharge", **sent).json()["data"]["name"]
		row = self.stored("Recharge", made)
		self.assertEqual((row["status"], row["origin"]), ("Draft", "Desk"))
		self.assertNotEqual(row["requested_by"], "Guest")
		self.assertEqual(
			row["customer"], frappe.db.get_value("Credit Account", sent["credit_account"], "customer")
		)

	def test_a_person_may_say_what_was_done_about_a_difference_and_no_more(self):
		name = self.mine["Gateway Difference"]
		client = self.web.client(self.user("Credit Manager"))
		answer = client.call(
			"PUT",
			f"/api/resource/Gateway Difference/{name}",
			status="Resolved",
			resolution="asked the bank",
			amount=1,
			explanation="nothing",
		)
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		row = self.stored("Gateway Difference", name)
		self.assertEqual((row["status"], row["resolution"]), ("Resolved", "asked the bank"))
		self.assertEqual((row["amount"], row["explanation"]), ("0.0", "None"))
		self.assertNotEqual((row["resolved_by"], row["resolved_at"]), ("None", "None"))


class TestTheStoredAccountDecides(DoorCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.client, cls.attacker = cls.restricted()

	def setUp(self):
		super().setUp()
		self.before = {d: self.stored(d, n) for d, n in self.theirs.items()}

	def untouched(self, *doctypes: str):
		for doctype in doctypes or self.theirs:
			now = self.stored(doctype, self.theirs[doctype])
			self.assertEqual(now, self.before[doctype], doctype)

	def refused(self, answer, *more):
		self.assertIn(answer.status_code, (403, 404, 417, 422), answer.text[:400])

	def count(self, doctype: str) -> int:
		frappe.db.rollback()
		field = records.anchor(doctype)[1]
		of = self.theirs["Credit Account"] if field == "credit_account" else self.their_customer
		return frappe.db.count(doctype, {field: of})

	def test_nothing_is_made_for_another_customer(self):
		theirs = {"credit_account": self.theirs["Credit Account"], "customer": self.my_customer}
		account = make_account()
		frappe.db.commit()
		for doctype, sent in (
			("Recharge", theirs | {"amount": 20, "docstatus": 1}),
			("Recharge", theirs | {"amount": 20, "card": self.theirs["Recharge Card"]}),
			(
				"Auto-Recharge Setting",
				theirs | {"credit_account": account, "falls_below": 50, "recharge_up_to": 500},
			),
			("Credit Team", theirs | {"team_name": "x"}),
			("Recharge Card", theirs | {"payment_method": "pm_x"}),
			(
				"Reorder Preference",
				{"customer": self.their_customer, "contact": make_buyer()[1], "email": "a@b.c"},
			),
		):
			with self.subTest(doctype=doctype):
				before = frappe.db.count(doctype)
				self.refused(self.client.call("POST", f"/api/resource/{doctype}", **sent))
				self.refused(
					self.client.call(
						"POST", "/api/method/frappe.client.insert", doc={"doctype": doctype, **sent}
					)
				)
				frappe.db.rollback()
				self.assertEqual(frappe.db.count(doctype), before)
		self.untouched()

	def test_a_record_of_another_customer_is_not_written_whatever_it_says(self):
		swapped = {"customer": self.my_customer, "credit_account": self.mine["Credit Account"]}
		for doctype in (*records.OF_AN_ACCOUNT, *records.OF_A_CUSTOMER, "Credit Account"):
			name = self.theirs[doctype]
			for sent in ({"customer": self.my_customer}, swapped, {"docstatus": 1, **swapped}):
				with self.subTest(doctype=doctype, sent=sent):
					self.refused(self.client.call("PUT", f"/api/resource/{doctype}/{name}", **sent))
					doc = {"doctype": doctype, **frappe.get_doc(doctype, name).as_dict(), **sent}
					text = frappe.as_json(doc)
					for method in ("save", "submit"):
						self.refused(
							self.client.call("POST", f"/api/method/frappe.client.{method}", doc=text)
						)
					self.refused(
						self.client.call(
							"POST",
							"/api/method/frappe.desk.form.save.savedocs",
							doc=text,
							action="Submit" if "docstatus" in sent else "Save",
						)
					)
		self.untouched()

	def test_nor_under_the_name_of_an_own_one(self):
		for doctype in (
			"Recharge",
			"Credit Team",
			"Auto-Recharge Setting",
			"Reorder Reminder",
			"Reorder Preference",
		):
			stolen = {"name": self.theirs[doctype], "modified": self.before[doctype]["modified"]}
			with self.subTest(doctype=doctype):
				self.refused(
					self.client.call("PUT", f"/api/resource/{doctype}/{self.mine[doctype]}", **stolen)
				)
		self.untouched()

	def test_an_own_record_does_not_move_to_another_account(self):
		for doctype, sent in (
			("Recharge", {"credit_account": self.theirs["Credit Account"]}),
			("Credit Team", {"credit_account": self.theirs["Credit Account"]}),
			("Auto-Recharge Setting", {"credit_account": self.theirs["Credit Account"]}),
			("Credit Account", {"customer": self.their_customer}),
			("Reorder Preference", {"customer": self.their_customer}),
		):
			for client in (self.client, self.web.client(self.user("System Manager", *ALL_RIGHTS))):
				with self.subTest(doctype=doctype):
					before = self.stored(doctype, self.mine[doctype])
					self.refused(client.call("PUT", f"/api/resource/{doctype}/{self.mine[doctype]}", **sent))
					self.assertEqual(self.stored(doctype, self.mine[doctype]), before)

	def test_documents_that_are_sent_to_a_method_count_as_they_are_stored(self):
		swapped = {"customer": self.my_customer, "credit_account": self.mine["Credit Account"]}
		for doctype, method, args in (
			("Recharge", "submit", {}),
			("Recharge", "cancel", {}),
			("Reorder Preference", "record_consent", {"how": "Phone"}),
			("Reorder Preference", "record_opt_out", {"how": "Phone"}),
		):
			for more in ({}, {"__islocal": 1}):
				doc = frappe.get_doc(doctype, self.theirs[doctype]).as_dict() | swapped | more
				with self.subTest(method=method, more=more):
					self.refused(
						self.client.call(
							"POST",
							"/api/method/run_doc_method",
							docs=frappe.as_json(doc),
							method=method,
							args=json.dumps(args),
						)
					)
		self.untouched()

	def test_a_consent_is_recorded_for_the_stored_contact_alone(self):
		"""Also somebody who may write both customers does not record one's consent on the other's preference."""
		client = self.web.client(self.user("Reorder Manager"))
		doc = frappe.get_doc("Reorder Preference", self.theirs["Reorder Preference"]).as_dict()
		answer = client.call(
			"POST",
			"/api/method/run_doc_method",
			docs=frappe.as_json(doc | {"customer": self.my_customer}),
			method="record_consent",
			args=json.dumps({"how": "Phone"}),
		)
		self.refused(answer)
		self.untouched("Reorder Preference")

	def test_nothing_is_renamed_merged_or_deleted(self):
		reader = self.web.client(self.user("Credit User"))
		past_all_checks = {"name": "X", "force": 1, "validate_rename": False}
		merged = {"name": self.mine["Credit Account"], "merge": True, "force": 1, "validate_rename": False}
		for client in (reader, self.client, self.web.client(self.user("System Manager", *ALL_RIGHTS))):
			for args in (past_all_checks, merged):
				self.refused(
					client.call(
						"POST",
						"/api/method/run_doc_method",
						dt="Credit Account",
						dn=self.theirs["Credit Account"],
						method="rename",
						args=json.dumps(args),
					)
				)
		for doctype in (
			"Recharge",
			"Credit Team",
			"Auto-Recharge Setting",
			"Credit Account",
			"Reorder Preference",
		):
			with self.subTest(doctype=doctype):
				self.refused(self.client.call("DELETE", f"/api/resource/{doctype}/{self.theirs[doctype]}"))
				self.refused(
					self.client.call(
						"POST", "/api/method/frappe.client.delete", doctype=doctype, name=self.theirs[doctype]
					)
				)
		self.untouched()

	def test_nor_by_bulk_share_or_assignment(self):
		swapped = {"customer": self.my_customer, "credit_account": self.mine["Credit Account"]}
		docs = [
			{"doctype": doctype, "docname": self.theirs[doctype], **swapped}
			for doctype in (
				"Recharge",
				"Credit Team",
				"Auto-Recharge Setting",
				"Reorder Reminder",
				"Reorder Preference",
			)
		]
		answer = self.client.call("POST", "/api/method/frappe.client.bulk_update", docs=json.dumps(docs))
		self.assertEqual(len(answer.json()["message"]["failed_docs"]), len(docs))
		for doc in docs:
			doctype, name = doc["doctype"], doc["docname"]
			self.client.call(
				"POST",
				"/api/method/frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs",
				doctype=doctype,
				docnames=json.dumps([name]),
				action="update",
				data=json.dumps(swapped),
			)
			self.refused(self.client.call("PATCH", f"/api/v2/document/{doctype}/{name}", **swapped))
			self.refused(
				self.client.call(
					"POST",
					"/api/method/frappe.desk.form.assign_to.add",
					doctype=doctype,
					name=name,
					assign_to=json.dumps([self.attacker]),
				)
			)
		for doctype in ("Credit Account", "Credit Team", "Auto-Recharge Setting", "Reorder Preference"):
			name = self.theirs[doctype]
			self.refused(
				self.client.call(
					"POST",
					"/api/method/frappe.share.add",
					doctype=doctype,
					name=name,
					user=self.attacker,
					write=1,
				)
			)
			self.assertFalse(frappe.db.exists("DocShare", {"share_doctype": doctype, "share_name": name}))
		self.untouched()

	def test_an_amended_recharge_brings_nothing_of_another_account(self):
		theirs = self.theirs["Recharge"]
		frappe.db.set_value("Recharge", theirs, "docstatus", 2)
		frappe.db.commit()
		sent = {"credit_account": self.mine["Credit Account"], "amount": 20, "amended_from": theirs}
		self.refused(self.client.call("POST", "/api/resource/Recharge", **sent))
		frappe.db.set_value("Recharge", theirs, "docstatus", 0)
		frappe.db.commit()
		card = {
			"credit_account": self.mine["Credit Account"],
			"amount": 20,
			"card": self.theirs["Recharge Card"],
		}
		answer = self.client.call("POST", "/api/resource/Recharge", **card)
		self.refused(answer)
		self.assertNotIn("4242", answer.text)

	def test_restrictions_of_every_kind_hold(self):
		team = self.theirs["Credit Team"]
		for only in ({"Credit_Account": self.mine["Credit Account"]}, {"Customer": self.my_customer}):
			client = self.web.client(self.user("Credit Manager", **only))
			with self.subTest(only=only):
				self.refused(client.call("PUT", f"/api/resource/Credit Team/{team}", disabled=1))
		# A restriction that holds for recharges alone holds for the stored recharge.
		user = self.user("Credit Manager")
		frappe.get_doc(
			{
				"doctype": "User Permission",
				"user": user,
				"allow": "Customer",
				"for_value": self.my_customer,
				"apply_to_all_doctypes": 0,
				"applicable_for": "Recharge",
			}
		).insert()
		frappe.db.commit()
		doc = frappe.get_doc("Recharge", self.theirs["Recharge"])
		doc.customer = self.my_customer
		self.assertFalse(frappe.has_permission("Recharge", "write", doc=doc, user=user))
		client = self.web.client(user)
		path = f"/api/resource/Recharge/{self.theirs['Recharge']}"
		self.refused(client.call("PUT", path, amount=30, customer=self.my_customer))
		self.refused(client.call("GET", path))
		self.untouched()


class TestRows(DoorCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.client, cls.attacker = cls.restricted()

	def setUp(self):
		super().setUp()
		self.row, self.card = self.mine["Auto-Recharge Card"], self.theirs["Recharge Card"]
		self.before = self.stored("Auto-Recharge Card", self.row)

	def test_a_row_takes_no_card_of_another_account(self):
		sent = {"doctype": "Auto-Recharge Card", "docname": self.row, "card": self.card}
		answer = self.client.call("POST", "/api/method/frappe.client.bulk_update", docs=json.dumps([sent]))
		self.assertEqual(len(answer.json()["message"]["failed_docs"]), 1)
		for verb, path, more in (
			("PUT", f"/api/resource/Auto-Recharge Card/{self.row}", {"card": self.card}),
			("POST", "/api/method/frappe.client.set_value", {"fieldname": "card", "value": self.card}),
			("DELETE", f"/api/resource/Auto-Recharge Card/{self.row}", {}),
		):
			answer = self.client.call(verb, path, doctype="Auto-Recharge Card", name=self.row, **more)
			self.assertIn(answer.status_code, (403, 417, 422), answer.text[:300])
			self.assertNotIn("4242", answer.text.replace(self.row, ""))
		self.assertEqual(self.stored("Auto-Recharge Card", self.row), self.before)

	def test_a_row_of_another_setting_is_neither_written_nor_taken(self):
		theirs, setting = self.theirs["Auto-Recharge Card"], self.mine["Auto-Recharge Setting"]
		before = self.stored("Auto-Recharge Card", theirs)
		place = {"parent": setting, "parenttype": "Auto-Recharge Setting", "parentfield": "cards"}
		self.client.call(
			"PUT", f"/api/resource/Auto-Recharge Card/{theirs}", card=self.mine["Recharge Card"], **place
		)
		row = {"name": theirs, "card": self.mine["Recharge Card"]}
		answer = self.client.call("PUT", f"/api/resource/Auto-Recharge Setting/{setting}", cards=[row])
		self.assertEqual(answer.status_code, 200, answer.text[:300])
		self.assertEqual(self.stored("Auto-Recharge Card", theirs), before)
		rows = frappe.get_all("Auto-Recharge Card", {"parent": setting}, ["name", "card"])
		self.assertEqual([row.card for row in rows], [self.mine["Recharge Card"]])
		type(self).mine["Auto-Recharge Card"] = rows[0].name

	def test_rows_are_written_with_their_document(self):
		frappe.db.rollback()
		for doctype in records.ROWS:
			name = self.mine.get(doctype)
			if not name:
				continue
			client = self.web.client(self.user("System Manager", *ALL_RIGHTS))
			with self.subTest(doctype=doctype):
				before = self.stored(doctype, name)
				answer = client.call("PUT", f"/api/resource/{doctype}/{name}", idx=7)
				self.assertEqual(answer.status_code, 403, answer.text[:200])
				self.assertEqual(client.call("DELETE", f"/api/resource/{doctype}/{name}").status_code, 403)
				self.assertEqual(self.stored(doctype, name), before)

	def test_lists_of_rows_and_events_show_what_their_documents_do(self):
		for doctype, parent in (*records.ROWS.items(), ("Gateway Event", None)):
			mine, theirs = self.mine.get(doctype), self.theirs.get(doctype)
			if not mine or parent == "Usage Category":
				continue
			query = f"?parent={parent}&limit_page_length=0" if parent else "?limit_page_length=0"
			with self.subTest(doctype=doctype):
				user = self.user(*ALL_RIGHTS, Customer=self.my_customer)
				shown = self.web.client(user).call("GET", f"/api/resource/{doctype}{query}")
				names = [row["name"] for row in shown.json()["data"]]
				self.assertIn(mine, names)
				self.assertNotIn(theirs, names)
				self.assertIn(
					self.web.client(user).call("GET", f"/api/resource/{doctype}/{theirs}").status_code,
					(403, 404),
				)
				free = self.web.client(self.user(*ALL_RIGHTS)).call("GET", f"/api/resource/{doctype}{query}")
				self.assertLessEqual({mine, theirs}, {row["name"] for row in free.json()["data"]})


class TestLists(DoorCase):
	def test_lists_and_records_show_the_own_customer_s_alone(self):
		user = self.user("System Manager", *ALL_RIGHTS, Customer=self.my_customer)
		client = self.web.client(user)
		for doctype in (*records.OF_AN_ACCOUNT, *records.OF_A_CUSTOMER, "Credit Account"):
			with self.subTest(doctype=doctype):
				shown = client.call("GET", f"/api/resource/{doctype}?limit_page_length=0").json()["data"]
				names = {row["name"] for row in shown}
				self.assertIn(self.mine[doctype], names)
				self.assertNotIn(self.theirs[doctype], names)
				self.assertEqual(
					client.call("GET", f"/api/resource/{doctype}/{self.mine[doctype]}").status_code, 200
				)
				self.assertEqual(
					client.call("GET", f"/api/resource/{doctype}/{self.theirs[doctype]}").status_code, 403
				)
		for doctype in records.OF_ALL:
			shown = client.call("GET", f"/api/resource/{doctype}?limit_page_length=0").json()["data"]
			self.assertEqual(shown, [], doctype)

	def test_staff_for_reminders_without_a_right_on_customers_are_confined_too(self):
		user = self.user("Reorder Manager", Customer=self.my_customer)
		for doctype in records.OF_A_CUSTOMER:
			with self.subTest(doctype=doctype):
				frappe.set_user(user)
				names = frappe.get_list(doctype, pluck="name", limit=0)
				self.assertIn(self.mine[doctype], names)
				self.assertNotIn(self.theirs[doctype], names)
				self.assertFalse(frappe.has_permission(doctype, "read", self.theirs[doctype]))
				frappe.set_user("Administrator")
		self.assertTrue(sight.may_see_customer(self.my_customer, user))
		self.assertFalse(sight.may_see_customer(self.their_customer, user))
		free, visitor = self.user("Reorder User"), self.user("Credit User")
		self.assertTrue(sight.may_see_customer(self.their_customer, free))
		self.assertEqual(sight.customers(free), "")
		self.assertFalse(sight.may_see_customer(self.their_customer, visitor))
		self.assertEqual(sight.customers(visitor), sight.NOTHING)
		# What is not there is told to those alone from whom nothing is kept.
		for who, name, error in (
			(user, self.their_customer, frappe.PermissionError),
			(user, "No such customer", frappe.PermissionError),
			(free, "No such customer", frappe.DoesNotExistError),
			(visitor, "No such customer", frappe.PermissionError),
		):
			with self.assertRaises(error):
				sight.check_customer(name, who)
		self.assertEqual(sight.check_customer(self.my_customer, user), self.my_customer)

	def test_what_belongs_to_nobody_is_for_those_from_whom_nothing_is_kept(self):
		orphan = frappe.new_doc("Gateway Difference")
		orphan.name = frappe.generate_hash(length=12)
		orphan.db_insert()
		frappe.db.commit()
		restricted, free = self.user("Credit Manager", Customer=self.my_customer), self.user("Credit Manager")
		for user, sees in ((restricted, False), (free, True)):
			self.assertEqual(
				frappe.has_permission("Gateway Difference", "read", orphan.name, user=user), sees
			)
			frappe.set_user(user)
			self.assertEqual(
				orphan.name in frappe.get_list("Gateway Difference", pluck="name", limit=0), sees
			)
			frappe.set_user("Administrator")


class TestShares(DoorCase):
	def test_one_shared_account_is_one_account(self):
		user = self.user("Sales User")
		account = self.mine["Credit Account"]
		give(account, "123.45")
		frappe.share.add("Credit Account", account, user, read=1)
		frappe.db.commit()
		balance = frappe.db.get_value("Credit Account", account, "balance")
		frappe.set_user(user)
		self.assertEqual(frappe.get_list("Credit Account", pluck="name"), [account])
		shown = insight.prepaid_balance()
		self.assertIn(f"{balance:,.2f}", shown)
		self.assertNotIn("·", shown)
		# The account, and nothing that the user's roles do not show.
		with self.assertRaises(frappe.PermissionError):
			portal.overview(account)
		frappe.set_user("Administrator")

	def test_sums_over_time_cover_what_may_be_seen(self):
		for account in (self.mine["Credit Account"], self.theirs["Credit Account"]):
			give(account, "50")
		credits.charge(self.mine["Credit Account"], amount="2.5", idempotency_key=frappe.generate_hash())
		credits.charge(self.theirs["Credit Account"], amount="40", idempotency_key=frappe.generate_hash())
		frappe.db.commit()
		frappe.set_user(self.user("Credit User", Customer=self.my_customer))
		used = insight.credits_by_day(time_interval="Daily", timespan="Last Week", refresh=1)
		self.assertEqual(sum(used["datasets"][0]["values"]), 2.5)
		frappe.set_user("Administrator")

	def test_a_shared_setting_is_no_right_to_the_others(self):
		user = self.user("Credit User")
		frappe.share.add("Auto-Recharge Setting", self.mine["Auto-Recharge Setting"], user, write=1)
		frappe.db.commit()
		before = self.stored("Auto-Recharge Setting", self.theirs["Auto-Recharge Setting"])
		client = self.web.client(user)
		answer = client.post(
			"portal.save_auto_recharge",
			account=self.theirs["Credit Account"],
			enabled=0,
			falls_below="1",
			recharge_up_to="99",
			cards=[],
		)
		self.assertEqual(answer.status_code, 403, answer.text[:300])
		self.assertEqual(self.stored("Auto-Recharge Setting", self.theirs["Auto-Recharge Setting"]), before)

	def test_the_customer_s_page_shows_no_more_than_the_cards_method(self):
		user = self.user("Accounts User")
		client = self.web.client(user)
		account = self.mine["Credit Account"]
		self.assertEqual(client.get("recharge.saved_cards", account=account).status_code, 403)
		answer = client.get("portal.overview", account=account)
		self.assertEqual(answer.status_code, 403)
		self.assertNotIn("4242", answer.text)


class TestTheOwnCodeIsNotHindered(DoorCase):
	def test_a_manager_works_as_before(self):
		client = self.web.client(self.user(*ALL_RIGHTS, Customer=self.my_customer))
		for doctype, sent in (
			("Credit Account", {"status_reason": "Checked"}),
			("Credit Team", {"disabled": 1}),
			("Auto-Recharge Setting", {"falls_below": 40}),
			("Recharge", {"amount": 30}),
			("Reorder Reminder", {"snoozed_until": "2030-01-01"}),
			("Reorder Preference", {"frequency_days": 9}),
		):
			with self.subTest(doctype=doctype):
				answer = client.call("PUT", f"/api/resource/{doctype}/{self.mine[doctype]}", **sent)
				self.assertEqual(answer.status_code, 200, answer.text[:400])
				field, value = next(iter(sent.items()))
				self.assertTrue(self.stored(doctype, self.mine[doctype])[field].startswith(str(value)))

	def test_a_whole_form_may_be_sent_back(self):
		client = self.web.client(self.user(*ALL_RIGHTS))
		for doctype in (
			"Credit Account",
			"Credit Team",
			"Auto-Recharge Setting",
			"Recharge",
			"Reorder Preference",
		):
			doc = frappe.get_doc(doctype, self.mine[doctype]).as_dict()
			answer = client.call(
				"POST", "/api/method/frappe.desk.form.save.savedocs", doc=frappe.as_json(doc), action="Save"
			)
			self.assertEqual(answer.status_code, 200, (doctype, answer.text[:300]))

	def test_the_app_sets_its_fields_where_it_says_so(self):
		doc = frappe.get_doc("Gateway Difference", self.mine["Gateway Difference"])
		guard.by_machine(doc).explanation = "by the reconciler"
		doc.save(ignore_permissions=True)
		self.assertEqual(
			frappe.db.get_value("Gateway Difference", doc.name, "explanation"), "by the reconciler"
		)
		frappe.db.rollback()
		card = card_of(self.mine["Credit Account"])
		self.assertEqual(frappe.db.get_value("Recharge Card", card, "customer"), self.my_customer)
