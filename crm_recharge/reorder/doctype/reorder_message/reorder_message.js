frappe.ui.form.on("Reorder Message", {
	refresh(frm) {
		const { doc } = frm;
		frm.disable_save();
		frm.page.set_indicator(__(doc.status), crm_recharge.reorder.colour("Reorder Message", doc.status));
		if (doc.email_queue && frappe.model.can_read("Email Queue")) {
			frm.add_custom_button(__("Mail"), () => frappe.set_route("Form", "Email Queue", doc.email_queue));
		}
		if (doc.order_name) {
			frm.add_custom_button(__("Order"), () => frappe.set_route("Form", doc.order_type, doc.order_name));
		}
		const won = (doc.items || []).filter((row) => row.won);
		frm.set_intro("");
		if (won.length) {
			const bought =
				doc.items.length === 1
					? __("The item was bought again.")
					: __("Bought again: {0} of {1} items.", [won.length, doc.items.length]);
			frm.set_intro(bought, "green");
		}
	},
});
