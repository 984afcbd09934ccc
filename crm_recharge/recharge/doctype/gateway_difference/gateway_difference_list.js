frappe.listview_settings["Gateway Difference"] = {
	add_fields: ["status", "currency"],
	hide_name_column: true,

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Gateway Difference", doc.status),
		`status,=,${doc.status}`,
	],

	formatters: {
		amount: (value, _df, doc) => crm_recharge.desk.listed_amount(value, doc.currency),
	},
};
