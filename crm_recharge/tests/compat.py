"""The few differences between Frappe 15 and 16 that tests meet, and what all bench tests need."""

import os
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import frappe
from frappe.modules.import_file import import_file_by_path
from frappe.utils import background_jobs

import crm_recharge
from crm_recharge.frappe_versions import MAJOR

try:
	from frappe.tests import IntegrationTestCase  # Frappe 16
except ImportError:
	from frappe.tests.utils import FrappeTestCase as IntegrationTestCase

ROOT = Path(crm_recharge.__file__).parent


class BenchTestCase(IntegrationTestCase):
	"""The base of every test on a bench."""

	@classmethod
	def setUpClass(cls):
		# Tests make more users an hour than Frappe lets anybody sign up. Before, for Frappe 16 makes test records there;
		# and again, for it may read the configuration anew.
		frappe.local.conf.throttle_user_limit = 1_000_000
		super().setUpClass()
		frappe.local.conf.throttle_user_limit = 1_000_000


# Tests beside a DocType make records of all it links to, unless told not to: in Frappe 15 by the module's
# `test_ignore`, in 16 by `IGNORE_TEST_RECORD_DEPENDENCIES`. Ours make their own.
NO_RECORDS = [
	"Account",
	"CRM Recharge Company",
	"Company",
	"Cost Center",
	"Credit Account",
	"Credit Ledger",
	"Credit Lot",
	"Credit Team",
	"Currency",
	"Customer",
	"DocType",
	"Fiscal Year",
	"Item",
	"Item Group",
	"Mode of Payment",
	"Payment Entry",
	"Recharge",
	"Recharge Card",
	"Reorder Message",
	"Reorder Rule",
	"Sales Invoice",
	"Sales Taxes and Charges Template",
	"Usage Category",
	"User",
]


def of_nearly_json(code: str) -> str:
	"""The code of the answer to NaN or half a character in a JSON body, which Frappe 16 itself does not read."""
	return "unreadable_json" if MAJOR >= 16 else code


@contextmanager
def queue_at(address: str):
	"""This process' jobs go to the Redis at `address`, which Frappe 15 looks up in the configuration and 16 in the
	environment."""
	with (
		patch.dict(frappe.local.conf, redis_queue=address),
		patch.dict(os.environ, FRAPPE_REDIS_QUEUE=address),
		patch.object(background_jobs, "_redis_queue_conn", None),
		patch("frappe.enqueue", background_jobs.enqueue),
	):
		yield


class Unwritten(list):
	"""A list of much: when a test fails, Frappe 16 writes out its variables, which would fill the memory."""

	def __repr__(self) -> str:
		return f"<{len(self)} of them>"


def sell_by_pos_invoice() -> None:
	"""Have the till write POS Invoices, as it always does in ERPNext 15; in 16 a setting makes it Sales Invoices."""
	if frappe.get_meta("POS Settings").has_field("invoice_type"):
		frappe.db.set_single_value("POS Settings", "invoice_type", "POS Invoice")


def make_desktop() -> None:
	"""Write the app's tiles and sidebars as an installation on Frappe 16 does; Frappe 15 has none."""
	if MAJOR >= 16:
		for file in sorted(ROOT.glob("desktop_icon/*.json")) + sorted(ROOT.glob("workspace_sidebar/*.json")):
			import_file_by_path(str(file), force=True)


def is_valid_link(doctype: str, name: str) -> bool:
	"""Whether a form takes `name` in a link to `doctype`, as its field asks the server."""
	from frappe import client

	if MAJOR >= 16:
		frappe.local.request = frappe._dict(method="POST", headers={})
		return bool(client.validate_link_and_fetch(doctype, name))
	try:
		return bool(client.validate_link(doctype, name).get("name"))
	except frappe.PermissionError:
		return False


__all__ = [
	"MAJOR",
	"NO_RECORDS",
	"ROOT",
	"BenchTestCase",
	"Unwritten",
	"is_valid_link",
	"make_desktop",
	"of_nearly_json",
	"queue_at",
	"sell_by_pos_invoice",
]
