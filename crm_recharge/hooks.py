"""The table of contents of everything that happens by itself."""

app_name = "crm_recharge"
app_title = "CRM Recharge"
app_publisher = "crm_recharge maintainers"
app_description = "Prepaid credits, auto-recharge with fallback cards, spend control and reorder reminders for ERPNext"
app_email = "maintainers@example.com"
app_license = "gpl-3.0"
required_apps = ["erpnext"]

after_install = "crm_recharge.install.after_install"
after_migrate = "crm_recharge.install.after_migrate"
before_uninstall = "crm_recharge.uninstall.before_uninstall"

# What the desk's forms and lists share.
_SHARED = ["public/js/desk.js"]
_DIALOGS = [*_SHARED, "public/js/add_credits.js", "public/js/card_form.js"]
doctype_js = {
	"Credit Account": _DIALOGS,
	"Auto-Recharge Setting": _DIALOGS,
	"Recharge": _DIALOGS,
	"Recharge Attempt": _SHARED,
	"Recharge Card": _SHARED,
	"Credit Ledger": _SHARED,
	"Credit Lot": _SHARED,
	"CRM Recharge Settings": _SHARED,
	"Stripe Event": _SHARED,
}
doctype_list_js = {
	doctype: _SHARED
	for doctype in (
		"Auto-Recharge Setting",
		"Credit Account",
		"Credit Ledger",
		"Credit Lot",
		"Recharge",
		"Recharge Attempt",
		"Recharge Card",
		"Stripe Event",
	)
}

# What happens when something is written.
doc_events = {
	"Credit Ledger": {
		"after_insert": "crm_recharge.recharge.threshold.on_ledger_entry",
	},
}

# What happens with time. Each is a sweeper: it finds in the database what is due.
scheduler_events = {
	"cron": {
		"* * * * *": [
			"crm_recharge.recharge.worker.sweep",
			"crm_recharge.recharge.events.sweep",
			"crm_recharge.recharge.decisions.sweep",
			"crm_recharge.recharge.refunds.sweep",
		],
		# Within Stripe's 24 hours in which a key can be asked again.
		"17 * * * *": ["crm_recharge.recharge.reconcile.reconcile_recent"],
	},
	"hourly": [
		"crm_recharge.credits.expiry.post_due",
	],
	"daily": [
		"crm_recharge.credits.proof.make_checkpoints",
	],
	"daily_long": [
		"crm_recharge.recharge.audit.check_all",
		"crm_recharge.recharge.spikes.refresh_daily_usage",
	],
}

# Own masters, kept in fixtures/.
fixtures = [
	{"dt": "Role", "filters": [["name", "in", ["Credit Manager", "Credit User", "Credit API"]]]},
	{
		"dt": "Email Template",
		"filters": [
			[
				"name",
				"in",
				[
					"Auto-Recharge Failed",
					"Recharge Needs Confirmation",
					"Payment Gateway Error",
					"Payment Captured Twice",
					"Auto-Recharge Stopped",
					"Credits Refunded",
					"Refund Came Back",
					"Refund Failed",
					"Refund Undecided",
					"Refunded at the Payment Gateway",
					"Payment Disputed",
					"Payment Disputed: Answer It",
					"Payment Questioned by the Bank",
					"Dispute Won",
					"Dispute Lost",
					"Early Fraud Warning",
				],
			]
		],
	},
]
