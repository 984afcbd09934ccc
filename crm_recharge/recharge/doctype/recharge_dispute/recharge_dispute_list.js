frappe.listview_settings["Recharge Dispute"] = {
	add_fields: ["status", "currency"],

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Recharge Dispute", doc.status),
		`status,=,${doc.status}`,
	],

	formatters: {
		amount: (value, _df, doc) => crm_recharge.desk.listed_amount(value, doc.currency),
	},
};
