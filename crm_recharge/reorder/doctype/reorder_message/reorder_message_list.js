frappe.listview_settings["Reorder Message"] = {
	add_fields: ["status", "kind", "sent_at"],
	hide_name_column: true,
	get_indicator: (doc) => crm_recharge.reorder.indicator("Reorder Message")(doc),
};
