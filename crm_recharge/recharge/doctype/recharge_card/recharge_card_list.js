frappe.listview_settings["Recharge Card"] = {
	add_fields: ["status", "exp_month", "exp_year"],
	hide_name_column: true,

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Recharge Card", doc.status),
		`status,=,${doc.status}`,
	],

	formatters: {
		exp_year: (value, df, doc) => crm_recharge.listed(crm_recharge.desk.expiry(doc)),
	},
};
