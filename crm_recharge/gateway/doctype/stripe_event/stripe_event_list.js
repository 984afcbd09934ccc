frappe.listview_settings["Stripe Event"] = {
	add_fields: ["status"],

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Stripe Event", doc.status),
		`status,=,${doc.status}`,
	],
};
