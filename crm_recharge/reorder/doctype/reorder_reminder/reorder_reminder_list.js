frappe.listview_settings["Reorder Reminder"] = {
	add_fields: ["status", "customer", "next_from", "next_on", "next_to"],
	// What is due, or will be, comes by its day; whoever wants the rest takes the filters out.
	filters: [
		["status", "in", ["Due", "Waiting", "Snoozed"]],
		["remind_on", "is", "set"],
	],
	hide_name_column: true,
	get_indicator: (doc) => crm_recharge.reorder.indicator("Reorder Reminder")(doc),
	formatters: {
		// A screen of 1366 points shows one column besides item and status: that is the day.
		item_name: (value, _df, doc) => `${value} · ${doc.customer}`,
		next_on: (value, _df, doc) =>
			crm_recharge.listed(crm_recharge.reorder.range(doc.next_from, doc.next_on, doc.next_to)),
	},
};
