import frappe

from crm_recharge.credits import usage
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.tests import factories
from crm_recharge.tests.compat import NO_RECORDS
from crm_recharge.tests.support.money_case import MoneyTestCase

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS


class TestUsageCategory(MoneyTestCase):
	def test_a_price_is_kept_to_the_ninth_place_and_refused_beyond(self):
		name = factories.make_category("0.000000001")
		self.assertEqual(usage.read_price(name)[1].unit_price * 10**9, 1)
		for price in ("0.00000000051", "0", 0, None, -1, "NaN", "free", True):
			with self.assertRaises(InvalidRequestError, msg=repr(price)):
				factories.make_category(price)

	def test_the_name_in_the_ledger_stays(self):
		account, name = self.account("10"), factories.make_category("1")
		usage.charge(account, {"category": name, "quantity": 1, "idempotency_key": "k"})
		frappe.db.commit()
		for more in ({}, {"force": True}):
			with self.assertRaises(frappe.ValidationError):
				frappe.rename_doc("Usage Category", name, f"{name} new", show_alert=False, **more)
		other = factories.make_category("1")
		with self.assertRaises(frappe.ValidationError):
			frappe.rename_doc("Usage Category", name, other, merge=True, force=True, show_alert=False)
