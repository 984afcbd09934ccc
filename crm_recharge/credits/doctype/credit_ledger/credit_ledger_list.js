frappe.listview_settings["Credit Ledger"] = {
	add_fields: ["entry_type", "currency"],
	hide_name_column: true,

	get_indicator: (doc) => [
		__(doc.entry_type),
		crm_recharge.desk.colour("Credit Ledger", doc.entry_type),
		`entry_type,=,${doc.entry_type}`,
	],

	formatters: {
		amount: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
		balance_after: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
	},
};
