"""Who may do what: the one place that says so. What is not named here is refused.

The test reads it in both directions: each role has on the site what stands here and no more, and each request of
the matrix is expected to be let in or refused by it. Whoever is confined by a User Permission has these rights on
the records of `HANGS_ON` that belong to what the permission allows, and on no other.
"""

from dataclasses import dataclass

# -- DocTypes ----------------------------------------------------------------------------------------------

RIGHTS = "read write create delete submit cancel amend report import export print email share".split()

SEE = "read report"
TAKE_OUT = f"{SEE} export"
FILE = f"{TAKE_OUT} print"
HAND_OUT = f"{FILE} email"
READ_IN_PRINT = f"{SEE} print email"
KEEP = "read write create delete report export print email share"
RECHARGE = "read write create delete submit cancel report export print email"

CREDIT_ROLES = (
	"System Manager", "Credit Manager", "Credit User", "Credit API", "Accounts User", "Accounts Manager",
)  # fmt: skip
CREDITS = {
	# "create" on the ledger and on cards is the right to post movements, and to save cards, through the methods.
	"Credit Account": (KEEP, KEEP, READ_IN_PRINT, "read", FILE, FILE),
	"Credit Ledger": (f"{FILE} create", f"{FILE} create", f"{SEE} print", "read create", FILE, FILE),
	"Credit Lot": (FILE, FILE, f"{SEE} print", "read", FILE, FILE),
	"Credit Team": (KEEP, KEEP, READ_IN_PRINT, "read", TAKE_OUT, TAKE_OUT),
	"Usage Category": (KEEP, KEEP, READ_IN_PRINT, "read", TAKE_OUT, TAKE_OUT),
	"Ledger Checkpoint": (TAKE_OUT, TAKE_OUT, "read", "", FILE, FILE),
	"Auto-Recharge Setting": (KEEP, KEEP, SEE, "read", "", ""),
	"Recharge Card": (f"{TAKE_OUT} write create delete", f"{TAKE_OUT} write create delete", SEE, "read create", "", ""),
	"Recharge": (RECHARGE, RECHARGE, f"{SEE} print", "read create", FILE, FILE),
	"Recharge Attempt": (TAKE_OUT, TAKE_OUT, SEE, "read", SEE, SEE),
	"Recharge Decision": (TAKE_OUT, TAKE_OUT, SEE, "", "", ""),
	"Recharge Refund": (FILE, FILE, SEE, "", FILE, FILE),
	"Recharge Dispute": (FILE, FILE, SEE, "", FILE, FILE),
	"Gateway Difference": (f"{TAKE_OUT} write", f"{TAKE_OUT} write", "", "", FILE, FILE),
	"CRM Recharge Settings": ("read write create delete", "read write", "", "", "", ""),
	"Gateway Event": (TAKE_OUT, SEE, "", "", "", ""),
	"Credit Event": (TAKE_OUT, TAKE_OUT, "", "read", "", ""),
	"Credit Webhook": (KEEP, KEEP, "", "", "", ""),
	"Credit Webhook Delivery": (TAKE_OUT, TAKE_OUT, "", "", "", ""),
	"Outbox Change": (TAKE_OUT, TAKE_OUT, "", "", "", ""),
	"Outbox Delivery": (TAKE_OUT, TAKE_OUT, "", "", "", ""),
}  # fmt: skip

REORDER_ROLES = (
	"System Manager", "Reorder Manager", "Reorder User", "Reorder API", "Sales Manager", "Sales User",
)  # fmt: skip
REORDERS = {
	"Reorder Customer": (HAND_OUT, HAND_OUT, READ_IN_PRINT, "", READ_IN_PRINT, ""),
	"Reorder Forecast": (TAKE_OUT, TAKE_OUT, "", "", "", ""),
	"Reorder Message": (f"{TAKE_OUT} print email", f"{TAKE_OUT} print email", READ_IN_PRINT, "", READ_IN_PRINT, ""),
	"Reorder Model": (f"{SEE} delete", SEE, "", "", "", ""),
	"Reorder Preference": (KEEP, KEEP, f"{READ_IN_PRINT} write create", "read write create", READ_IN_PRINT, "read"),
	"Reorder Purchase Day": (TAKE_OUT, TAKE_OUT, "", "", "", ""),
	"Reorder Reminder": (f"{HAND_OUT} write", f"{HAND_OUT} write", f"{READ_IN_PRINT} write", "", READ_IN_PRINT, ""),
	"Reorder Rule": (KEEP, KEEP, SEE, "", SEE, ""),
	"Reorder Run": (f"{SEE} delete", f"{SEE} delete", "read", "", "", ""),
	"Reorder Settings": ("read write print", "read write print", "read", "", "", ""),
}  # fmt: skip

# Rows of other documents: seen by who may see the document they stand in, and written with it alone.
CHILDREN = {
	"Auto-Recharge Card": "Auto-Recharge Setting",
	"CRM Recharge Company": "CRM Recharge Settings",
	"Reorder Consent Change": "Reorder Preference",
	"Reorder Message Item": "Reorder Message",
}

# What these rights are for is done by methods alone: no request writes such a record as a document.
NOT_BY_HAND = {
	"Credit Ledger": "create",
	"Recharge Card": "create",
	# One that holds the evidence of a consent is kept.
	"Reorder Preference": "delete",
	# A history is added to by the methods of its preference.
	"Reorder Consent Change": "write",
}

ACCOUNT, CUSTOMER, COMPANY, NOBODY = "an account", "a customer", "a company", "nobody"
ALL, ALL_ACCOUNTS = OF_EVERYBODY = "all customers", "all accounts"
HANGS_ON = {
	**dict.fromkeys(CREDITS, ACCOUNT),
	**dict.fromkeys(("Usage Category", "CRM Recharge Settings"), NOBODY),
	**dict.fromkeys(REORDERS, CUSTOMER),
	**dict.fromkeys(("Reorder Rule", "Reorder Settings"), NOBODY),
	# They tell of all customers at once: for those from whom none is kept.
	**dict.fromkeys(("Reorder Model", "Reorder Run"), ALL),
}

# User Permissions on these confine what hangs on it.
CONFINED_BY = {
	ACCOUNT: ("Customer", "Company", "Credit Account"),
	CUSTOMER: ("Customer",),
	COMPANY: ("Company",),
	ALL: ("Customer",),
	ALL_ACCOUNTS: ("Customer", "Company", "Credit Account"),
	NOBODY: (),
}
# A message is sent in the name of a company.
ALSO_CONFINED_BY = {"Reorder Message": ("Company",)}


def rights_of(doctype: str, role: str) -> frozenset[str]:
	"""The rights that `role` has on `doctype`; for a row, those on the document it stands in."""
	doctype = CHILDREN.get(doctype, doctype)
	for roles, table in ((CREDIT_ROLES, CREDITS), (REORDER_ROLES, REORDERS)):
		if doctype in table and role in roles:
			return frozenset(table[doctype][roles.index(role)].split())
	return frozenset()


def hangs_on(doctype: str) -> str:
	"""ACCOUNT, CUSTOMER, ALL or NOBODY."""
	return HANGS_ON[CHILDREN.get(doctype, doctype)]


def confined_by(doctype: str) -> tuple[str, ...]:
	"""The DocTypes whose User Permissions narrow what a person sees of `doctype`."""
	doctype = CHILDREN.get(doctype, doctype)
	return CONFINED_BY[HANGS_ON[doctype]] + ALSO_CONFINED_BY.get(doctype, ())


DOCTYPES = (*CREDITS, *REORDERS, *CHILDREN)

# -- methods -----------------------------------------------------------------------------------------------

MANAGERS = ("System Manager", "Credit Manager")
CHARGERS = (*MANAGERS, "Credit API")
SETTING_READERS = (*MANAGERS, "Credit User", "Credit API")
READERS = (*SETTING_READERS, "Accounts User", "Accounts Manager")
BOOKERS = (*MANAGERS, "Accounts Manager")
REORDER_MANAGERS = ("System Manager", "Reorder Manager")
REMINDERS = (*REORDER_MANAGERS, "Reorder User")
REORDER_READERS = (*REMINDERS, "Sales Manager")
OWNER, PORTAL, EVERYBODY = "the account's owner", "the customer's portal user", "everybody"

# Who speaks for a customer.
PERSONS = (PORTAL, OWNER)


@dataclass(frozen=True)
class Method:
	"""Who may call a method: roles (all of them joined by " & "), OWNER, PORTAL or EVERYBODY.

	`on`: what its arguments name. `reads`: it changes nothing. `args`: what to send beside or instead of what the
	names of its parameters suggest (see probes.argument). `quiet`: who may not gets an answer with nothing in it.
	"""

	who: tuple[str, ...]
	on: str = ACCOUNT
	reads: bool = False
	args: dict | None = None
	quiet: bool = False


def _reads(who, on=ACCOUNT, **args) -> Method:
	return Method(tuple(who), on, True, args or None)


def _searches(who, **args) -> Method:
	return Method(tuple(who), ACCOUNT, True, args, quiet=True)


def _writes(who, on=ACCOUNT, **args) -> Method:
	return Method(tuple(who), on, False, args or None)


CHART = {
	"name": "x", "doctype": "Dashboard Chart", "document_type": "Credit Account", "chart_type": "Group By",
	"group_by_type": "Count", "group_by_based_on": "currency", "filters_json": "[]",
}  # fmt: skip

METHODS = {
	"accounting.disputes.retry": _writes(BOOKERS, name="Recharge Dispute"),
	"accounting.posting.retry": _writes(BOOKERS),
	"accounting.refunds.retry": _writes(BOOKERS, name="Recharge Refund"),
	"accounting.setup.set_up_company": _writes(BOOKERS, COMPANY),
	"api.credits.adjust": _writes(MANAGERS),
	"api.credits.balance": _reads(READERS),
	"api.credits.charge": _writes(CHARGERS),
	"api.credits.charge_many": _writes(CHARGERS),
	"api.credits.export": _reads(READERS),
	"api.credits.grant": _writes(MANAGERS),
	"api.credits.reverse": _writes(MANAGERS),
	"api.credits.statement": _reads(READERS),
	"api.credits.verify": _reads(READERS),
	"api.desk.account_overview": _reads(READERS),
	"api.desk.add_credits_form": _reads(CHARGERS),
	"api.desk.ask_before_saving": _reads(MANAGERS),
	"api.desk.charge_on_resume": _reads(MANAGERS),
	"api.desk.recharge_story": _reads(READERS),
	"api.events.deliver_again": _writes(MANAGERS),
	"api.events.events": _reads((*MANAGERS, "Credit API"), account=True),
	"api.events.new_secret": _writes(MANAGERS),
	"api.events.send_again": _writes(MANAGERS),
	"api.insight.credits_by_day": _reads(READERS, NOBODY),
	"api.insight.prepaid_balance": _reads(READERS, NOBODY),
	"api.portal.begin_card": _writes((*CHARGERS, OWNER)),
	"api.portal.cancel": _writes((*CHARGERS, OWNER)),
	"api.portal.finish_card": _writes((*CHARGERS, OWNER)),
	"api.portal.overview": _reads((*SETTING_READERS, OWNER)),
	"api.portal.remove_card": _writes((*MANAGERS, OWNER)),
	"api.portal.resume_auto_recharge": _writes((*MANAGERS, OWNER)),
	"api.portal.save_auto_recharge": _writes((*MANAGERS, OWNER)),
	"api.portal.save_card": _writes((*CHARGERS, OWNER)),
	"api.portal.start": _writes((*CHARGERS, OWNER)),
	"api.portal.status": _reads((*READERS, OWNER)),
	"api.recharge.auto_recharge": _reads(SETTING_READERS),
	"api.recharge.cancel": _writes(CHARGERS),
	"api.recharge.card_form": _reads(CHARGERS),
	"api.recharge.confirm_finish": _writes((EVERYBODY,), NOBODY),
	"api.recharge.confirm_start": _writes((EVERYBODY,), NOBODY),
	"api.recharge.decide_difference": _writes(MANAGERS),
	"api.recharge.finish_card_setup": _writes(CHARGERS),
	"api.recharge.refund": _writes(MANAGERS),
	"api.recharge.remove_card": _writes(MANAGERS),
	"api.recharge.resume": _writes(MANAGERS),
	"api.recharge.save_card": _writes(CHARGERS),
	"api.recharge.saved_cards": _reads(SETTING_READERS),
	"api.recharge.set_auto_recharge": _writes(MANAGERS, falls_below="20"),
	"api.recharge.start": _writes(CHARGERS),
	"api.recharge.start_card_setup": _writes(CHARGERS),
	"api.recharge.status": _reads(READERS),
	"api.reorder.due": _reads(PERSONS, CUSTOMER, customer=True),
	"api.reorder.looked_at": _writes((EVERYBODY,), NOBODY),
	"api.reorder.opt_in": _writes((*REORDER_MANAGERS, "Reorder API"), CUSTOMER, contact=True),
	"api.reorder.order_again": _writes(PERSONS, CUSTOMER, reminder=True),
	"api.reorder.preference": _writes(PERSONS, CUSTOMER, customer=True, opted_in="0"),
	"api.reorder.set_date": _writes(PERSONS, CUSTOMER),
	"api.reorder.snooze": _writes(PERSONS, CUSTOMER),
	"api.reorder.unsubscribe": _writes((EVERYBODY,), NOBODY),
	"api.settings.confirm_site": _writes(MANAGERS, ALL_ACCOUNTS),
	"api.settings.site": _reads(MANAGERS, NOBODY),
	"api.settings.test_connection": _writes(MANAGERS, NOBODY),
	"api.settings.webhook": _reads(MANAGERS, NOBODY),
	"api.gateway.replay": _writes(MANAGERS),
	"api.gateway.webhook": _writes((EVERYBODY,), NOBODY),
	"doors.beside.tagged": _searches(READERS, doctype="Credit Account", tag="%"),
	"doors.charts.get": _reads(READERS, NOBODY, chart=CHART),
	"doors.search.link_title": _searches(SETTING_READERS, doctype="Recharge Card", docname="Recharge Card"),
	"doors.search.records_of": _searches(READERS, doctype="Credit Account", page_len=500),
	"reorder.desk.expect": _writes(REMINDERS, CUSTOMER),
	"reorder.desk.learn_anew": _writes(REORDER_MANAGERS, CUSTOMER),
	"reorder.desk.order_now": _writes(("Reorder User & Sales User",), CUSTOMER),
	"reorder.desk.remind_now": _writes(REMINDERS, CUSTOMER),
	"reorder.desk.snooze": _writes(REMINDERS, CUSTOMER),
	"reorder.desk.stop": _writes(REMINDERS, CUSTOMER),
	"reorder.insight.cards.won_in_30_days": _reads(REORDER_READERS, NOBODY),
	"reorder.learning.history.start": _writes(REORDER_MANAGERS, ALL),
	"reorder.privacy.erasing.erase": _writes(REORDER_MANAGERS, CUSTOMER),
	"reorder.privacy.erasing.learn_again": _writes(REORDER_MANAGERS, CUSTOMER),
	"reorder.sending.preview.preview": _reads(REORDER_READERS, CUSTOMER, customer=True),
	"reorder.sending.preview.send_test": _writes(REORDER_READERS, CUSTOMER, customer=True),
}  # fmt: skip

# Fetched they are read; what they change takes a POST.
FETCHED_TO_BE_READ = {"api.reorder.preference"}

# Methods of documents: DocType.method → the right on the document that they ask for; *: of every document.
DOCUMENT_METHODS = {
	"*.rename": "write",  # tried by the doors of RENAMING
	"Reorder Preference.record_consent": "write",
	"Reorder Preference.record_opt_out": "write",
}

# -- what people look at -----------------------------------------------------------------------------------

# Query reports → who may run them; export takes that right on the DocType they are about.
REPORTS = dict.fromkeys(
	(
		"Most Forgotten Items",
		"Purchase Data Quality",
		"Reorder Cycles",
		"Reorder Reminder Funnel",
		"Reorder Uplift",
	),
	("Reorder Manager", "Reorder User", "Sales Manager"),
)

# Number cards and dashboard charts → the DocType or report whose readers see them.
CARDS = {
	"Contacts Who Want Reminders": "Reorder Preference",
	"Customers Held Out": "Reorder Customer",
	"Failed Recharges in 7 Days": "Recharge",
	"Open Recharges": "Recharge",
	"Prepaid Balance": "Credit Account",
	"Reminders Sent in 30 Days": "Reorder Message",
	"Reorders Due Now": "Reorder Reminder",
	"Reorders Won in 30 Days": "Reorder Message",
	"Switched Off by Failure": "Auto-Recharge Setting",
}
CHARTS = {
	"Credits Used and Recharged": "Credit Ledger",
	"Most Forgotten Items": "Most Forgotten Items",
	"Reorder Funnel": "Reorder Reminder Funnel",
	"Reorder Reminders by Week": "Reorder Message",
	"Shortest Reorder Cycles": "Reorder Cycles",
}
CHART_SOURCES = {"Credits by Day": "api.insight.credits_by_day"}

# Pages of the website → whose records they show.
PAGES = {
	"credits": OWNER,
	"recharge-confirm": "whoever holds the mailed link",
	"reorder": "whoever holds the mailed link",
	"reorders": "who speaks for the customer",
}

# What only arranges the above: it shows nothing by itself.
ARRANGED = {
	"Dashboard": ("Reorder Reminders",),
	"Page": (),
	"Print Format": ("Recharge Invoice",),
	"Web Form": (),
	"Workspace": ("CRM Recharge", "Reorder Reminders"),
}
