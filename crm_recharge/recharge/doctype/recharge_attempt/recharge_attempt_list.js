frappe.listview_settings["Recharge Attempt"] = {
	add_fields: ["status", "currency", "amount"],

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Recharge Attempt", doc.status),
		`status,=,${doc.status}`,
	],

	formatters: {
		amount: (value, _df, doc) => crm_recharge.desk.listed_amount(value, doc.currency),
	},
};
