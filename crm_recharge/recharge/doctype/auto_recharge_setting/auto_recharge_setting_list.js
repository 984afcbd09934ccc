frappe.listview_settings["Auto-Recharge Setting"] = {
	add_fields: ["enabled", "disabled_reason", "paused_because", "currency", "falls_below", "recharge_up_to"],
	hide_name_column: true,

	get_indicator(doc) {
		if (doc.enabled && doc.paused_because) return [__("Paused"), "orange", "paused_because,is,set"];
		if (doc.enabled) return [__("On"), "green", "enabled,=,1"];
		if (doc.disabled_reason)
			return [__("Switched Off by Failure"), "red", "enabled,=,0|disabled_reason,is,set"];
		return [__("Off"), "gray", "enabled,=,0"];
	},

	formatters: {
		falls_below: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
		recharge_up_to: (value, _df, doc) => crm_recharge.desk.listed_money(value, doc.currency),
	},
};
