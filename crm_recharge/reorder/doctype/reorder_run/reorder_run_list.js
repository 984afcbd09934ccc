frappe.listview_settings["Reorder Run"] = {
	add_fields: ["status", "kind", "progress"],
	hide_name_column: true,
	get_indicator: (doc) => crm_recharge.reorder.indicator("Reorder Run")(doc),
};
