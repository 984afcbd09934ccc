frappe.listview_settings["Credit Account"] = {
	add_fields: ["status", "balance", "currency", "open_recharge", "held_because", "auto_recharge"],

	get_indicator(doc) {
		const auto = JSON.parse(doc.auto_recharge || "{}");
		const { label, colour } = crm_recharge.standing({
			status: doc.status,
			balance: doc.balance,
			switched_off: auto.switched_off,
			held: doc.held_because,
			paused: auto.enabled && auto.paused_because,
			pending: doc.open_recharge && "Queued",
		});
		return [label, colour, `status,=,${doc.status}`];
	},

	formatters: {
		overdraft_limit: (value, _df, doc) => crm_recharge.desk.listed_amount(value, doc.currency),
		balance: (value, df, doc) => {
			const css = value < 0 ? "text-danger" : "";
			return crm_recharge.listed(crm_recharge.desk.money(value, doc.currency), css);
		},
	},
};
