"""What a company needs before recharges can be booked: accounts, item, mode of payment, a row in the settings.

Everything here may run again at any time: it fills what is empty and leaves what a person has chosen.
Parents in the chart of accounts are found by what they are (root type, account type, the company's default
accounts), never by name, so that localised and numbered charts work.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import frappe
from frappe import _

from crm_recharge.accounting.errors import AccountingError
from crm_recharge.doors.guard import by_machine
from crm_recharge.doors.sight import check_company
from crm_recharge.gateway.registry import DEFAULT as GATEWAY
from crm_recharge.intake import intake

SETTINGS = "CRM Recharge Settings"
ROW = "CRM Recharge Company"
ITEM = "Prepaid Credits"
MODE_OF_PAYMENT = GATEWAY

ROLES = ("System Manager", "Accounts Manager", "Credit Manager")


@dataclass(frozen=True)
class AccountPlan:
	"""One account of the settings row: where it hangs and what it is.

	`beside`: fields of Company whose account shows the right parent. `group_type`: account type of a group
	that may be the parent.
	"""

	fieldname: str
	account_name: str
	root_type: str
	account_type: str
	beside: tuple[str, ...]
	group_type: str
	near_root: bool = False


ACCOUNTS = (
	# No account type: "Income Account" would make a liability the company's default income account where that
	# is empty (Company.set_default_accounts), and ERPNext asks of an invoice's income account only that it is
	# a ledger of the company (validate_account_head).
	AccountPlan(
		"unearned_revenue_account",
		"Unearned Credits",
		"Liability",
		"",
		("default_payable_account",),
		"Current Liability",
		near_root=True,
	),
	# Bank: Mode of Payment and Payment Entry take it, and it can be reconciled like a bank statement.
	AccountPlan(
		"clearing_account",
		f"{GATEWAY} Clearing",
		"Asset",
		"Bank",
		("default_bank_account", "default_cash_account"),
		"Bank",
	),
	AccountPlan(
		"fee_account",
		"Payment Gateway Fees",
		"Expense",
		"",
		("exchange_gain_loss_account", "write_off_account", "round_off_account"),
		"Indirect Expense",
	),
	AccountPlan(
		"loss_account",
		"Chargeback Losses",
		"Expense",
		"",
		("write_off_account", "exchange_gain_loss_account", "round_off_account"),
		"Indirect Expense",
	),
)

REQUIRED = ("unearned_revenue_account", "clearing_account", "item", "mode_of_payment")


# -- what a company has ------------------------------------------------------------------------------------


def company_settings(company: str):
	"""The row of CRM Recharge Settings for `company`. Raises AccountingError when it or part of it is missing."""
	row = _row(company)
	if not row:
		raise AccountingError(
			_("Company {0} is not set up for recharges. Open {1} → Accounting and set it up.").format(
				company, _(SETTINGS)
			)
		)
	missing = [_(row.meta.get_label(field)) for field in REQUIRED if not row.get(field)]
	if missing:
		raise AccountingError(
			_("Company {0} in {1} → Accounting lacks: {2}.").format(company, _(SETTINGS), ", ".join(missing))
		)
	return row


def _row(company: str):
	rows = frappe.get_cached_doc(SETTINGS, SETTINGS).get("companies") or []
	return next((row for row in rows if row.company == company), None)


# -- set-up ------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@intake
def set_up_company(company: str) -> dict:
	"""Set up `company` on a person's request. Returns the settings row. For the roles in ROLES."""
	frappe.only_for(ROLES)
	if frappe.db.exists("Company", company):
		check_company(company)
	setup_company(company)
	return _row(company).as_dict()


def setup_company(company: str) -> str:
	"""Make what is missing for `company` and return the name of its settings row.

	Raises AccountingError when the company, its chart of accounts or ERPNext's own set-up is not there yet.
	"""
	if not frappe.db.exists("Company", company):
		raise AccountingError(_("Company {0} does not exist.").format(company))
	values = dict(_existing_values(company))
	for plan in ACCOUNTS:
		if not values.get(plan.fieldname):
			values[plan.fieldname] = _account(company, plan)
	values["item"] = values.get("item") or _item()
	_item_default(values["item"], company, values["unearned_revenue_account"])
	values["mode_of_payment"] = values.get("mode_of_payment") or _mode_of_payment()
	_mode_of_payment_account(values["mode_of_payment"], company, values["clearing_account"])
	values["cost_center"] = values.get("cost_center") or _cost_center(company)
	return _write_row(company, values)


def setup_all_companies(args=None) -> list[str]:
	"""Set up every company that has a chart of accounts; returns their names.

	One that cannot be set up is logged and left for a person. `args` is what the set-up wizard's hook passes.
	"""
	done = []
	for company in frappe.get_all("Company", filters={"is_group": 0}, pluck="name"):
		if _try_setup(company):
			done.append(company)
	return done


def on_company_update(doc, method=None) -> None:
	"""Company, on_update: set up a new company once its chart exists. Never stands in the way of saving it."""
	if doc.is_group or _row(doc.name) or frappe.flags.in_import:
		return
	if frappe.db.exists("Account", {"company": doc.name, "is_group": 0, "root_type": "Liability"}):
		_try_setup(doc.name)


def on_company_trash(doc, method=None) -> None:
	"""Company, on_trash: its settings row goes first, or the link would forbid the deletion."""
	frappe.db.delete(ROW, {"company": doc.name, "parenttype": SETTINGS})
	frappe.clear_document_cache(SETTINGS, SETTINGS)


def on_company_rename(doc, method=None, old=None, new=None, merge=False) -> None:
	"""Company, after_rename: the cached settings still carry the old name."""
	frappe.clear_document_cache(SETTINGS, SETTINGS)


def after_install() -> None:
	"""Index and companies; what is not there yet is made when it appears."""
	after_migrate()
	setup_all_companies()


def after_migrate() -> None:
	"""Companies stay as people left them."""
	# What the sweeper reads by; it belongs to this room, so it is not in the DocType's own on_doctype_update.
	frappe.db.add_index("Recharge", ["accounting_status", "accounting_next_try_at"])


def _try_setup(company: str) -> bool:
	if not frappe.db.exists("Account", {"company": company, "is_group": 1, "root_type": "Liability"}):
		return False
	frappe.db.savepoint("crm_recharge_setup")
	try:
		setup_company(company)
	except Exception:
		frappe.db.rollback(save_point="crm_recharge_setup")
		frappe.clear_document_cache(SETTINGS, SETTINGS)
		frappe.log_error(title=f"CRM Recharge: set-up of company {company}")
		return False
	return True


# -- parts -------------------------------------------------------------------------------------------------


def _existing_values(company: str) -> Iterator[tuple[str, str]]:
	row = _row(company)
	if row:
		yield "name", row.name
		for field in row.meta.get_link_fields():
			if row.get(field.fieldname):
				yield field.fieldname, row.get(field.fieldname)


def _account(company: str, plan: AccountPlan) -> str:
	existing = frappe.get_all(
		"Account",
		filters={
			"company": company,
			"account_name": plan.account_name,
			"root_type": plan.root_type,
			"is_group": 0,
			"disabled": 0,
		},
		fields=["name", "account_type"],
		order_by="creation",
	)
	for account in existing:
		if not plan.account_type or account.account_type == plan.account_type:
			return account.name

	account = frappe.new_doc("Account")
	account.update(
		{
			"account_name": _free_name(company, plan.account_name),
			"company": company,
			"parent_account": _parent(company, plan),
			"root_type": plan.root_type,
			"account_type": plan.account_type,
			"account_currency": frappe.get_cached_value("Company", company, "default_currency"),
			"is_group": 0,
		}
	)
	# A subsidiary's chart normally follows its parent's; these accounts belong to the company that recharges.
	account.flags.ignore_root_company_validation = True
	account.insert(ignore_permissions=True)
	return account.name


def _free_name(company: str, wanted: str) -> str:
	"""`wanted`, or with a number where an account of another kind holds the name."""
	name, number = wanted, 1
	while frappe.db.exists("Account", {"company": company, "account_name": name}):
		number += 1
		name = f"{wanted} {number}"
	return name


def _parent(company: str, plan: AccountPlan) -> str:
	groups = {
		row.name: row
		for row in frappe.get_all(
			"Account",
			filters={"company": company, "is_group": 1, "root_type": plan.root_type, "disabled": 0},
			fields=["name", "parent_account", "account_type", "lft"],
			order_by="lft",
		)
	}
	if not groups:
		raise AccountingError(
			_(
				"Company {0} has no group account of root type {1}. Complete its chart of accounts first."
			).format(company, _(plan.root_type))
		)

	def beside() -> Iterator[str]:
		for field in plan.beside:
			account = frappe.db.get_value("Company", company, field)
			if account:
				yield frappe.db.get_value("Account", account, "parent_account")
		if plan.account_type:
			yield from frappe.get_all(
				"Account",
				filters={"company": company, "is_group": 0, "account_type": plan.account_type, "disabled": 0},
				pluck="parent_account",
				order_by="lft",
			)

	def typed() -> Iterator[str]:
		return (name for name, row in groups.items() if row.account_type == plan.group_type)

	for candidates in (typed(), beside()):
		for parent in candidates:
			if parent not in groups:
				continue
			if not plan.near_root:
				return parent
			# "Accounts Payable" shows the way, but the group under the root ("Current Liabilities") is meant.
			while (above := groups[parent].parent_account) in groups and groups[
				above
			].parent_account in groups:
				parent = above
			return parent
	return next(iter(groups))


def _item() -> str:
	chosen = frappe.get_all(
		ROW, filters={"parenttype": SETTINGS, "item": ("is", "set")}, pluck="item", limit=1
	)
	if chosen:
		return chosen[0]
	existing = frappe.get_all(
		"Item", filters={"item_name": ITEM, "is_stock_item": 0, "disabled": 0}, pluck="name", limit=1
	)
	if existing:
		return existing[0]
	item = frappe.new_doc("Item")
	item.update(
		{
			"item_code": ITEM,
			"item_name": ITEM,
			"description": ITEM,
			"item_group": _item_group(),
			"stock_uom": _uom(),
			"is_stock_item": 0,
			"is_sales_item": 1,
			"is_purchase_item": 0,
			"include_item_in_manufacturing": 0,
		}
	)
	item.insert(ignore_permissions=True)
	return item.name


def _item_group() -> str:
	leaves = frappe.get_all("Item Group", filters={"is_group": 0}, pluck="name", order_by="lft")
	for name in (
		"Services",
		_("Services"),
		frappe.db.get_single_value("Stock Settings", "item_group"),
		*leaves,
	):
		if name in leaves:
			return name
	raise AccountingError(_("There is no Item Group yet. Complete ERPNext's set-up first."))


def _uom() -> str:
	for name in (frappe.db.get_single_value("Stock Settings", "stock_uom"), "Nos", _("Nos")):
		if name and frappe.db.exists("UOM", {"name": name, "enabled": 1}):
			return name
	units = frappe.get_all("UOM", filters={"enabled": 1}, pluck="name", limit=1)
	if not units:
		raise AccountingError(_("There is no UOM yet. Complete ERPNext's set-up first."))
	return units[0]


def _item_default(item: str, company: str, account: str) -> None:
	# ERPNext writes this row at the first invoice, by the same function (saving the Item would fill in the
	# user's default warehouse, which may be another company's). Made here, an invoice only reads the item.
	from erpnext.stock.doctype.item.item import set_item_default

	set_item_default(item, company, "income_account", account)


def _mode_of_payment() -> str:
	if not frappe.db.exists("Mode of Payment", MODE_OF_PAYMENT):
		mode = frappe.new_doc("Mode of Payment")
		mode.update({"mode_of_payment": MODE_OF_PAYMENT, "type": "Bank", "enabled": 1})
		mode.insert(ignore_permissions=True)
	return MODE_OF_PAYMENT


def _mode_of_payment_account(mode: str, company: str, account: str) -> None:
	doc = frappe.get_doc("Mode of Payment", mode)
	if any(row.company == company for row in doc.accounts):
		return
	doc.append("accounts", {"company": company, "default_account": account})
	doc.save(ignore_permissions=True)


def _cost_center(company: str) -> str | None:
	default = frappe.db.get_value("Company", company, "cost_center")
	if default:
		return default
	centres = frappe.get_all(
		"Cost Center", filters={"company": company, "is_group": 0, "disabled": 0}, pluck="name", limit=1
	)
	return centres[0] if centres else None


def _write_row(company: str, values: dict) -> str:
	# Written as a row of its own: saving the whole settings would ask for keys that may not be there yet.
	name = values.pop("name", None)
	if name:
		frappe.db.set_value(ROW, name, values)
	else:
		row = frappe.new_doc(ROW)
		row.update({**values, "company": company, "parent": SETTINGS, "parenttype": SETTINGS})
		row.parentfield = "companies"
		row.idx = frappe.db.count(ROW, {"parenttype": SETTINGS}) + 1
		by_machine(row).insert(ignore_permissions=True)
		name = row.name
	frappe.clear_document_cache(SETTINGS, SETTINGS)
	return name
