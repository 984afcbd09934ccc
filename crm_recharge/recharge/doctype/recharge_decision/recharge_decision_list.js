frappe.listview_settings["Recharge Decision"] = {
	add_fields: ["code", "currency"],
	hide_name_column: true,

	get_indicator: (doc) => [
		__(frappe.unscrub(doc.code)),
		crm_recharge.desk.colour("Recharge Decision", doc.code),
		`code,=,${doc.code}`,
	],

	formatters: {
		balance: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
	},
};
