"""Every list of the app shows its rows, with amounts as they are written, in Chromium."""

import json
from pathlib import Path

import frappe
import pytest
from playwright.sync_api import expect

import crm_recharge

MODULES = ("credits", "gateway", "outbox", "recharge", "reorder")
OF_THE_APP = sorted(
	path.parent.name
	for module in MODULES
	for path in (Path(crm_recharge.__file__).parent / module / "doctype").glob("*/*_list.js")
)
# What is left out of a list that is opened without filters.
HIDDEN = {"reorder_reminder": {"remind_on": ["is", "set"], "status": ["in", ["Due", "Waiting", "Snoozed"]]}}
SHOWN = {"reorder_reminder": {"status": "Due"}}


@pytest.fixture(scope="module")
def desk(site, log_in):
	return log_in(site.user("Credit Manager", "Reorder Manager", "Sales Manager", "Accounts Manager"))


def fill(doctype: str) -> None:
	"""Have at least one record, straight in its table where a person could not make one."""
	meta = frappe.get_meta(doctype)
	if frappe.db.count(doctype, HIDDEN.get(frappe.scrub(doctype))):
		return
	doc = frappe.new_doc(doctype)
	doc.name = frappe.generate_hash(length=10)
	for field in meta.fields:
		if field.fieldtype == "Link" and field.options == "Currency":
			doc.set(field.fieldname, "USD")
		elif field.fieldtype == "Currency":
			doc.set(field.fieldname, 12.5)
		elif field.fieldtype == "Date":
			doc.set(field.fieldname, frappe.utils.nowdate())
		elif field.fieldtype == "Data" and field.reqd:
			doc.set(field.fieldname, frappe.generate_hash(length=10))
		elif field.fieldtype == "Select" and field.options:
			doc.set(field.fieldname, next(filter(None, field.options.split("\n"))))
	doc.update(SHOWN.get(frappe.scrub(doctype), {}))
	doc.db_insert()
	frappe.db.commit()


@pytest.mark.parametrize("folder", OF_THE_APP)
def test_a_list_shows_its_rows(site, stripe, desk, folder):
	site.account(stripe, "4242424242424242", balance="100")
	doctype = title_of(folder)
	fill(doctype)
	desk.problems.clear()
	page = desk.open(f"{folder.replace('_', '-')}/view/list")
	rows = page.locator(".frappe-list:visible .list-row")
	expect(rows.first).to_be_visible()
	expect(rows.first.locator(".level-left .list-row-col").first).to_be_visible()
	assert desk.problems == []


def title_of(folder: str) -> str:
	"""The DocType that a folder is of."""
	(file,) = Path(crm_recharge.__file__).parent.glob(f"*/doctype/{folder}/{folder}.json")
	return json.loads(file.read_text())["name"]
