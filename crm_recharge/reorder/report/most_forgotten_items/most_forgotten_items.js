frappe.query_reports["Most Forgotten Items"] = {
	filters: [
		{
			fieldname: "by",
			label: __("By"),
			fieldtype: "Select",
			options: ["Item", "Item Group"],
			default: "Item",
			reqd: 1,
		},
		{
			fieldname: "company",
			label: __("Company (for prices)"),
			fieldtype: "Link",
			options: "Company",
			default: frappe.defaults.get_user_default("Company"),
			reqd: 1,
		},
		{ fieldname: "item_group", label: __("Item Group"), fieldtype: "Link", options: "Item Group" },
		{ fieldname: "item_code", label: __("Item"), fieldtype: "Link", options: "Item" },
		{ fieldname: "least_overdue", label: __("Overdue by (Days), at Least"), fieldtype: "Int", default: 1 },
		{ fieldname: "least_p_alive", label: __("Still Buying (%), at Least"), fieldtype: "Float" },
	],
};
