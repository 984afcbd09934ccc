frappe.listview_settings["Reorder Customer"] = {
	add_fields: ["due_items", "next_from", "next_on", "next_to", "stale", "held_out"],
	hide_name_column: true,
	get_indicator(doc) {
		if (doc.stale) return [__("Learned Anew Soon"), "orange", "stale,=,1"];
		if (doc.held_out) return [__("Held Out"), "gray", "held_out,=,1"];
		if (doc.due_items) return [__("Due"), "green", "due_items,>,0"];
		return [__("Not Due"), "blue", "due_items,=,0"];
	},
	formatters: {
		next_on: (value, _df, doc) =>
			crm_recharge.listed(crm_recharge.reorder.range(doc.next_from, doc.next_on, doc.next_to)),
	},
};
