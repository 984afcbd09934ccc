frappe.query_reports["Reorder Cycles"] = {
	filters: [
		{
			fieldname: "by",
			label: __("By"),
			fieldtype: "Select",
			options: ["Item", "Item Group"],
			default: "Item",
			reqd: 1,
		},
		{ fieldname: "item_group", label: __("Item Group"), fieldtype: "Link", options: "Item Group" },
		{ fieldname: "item_code", label: __("Item"), fieldtype: "Link", options: "Item" },
		{ fieldname: "customer", label: __("Customer"), fieldtype: "Link", options: "Customer" },
		{ fieldname: "least_intervals", label: __("Intervals, at Least"), fieldtype: "Int", default: 5 },
	],
};
