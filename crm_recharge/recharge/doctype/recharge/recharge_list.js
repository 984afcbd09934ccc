frappe.listview_settings["Recharge"] = {
	add_fields: ["status", "currency", "amount", "origin"],
	hide_name_column: true,

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Recharge", doc.status),
		`status,=,${doc.status}`,
	],

	formatters: {
		amount: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
	},
};
