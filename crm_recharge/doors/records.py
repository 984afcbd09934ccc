"""What hangs on what, and which fields only the app sets: one declaration for every DocType of the app.

Lists, single records and the guard of writes follow from it (`visibility`, `guard`); hooks.py ties them. A DocType
that is named nowhere here fails the tests.
"""

import json
from functools import cache
from pathlib import Path

ACCOUNT, CUSTOMER = "Credit Account", "Customer"

OF_AN_ACCOUNT = {
	"Auto-Recharge Setting": "credit_account",
	"Credit Event": "credit_account",
	"Credit Ledger": "credit_account",
	"Credit Lot": "credit_account",
	"Credit Team": "credit_account",
	"Credit Webhook": "credit_account",
	"Credit Webhook Delivery": "credit_account",
	"Gateway Difference": "credit_account",
	"Ledger Checkpoint": "credit_account",
	"Outbox Change": "credit_account",
	"Outbox Delivery": "credit_account",
	"Recharge": "credit_account",
	"Recharge Attempt": "credit_account",
	"Recharge Card": "credit_account",
	"Recharge Decision": "credit_account",
	"Recharge Dispute": "credit_account",
	"Recharge Refund": "credit_account",
}
"""DocType → the field with the Credit Account it belongs to. Seen by whoever may see that account."""

OF_A_CUSTOMER = {
	"Reorder Customer": "customer",
	"Reorder Forecast": "customer",
	"Reorder Message": "customer",
	"Reorder Preference": "customer",
	"Reorder Purchase Day": "customer",
	"Reorder Reminder": "customer",
}
"""DocType → the field with the Customer it belongs to. Seen by whoever may deal with that customer."""

OF_ALL = {
	"Reorder Model": CUSTOMER,
	"Reorder Run": CUSTOMER,
}
"""DocType → whose it tells of, all at once: seen by those alone from whom none of these is kept."""

BY_GATEWAY_CUSTOMER = ("Gateway Event",)
"""What tells of an account by the gateway's own name for its customer (see `visibility`)."""

BY_ROLE = ("CRM Recharge Settings", ACCOUNT, "Reorder Rule", "Reorder Settings", "Usage Category")
"""What belongs to nobody, and the account itself: roles and Frappe's User Permissions decide."""

ROWS = {
	"Auto-Recharge Card": "Auto-Recharge Setting",
	"CRM Recharge Company": "CRM Recharge Settings",
	"Reorder Consent Change": "Reorder Preference",
	"Reorder Message Item": "Reorder Message",
}
"""Child DocType → the one its rows stand in: seen as that is, and written with it alone."""

MADE_BY_THE_APP = {
	"Credit Event",
	"Credit Webhook Delivery",
	"Outbox Change",
	"Outbox Delivery",
	"Credit Ledger",
	"Credit Lot",
	"Gateway Difference",
	"Ledger Checkpoint",
	"Recharge Attempt",
	"Recharge Card",
	"Recharge Decision",
	"Recharge Dispute",
	"Recharge Refund",
	"Reorder Customer",
	"Reorder Forecast",
	"Reorder Message",
	"Reorder Model",
	"Reorder Purchase Day",
	"Reorder Reminder",
	"Reorder Run",
	"Gateway Event",
}
"""What no form, request or import makes."""

FIXED = {"Reorder Preference": ("contact",)}
"""Besides the link to its account or customer: links that a record keeps for good."""

FROM_OUTSIDE = {"Recharge": ("amended_from",)}
"""Read-only fields that do not come from the app: Frappe fills this one where a document is amended."""

REFUSED_BY_ITS_OWN = {
	"Reorder Preference": (
		"opted_in",
		"opted_in_at",
		"opted_in_by",
		"source",
		"source_document",
		"opted_out_at",
		"wording",
		"history",
	)
}
"""Fields that only the app sets, whose controller refuses a change aloud instead of passing over it."""

LISTED_BESIDE = {
	"Comment": ("reference_doctype", "reference_name"),
	"Communication": ("reference_doctype", "reference_name"),
	"Document Follow": ("ref_doctype", "ref_docname"),
	"File": ("attached_to_doctype", "attached_to_name"),
	"Tag Link": ("document_type", "document_name"),
}
"""DocType of Frappe that is listed to others than those it is written for → the fields that name the record it is about."""

LAYOUT = ("Section Break", "Column Break", "Tab Break", "HTML", "Button", "Heading", "Fold")
NUMBERS = {"Check": int, "Int": int, "Float": float, "Currency": float, "Percent": float}
APP = Path(__file__).parents[1]


def declared() -> set[str]:
	"""Every DocType named above."""
	return {*OF_AN_ACCOUNT, *OF_A_CUSTOMER, *OF_ALL, *BY_GATEWAY_CUSTOMER, *BY_ROLE, *ROWS}


def confined() -> list[str]:
	"""The DocTypes whose lists and records more than roles and User Permissions confine."""
	return sorted({*OF_AN_ACCOUNT, *OF_A_CUSTOMER, *OF_ALL, *BY_GATEWAY_CUSTOMER, *ROWS, ACCOUNT})


def searched() -> list[str]:
	"""The DocTypes that a link field may search for: all but rows and Singles."""
	return sorted(name for name in declared() - set(ROWS) if not _shipped(name).get("issingle"))


def anchor(doctype: str) -> tuple[str, str] | None:
	"""(Credit Account or Customer, the field that names it) of a record; None where it hangs on neither."""
	if field := OF_AN_ACCOUNT.get(doctype):
		return ACCOUNT, field
	if field := OF_A_CUSTOMER.get(doctype):
		return CUSTOMER, field
	return None


@cache
def _shipped(doctype: str) -> dict:
	"""A DocType as the app ships it."""
	folder = doctype.lower().replace(" ", "_").replace("-", "_")
	return json.loads(next(APP.glob(f"*/doctype/{folder}/{folder}.json")).read_text())


@cache
def fields_of(doctype: str) -> dict[str, dict]:
	"""Field → its properties as the app ships them, whatever Customize Form says; without layout."""
	rows = _shipped(doctype)["fields"]
	return {row["fieldname"]: row for row in rows if row["fieldtype"] not in LAYOUT}


@cache
def defaults(doctype: str) -> dict:
	"""Field → what it holds in a new record as the app ships it: its default, a Select's first option, a number's 0."""
	return {
		name: value for name, row in fields_of(doctype).items() if (value := _default_of(row)) is not None
	}


def _default_of(row: dict):
	if row.get("default") is not None:
		return _as_number(row["fieldtype"], row["default"])
	if row["fieldtype"] in NUMBERS:
		return 0
	return row.get("options", "").split("\n", 1)[0] or None if row["fieldtype"] == "Select" else None


def _as_number(fieldtype: str, text: str):
	return NUMBERS[fieldtype](text) if fieldtype in NUMBERS else text


@cache
def app_fields(doctype: str) -> frozenset[str]:
	"""The fields of `doctype` that only the app sets: those that are read-only, with the exceptions above."""
	read_only = {name for name, row in fields_of(doctype).items() if row.get("read_only")}
	return frozenset(read_only - set(FROM_OUTSIDE.get(doctype, ())))


@cache
def fixed_fields(doctype: str) -> tuple[str, ...]:
	"""Fields that stay as they were at the insert: the anchor, what is set only once, what is declared above."""
	once = (name for name, row in fields_of(doctype).items() if row.get("set_only_once"))
	found = anchor(doctype)
	return tuple(dict.fromkeys((*((found[1],) if found else ()), *once, *FIXED.get(doctype, ()))))


@cache
def derived_fields(doctype: str) -> dict[str, str]:
	"""App field → the field of its account or customer that it is a copy of."""
	found = anchor(doctype)
	if not found:
		return {}
	source = f"{found[1]}."
	return {
		name: row["fetch_from"].removeprefix(source)
		for name, row in fields_of(doctype).items()
		if name in app_fields(doctype) and (row.get("fetch_from") or "").startswith(source)
	}


@cache
def table_fields(doctype: str) -> tuple[str, ...]:
	"""The tables of `doctype`."""
	return tuple(name for name, row in fields_of(doctype).items() if row["fieldtype"] == "Table")


@cache
def links_within(doctype: str) -> dict[str, str]:
	"""Writable field → DocType of an account that it links to: it must be one of the same account."""
	return {
		name: row["options"]
		for name, row in fields_of(doctype).items()
		if row["fieldtype"] == "Link" and row["options"] in OF_AN_ACCOUNT and name not in app_fields(doctype)
	}
