app_name = "crm_recharge"
app_title = "CRM Recharge"
app_publisher = "crm_recharge maintainers"
app_description = "Prepaid credits, auto-recharge with fallback cards, spend control and reorder reminders for ERPNext"
app_email = "maintainers@example.com"
app_license = "gpl-3.0"
required_apps = ["erpnext"]
