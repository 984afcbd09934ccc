frappe.listview_settings["Credit Lot"] = {
	add_fields: ["remaining", "currency", "closed", "expires_at"],
	hide_name_column: true,

	get_indicator(doc) {
		if (doc.closed) return [__("Closed"), "gray", "closed,=,1"];
		if (flt(doc.remaining) > 0) return [__("Open"), "green", "remaining,>,0"];
		return [__("Used Up"), "gray", "remaining,=,0"];
	},

	formatters: {
		original: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
		remaining: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
	},
};
