frappe.listview_settings["Reorder Preference"] = {
	add_fields: ["opted_in", "opted_out_at", "snoozed_until"],
	hide_name_column: true,
	get_indicator(doc) {
		if (!doc.opted_in && doc.opted_out_at)
			return [__("Opted Out"), "red", "opted_in,=,0|opted_out_at,is,set"];
		if (!doc.opted_in) return [__("No Consent"), "gray", "opted_in,=,0"];
		if (doc.snoozed_until && doc.snoozed_until > frappe.datetime.get_today()) {
			return [__("Snoozed"), "yellow", "opted_in,=,1|snoozed_until,>,Today"];
		}
		return [__("Wants Reminders"), "green", "opted_in,=,1"];
	},
};
