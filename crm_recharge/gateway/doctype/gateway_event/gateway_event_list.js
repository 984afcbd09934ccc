frappe.listview_settings["Gateway Event"] = {
	add_fields: ["status"],

	get_indicator: (doc) => [
		__(doc.status),
		crm_recharge.desk.colour("Gateway Event", doc.status),
		`status,=,${doc.status}`,
	],
};
