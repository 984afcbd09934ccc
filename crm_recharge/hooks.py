"""The table of contents of everything that happens by itself."""

from crm_recharge.doors import records as _records
from crm_recharge.frappe_versions import DESK as _DESK
from crm_recharge.setup.titles import N_

app_name = "crm_recharge"
app_title = "CRM Recharge"
app_publisher = "crm_recharge maintainers"
app_description = (
	"Prepaid credits, auto-recharge with fallback cards, spend control and reorder reminders for ERPNext"
)
# Nobody's address: faults and questions belong where the app came from.
app_email = "the issues page of this app's repository"
app_license = "gpl-3.0"
required_apps = ["erpnext"]

# The app among others on the page of all apps. The desk of Frappe 16 has, besides, what is in desktop_icon/ and
# workspace_sidebar/.
add_to_apps_screen = [
	{
		"name": app_name,
		"logo": "/assets/crm_recharge/images/logo.svg",
		"title": app_title,
		"route": f"{_DESK}/crm-recharge",
		"has_permission": "crm_recharge.doors.sight.may_open_the_app",
	}
]

before_install = "crm_recharge.install.before_install"
after_install = "crm_recharge.install.after_install"
before_migrate = "crm_recharge.install.before_migrate"
after_migrate = "crm_recharge.install.after_migrate"
before_uninstall = "crm_recharge.uninstall.before_uninstall"
after_uninstall = "crm_recharge.uninstall.after_uninstall"

# What the desk's forms and lists share.
_SHARED = [
	"public/js/words.js",
	"public/js/focus.js",
	"public/js/amounts.js",
	"public/js/standing.js",
	"public/js/desk.js",
]
_LIVE = "public/js/live.js"
_DIALOGS = [*_SHARED, _LIVE, "public/js/add_credits.js", "public/js/card_entry.js", "public/js/card_form.js"]
_REORDER = ["public/js/words.js", "public/js/focus.js", "public/js/reorder.js"]
doctype_js = {
	"Credit Account": _DIALOGS,
	"Auto-Recharge Setting": _DIALOGS,
	"Recharge": _DIALOGS,
	"Recharge Attempt": _SHARED,
	"Recharge Card": _SHARED,
	"Credit Ledger": _SHARED,
	"Credit Lot": _SHARED,
	"Credit Team": _SHARED,
	"CRM Recharge Settings": _SHARED,
	"Recharge Dispute": _SHARED,
	"Recharge Refund": _SHARED,
	"Gateway Event": _SHARED,
	"Credit Webhook": _SHARED,
	"Credit Webhook Delivery": _SHARED,
	"Outbox Delivery": _SHARED,
	"Ledger Checkpoint": _SHARED,
	"Usage Category": _SHARED,
	"Customer": [*_REORDER, "public/js/reorder_on_customer.js"],
	"Reorder Customer": _REORDER,
	"Reorder Message": _REORDER,
	"Reorder Reminder": _REORDER,
	"Reorder Run": _REORDER,
	"Reorder Rule": ["public/js/reorder_preview.js"],
	"Reorder Settings": [*_REORDER, "public/js/reorder_history.js", "public/js/reorder_preview.js"],
}
doctype_list_js = {
	**{
		doctype: _REORDER
		for doctype in ("Reorder Customer", "Reorder Message", "Reorder Reminder", "Reorder Run")
	},
	**{
		doctype: _SHARED
		for doctype in (
			"Auto-Recharge Setting",
			"Credit Account",
			"Credit Ledger",
			"Credit Lot",
			"Gateway Difference",
			"Ledger Checkpoint",
			"Recharge",
			"Recharge Attempt",
			"Recharge Card",
			"Recharge Decision",
			"Recharge Dispute",
			"Recharge Refund",
			"Gateway Event",
			"Usage Category",
		)
	},
}

# Whose records a user sees, in lists and one by one; doors/records.py declares what hangs on what.
permission_query_conditions = {
	**{doctype: "crm_recharge.doors.visibility.list_conditions" for doctype in _records.confined()},
	"Prepared Report": "crm_recharge.doors.prepared.list_conditions",
	**{doctype: "crm_recharge.doors.beside.list_conditions" for doctype in _records.LISTED_BESIDE},
}
has_permission = {
	**{
		doctype: "crm_recharge.doors.visibility.has_permission"
		for doctype in _records.confined()
		if doctype not in _records.ROWS
	},
	"Prepared Report": "crm_recharge.doors.prepared.has_permission",
}

# What an invoice, a delivery or a payment sets going; in this order.
_BOOKED = ["crm_recharge.accounting.corrections.on_submit", "crm_recharge.accounting.refunds.on_submit"]
_UNBOOKED = ["crm_recharge.accounting.corrections.on_cancel", "crm_recharge.accounting.refunds.on_cancel"]
_PURCHASED = [
	"crm_recharge.reorder.learning.purchases.on_submit",
	"crm_recharge.reorder.answers.outcome.on_invoice",
]
_UNDONE = [
	"crm_recharge.reorder.learning.purchases.on_cancel",
	"crm_recharge.reorder.answers.outcome.on_invoice",
]

# What Frappe's search, charts and tags pass by, or tell too much of, is asked here for the app's DocTypes.
standard_queries = {doctype: "crm_recharge.doors.search.records_of" for doctype in _records.searched()}
override_whitelisted_methods = {
	"frappe.desk.doctype.dashboard_chart.dashboard_chart.get": "crm_recharge.doors.charts.get",
	"frappe.desk.doctype.tag.tag.get_tagged_docs": "crm_recharge.doors.beside.tagged",
	"frappe.desk.search.get_link_title": "crm_recharge.doors.search.link_title",
}

override_doctype_class = {
	"Prepared Report": "crm_recharge.doors.prepared.PreparedReport",
	# What it mails of this app's tables holds no formulas.
	"Auto Email Report": "crm_recharge.mailed_reports.MailedReport",
}

# What happens when something is written.
doc_events = {
	# Nobody writes about a record that is not shown to them.
	("Comment", "Communication", "File", "Tag Link", "ToDo"): {"validate": "crm_recharge.doors.beside.check"},
	"Credit Ledger": {
		"after_insert": "crm_recharge.recharge.threshold.on_ledger_entry",
	},
	# Told after the commit, as those of other apps are.
	("Recharge", "Recharge Refund", "Recharge Dispute"): {
		"on_change": [
			"crm_recharge.recharge.credit_events.on_change",
			"crm_recharge.recharge.live.on_change",
		],
	},
	"Credit Account": {
		"before_insert": "crm_recharge.accounting.door.on_account",
	},
	"CRM Recharge Settings": {"validate": "crm_recharge.accounting.door.on_settings"},
	"Currency": {"before_rename": "crm_recharge.accounting.door.before_rename"},
	"Company": {
		"before_rename": "crm_recharge.accounting.door.before_rename",
		"on_update": "crm_recharge.accounting.setup.on_company_update",
		"on_trash": "crm_recharge.accounting.setup.on_company_trash",
		"after_rename": "crm_recharge.accounting.setup.on_company_rename",
	},
	# Only the app ties them to a recharge, a refund or a dispute.
	("Sales Invoice", "Payment Entry", "Journal Entry"): {"validate": "crm_recharge.accounting.ties.keep"},
	"Payment Entry": {"on_submit": _BOOKED, "on_cancel": _UNBOOKED},
	"Sales Invoice": {
		"on_submit": [*_BOOKED, *_PURCHASED],
		"on_cancel": [*_UNBOOKED, *_UNDONE],
	},
	"POS Invoice": {"on_submit": _PURCHASED, "on_cancel": _UNDONE},
	# Goods that leave are bought, whenever they are billed.
	"Delivery Note": {"on_submit": _PURCHASED, "on_cancel": _UNDONE},
	"Product Bundle": {
		"on_update": "crm_recharge.reorder.learning.purchases.on_bundle_update",
		"on_trash": "crm_recharge.reorder.learning.purchases.on_bundle_update",
	},
	"Customer": {
		"on_update": [
			"crm_recharge.accounting.door.on_customer",
			"crm_recharge.reorder.learning.purchases.on_customer_update",
			"crm_recharge.people.vouching.on_customer_update",
		],
		# Refused before anything makes way.
		"before_rename": [
			"crm_recharge.accounting.door.before_rename",
			"crm_recharge.reorder.learning.renames.before_rename",
		],
		"after_rename": [
			"crm_recharge.accounting.door.after_rename",
			"crm_recharge.reorder.learning.renames.after_rename",
			"crm_recharge.people.vouching.after_customer_rename",
		],
		"on_trash": "crm_recharge.reorder.learning.renames.on_trash",
	},
	"Item": {
		"before_rename": "crm_recharge.reorder.learning.renames.before_rename",
		"after_rename": "crm_recharge.reorder.learning.renames.after_rename",
		"on_trash": "crm_recharge.reorder.learning.renames.on_trash",
	},
	"File": {"before_insert": "crm_recharge.web.on_file", "validate": "crm_recharge.doors.files.check"},
	"Journal Entry": {
		"on_submit": "crm_recharge.accounting.disputes.on_submit",
		"on_cancel": "crm_recharge.accounting.disputes.on_cancel",
	},
	("Quotation", "Sales Order", "Sales Invoice", "POS Invoice"): {
		"before_submit": "crm_recharge.reorder.sending.offer.keep_price",
		"on_submit": "crm_recharge.reorder.consent.checkbox.on_submit",
	},
	("Sales Invoice", "POS Invoice"): {"before_validate": "crm_recharge.reorder.sending.offer.count_once"},
	"Contact": {"on_trash": "crm_recharge.reorder.privacy.erasing.on_contact_trash"},
	# Which contacts and addresses a customer counts as its own: a link alone proves nothing.
	("Contact", "Address"): {"validate": "crm_recharge.people.vouching.on_validate"},
	"Portal User": {
		"validate": "crm_recharge.people.named.on_row_alone",
		"on_trash": "crm_recharge.people.named.on_row_alone",
	},
	"Reorder Preference": {"on_update": "crm_recharge.reorder.privacy.erasing.on_preference"},
	"System Settings": {"on_update": "crm_recharge.setup.time_zone.on_system_settings"},
	"Personal Data Deletion Request": {
		"on_update": "crm_recharge.reorder.privacy.requests.on_deletion_request"
	},
	"Personal Data Download Request": {
		"before_insert": "crm_recharge.reorder.privacy.requests.refuse_for_another",
		"after_insert": "crm_recharge.reorder.privacy.requests.on_download_request",
	},
	("Item", "Item Group", "Brand"): {
		"after_rename": "crm_recharge.reorder.doctype.reorder_rule.reorder_rule.after_rename",
	},
}

# Around every request: none is forged, private pages stay private, exported tables hold no formulas.
before_request = [
	"crm_recharge.web.before_request",
	"crm_recharge.doors.expanding.before_request",
]
after_request = ["crm_recharge.web.after_request", "crm_recharge.private_pages.after_request"]

# An order that came of a reminder is the sales team's own: it can be deleted all the same.
ignore_links_on_delete = ["Reorder Message", "Reorder Message Item"]

# A recharge outlives its invoice: cancelling the one must not cancel the other.
auto_cancel_exempted_doctypes = ["Recharge"]
override_doctype_dashboards = {
	"Sales Invoice": "crm_recharge.accounting.dashboard.with_recharge",
	"Customer": "crm_recharge.reorder.desk.with_reorders",
}
setup_wizard_complete = "crm_recharge.accounting.setup.setup_all_companies"

# What print formats and Email Templates can call.
jinja = {"methods": ["crm_recharge.credits.money.crm_recharge_money"]}

# The payment gateways that there are to choose from: name → adapter (gateway/port.py). Other apps may bring more.
crm_recharge_gateways = {"Stripe": "crm_recharge.gateway.stripe.adapter.StripeAdapter"}

# What this app itself announces: usage that was refused for lack of credits (account, amount).
usage_refused = ["crm_recharge.recharge.threshold.on_refused_usage"]

# Background work about rows: what is declared here is swept, enqueued, tried again (outbox/work.py). Other apps' too.
crm_recharge_work = ["crm_recharge.background.WORK"]

# The documents of whose changes all are told after the commit, not within it (outbox/announced.py).
crm_recharge_announced = ["Recharge", "Recharge Refund", "Recharge Dispute"]
# Who tells the company's own people of what waits for them (DocType, name, text).
crm_recharge_needs_person = ["crm_recharge.recharge.notices.needs_person"]

# What happens with time. Each finds in the database what is due. Frappe names a job by the last two
# words of its path and knows one job of a name: these must differ.
scheduler_events = {
	"cron": {
		"* * * * *": [
			# Where the clock goes back, the others go on.
			"crm_recharge.setup.jobs.keep_due",
			# All work that is due (background.py), and once more, should the sweep have died at its work.
			"crm_recharge.outbox.sweep.sweep",
			"crm_recharge.outbox.sweep.once_more",
		],
		# Within the gateway's 24 hours in which a key can be asked again.
		"17 * * * *": ["crm_recharge.recharge.reconcile.reconcile_recent"],
		"37 * * * *": ["crm_recharge.recharge.catch_up.catch_up"],
	},
	"hourly": [
		"crm_recharge.reorder.answers.outcome.catch_up",
	],
	"hourly_long": [
		"crm_recharge.reorder.learning.history.take_up",
		"crm_recharge.reorder.sending.run.run_hourly",
	],
	"daily": [
		"crm_recharge.reorder.sending.offer.clean_up",
		"crm_recharge.credits.proof.make_checkpoints",
		"crm_recharge.reorder.privacy.retention.keep_no_longer",
	],
	"daily_long": [
		"crm_recharge.recharge.catch_up.follow_open_disputes",
		# What a failure of more than a day has left; the check then asks for the last days once more.
		"crm_recharge.recharge.reconcile.reconcile_days",
		"crm_recharge.recharge.audit.check_all",
		"crm_recharge.recharge.spikes.refresh_daily_usage",
		"crm_recharge.reorder.learning.nightly.learn",
	],
}

# The customer's pages. Who is nobody's person is told so there; no role makes one. Without a role here, too, the one
# that people choose in Portal Settings stays at a migration.
standard_portal_menu_items = [
	{"title": N_("Credits"), "route": "/credits", "reference_doctype": "Credit Account"},
	{"title": N_("My Reorders"), "route": "/reorders", "reference_doctype": "Reorder Preference"},
]

# Days after which Frappe's log settings clear what is done with.
default_log_clearing_doctypes = {
	"Gateway Event": 90,
	"Reorder Run": 180,
	"Reorder Forecast": 400,
	"Credit Event": 400,
	"Credit Webhook Delivery": 60,
	"Outbox Change": 60,
	"Outbox Delivery": 60,
}

# Where Frappe's requests for personal data look for an address. What is kept by customer is added by the hooks of
# those requests above, which also erase before Frappe redacts.
user_data_fields = [
	{"doctype": "Reorder Preference", "filter_by": "email", "redact_fields": ["contact_name", "email"]},
	{
		"doctype": "Reorder Message",
		"filter_by": "email",
		"redact_fields": ["customer_name", "email", "subject"],
	},
]
