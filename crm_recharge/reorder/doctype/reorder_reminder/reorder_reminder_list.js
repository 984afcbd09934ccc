frappe.listview_settings["Reorder Reminder"] = {
	add_fields: ["status", "next_from", "next_on", "next_to"],
	// What is due, or will be, comes by its day; whoever wants the rest takes the filter out.
	filters: [["remind_on", "is", "set"]],
	hide_name_column: true,
	get_indicator: (doc) => crm_recharge.reorder.indicator("Reorder Reminder")(doc),
	formatters: {
		next_on: (value, _df, doc) =>
			crm_recharge.listed(crm_recharge.reorder.range(doc.next_from, doc.next_on, doc.next_to)),
	},
};
