frappe.provide("frappe.dashboards.chart_sources");

frappe.dashboards.chart_sources["Credits by Day"] = {
	method: "crm_recharge.api.insight.credits_by_day",
	filters: [
		{ fieldname: "company", label: __("Company"), fieldtype: "Link", options: "Company" },
		{ fieldname: "currency", label: __("Currency"), fieldtype: "Link", options: "Currency" },
	],
};
