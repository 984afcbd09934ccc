frappe.listview_settings["Credit Account"] = {
	add_fields: ["status", "balance", "currency", "open_recharge"],

	get_indicator(doc) {
		const { colour } = crm_recharge.desk;
		if (doc.status === "Active" && doc.open_recharge) {
			return [__("Recharging"), "blue", "open_recharge,is,set"];
		}
		return [__(doc.status), colour("Credit Account", doc.status), `status,=,${doc.status}`];
	},

	formatters: {
		overdraft_limit: (value, df, doc) => (value ? crm_recharge.desk.money(value, doc.currency) : ""),
		balance: (value, df, doc) => {
			const css = value < 0 ? "text-danger" : "";
			return `<span class="${css}">${crm_recharge.desk.money(value, doc.currency)}</span>`;
		},
	},
};
