"""The ledger is append-only, for everybody."""

import json

import frappe
from frappe import client
from frappe.model.rename_doc import rename_doc

from crm_recharge.credits import usage
from crm_recharge.tests.compat import NO_RECORDS
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS


class TestCreditLedger(MoneyTestCase):
	def setUp(self):
		super().setUp()
		self.one = self.account("10")
		usage.charge(self.one, {"amount": 4, "idempotency_key": "k"})
		frappe.db.commit()
		self.row = entries(self.one)[-1].name
		self.lot = frappe.get_all("Credit Lot", {"credit_account": self.one}, pluck="name")[0]
		self.before = self.state(self.one)

	def assert_refused(self, *attempts):
		"""Each attempt, also by Administrator, is refused and leaves no trace."""
		for attempt in attempts:
			with self.subTest(attempt=attempt.__doc__):
				with self.assertRaises(
					frappe.ValidationError if attempt.__doc__ == "cancel" else frappe.PermissionError
				):
					attempt()
				frappe.db.rollback()
				self.assertEqual(self.state(self.one), self.before)

	def test_no_way_changes_a_row(self):
		def get():
			return frappe.get_doc("Credit Ledger", self.row)

		def save():
			"save"
			doc = get()
			doc.note = "changed"
			doc.save(ignore_permissions=True)

		def save_unvalidated():
			"save past validation"
			doc = get()
			doc.amount = -1
			doc.flags.ignore_validate = doc.flags.ignore_permissions = True
			doc.save()

		def db_update():
			"db_update"
			get().db_update()

		def db_set():
			"db_set"
			get().db_set("amount", -1)

		def set_value():
			"frappe.client.set_value"
			client.set_value("Credit Ledger", self.row, "amount", -1)

		def client_save():
			"frappe.client.save"
			client.save(get().as_dict() | {"note": "changed"})

		def bulk_update():
			"frappe.client.bulk_update"
			found = client.bulk_update(
				json.dumps([{"doctype": "Credit Ledger", "docname": self.row, "note": "x"}])
			)
			raise frappe.PermissionError if found["failed_docs"] else AssertionError

		def submit():
			"submit"
			doc = get()
			doc.flags.ignore_permissions = True
			doc.docstatus = 1
			doc.save()

		def rename():
			"rename"
			rename_doc("Credit Ledger", self.row, "another name", force=True, show_alert=False)

		def cancel():
			"cancel"
			get().cancel()

		self.assert_refused(
			save,
			save_unvalidated,
			db_update,
			db_set,
			set_value,
			client_save,
			bulk_update,
			submit,
			rename,
			cancel,
		)

	def test_no_way_deletes_a_row(self):
		def delete():
			"delete_doc"
			frappe.delete_doc("Credit Ledger", self.row, ignore_permissions=True)

		def force():
			"delete_doc by force"
			frappe.delete_doc(
				"Credit Ledger", self.row, force=True, ignore_permissions=True, delete_permanently=True
			)

		def past_the_hook():
			"delete_doc past on_trash"
			frappe.delete_doc(
				"Credit Ledger", self.row, force=True, ignore_permissions=True, ignore_on_trash=True
			)

		def for_client():
			"frappe.client.delete"
			client.delete("Credit Ledger", self.row)

		def document():
			"doc.delete"
			frappe.get_doc("Credit Ledger", self.row).delete(ignore_permissions=True, force=True)

		self.assert_refused(delete, force, past_the_hook, for_client, document)

	def test_no_way_writes_a_row(self):
		def values():
			return {
				"doctype": "Credit Ledger",
				"credit_account": self.one,
				"entry_type": "Grant",
				"amount": 1000,
				"balance_after": 1006,
				"sequence": 3,
				"request_key": "forged",
			}

		def insert():
			"insert"
			frappe.get_doc(values()).insert(ignore_permissions=True)

		def insert_unvalidated():
			"insert past validation"
			doc = frappe.get_doc(values())
			doc.flags.ignore_validate = True
			doc.insert(ignore_permissions=True, ignore_links=True, ignore_mandatory=True)

		def db_insert():
			"db_insert"
			doc = frappe.get_doc(values())
			doc.set_new_name()
			doc.db_insert()

		def for_client():
			"frappe.client.insert"
			client.insert(values())

		def copy():
			"copy"
			frappe.copy_doc(frappe.get_doc("Credit Ledger", self.row)).insert(ignore_permissions=True)

		self.assert_refused(insert, insert_unvalidated, db_insert, for_client, copy)

	def test_lots_move_with_the_ledger_alone(self):
		def get():
			return frappe.get_doc("Credit Lot", self.lot)

		def save():
			"save"
			doc = get()
			doc.remaining = 1000
			doc.save(ignore_permissions=True)

		def save_unvalidated():
			"save past validation"
			doc = get()
			doc.remaining = 1000
			doc.flags.ignore_validate = doc.flags.ignore_permissions = True
			doc.save()

		def db_set():
			"db_set"
			get().db_set("remaining", 1000)

		def insert():
			"insert"
			frappe.copy_doc(get()).insert(ignore_permissions=True)

		def db_insert():
			"db_insert"
			doc = frappe.copy_doc(get())
			doc.set_new_name()
			doc.db_insert()

		def delete():
			"delete by force"
			frappe.delete_doc("Credit Lot", self.lot, force=True, ignore_permissions=True)

		def past_the_hook():
			"delete past on_trash"
			frappe.delete_doc(
				"Credit Lot", self.lot, force=True, ignore_permissions=True, ignore_on_trash=True
			)

		def rename():
			"rename"
			rename_doc("Credit Lot", self.lot, "another name", force=True, show_alert=False)

		self.assert_refused(save, save_unvalidated, db_set, insert, db_insert, delete, past_the_hook, rename)

	def test_importing_rows_is_not_offered(self):
		self.assertFalse(frappe.get_meta("Credit Ledger").allow_import)
		self.assertFalse(frappe.get_meta("Credit Lot").allow_import)

	def test_what_a_row_refers_to_cannot_be_deleted(self):
		with self.assertRaises(frappe.ValidationError):
			frappe.delete_doc("Credit Account", self.one, force=True, ignore_permissions=True)
		frappe.db.rollback()
		customer = frappe.db.get_value("Credit Account", self.one, "customer")
		with self.assertRaises(frappe.LinkExistsError):
			frappe.delete_doc("Customer", customer, ignore_permissions=True)
		frappe.db.rollback()
		self.assertEqual(self.state(self.one), self.before)
