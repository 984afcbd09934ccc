frappe.listview_settings["Reorder Rule"] = {
	add_fields: ["enabled", "remind", "title"],
	hide_name_column: true,
	get_indicator(doc) {
		if (!doc.enabled) return [__("Disabled"), "gray", "enabled,=,0"];
		return doc.remind
			? [__("Reminds"), "green", "enabled,=,1|remind,=,1"]
			: [__("Never"), "red", "enabled,=,1|remind,=,0"];
	},
};
