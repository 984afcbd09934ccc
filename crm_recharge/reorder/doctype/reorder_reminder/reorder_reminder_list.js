frappe.listview_settings["Reorder Reminder"] = {
	add_fields: ["status", "next_from", "next_on", "next_to"],
	hide_name_column: true,
	get_indicator: (doc) => crm_recharge.reorder.indicator("Reorder Reminder")(doc),
	formatters: {
		next_on: (value, _df, doc) =>
			crm_recharge.reorder.text(crm_recharge.reorder.range(doc.next_from, doc.next_on, doc.next_to)),
	},
};
