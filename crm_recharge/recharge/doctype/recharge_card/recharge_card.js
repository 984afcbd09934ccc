frappe.ui.form.on("Recharge Card", {
	refresh(frm) {
		frm.disable_save();
		const { desk } = crm_recharge;
		frm.page.set_indicator(__(frm.doc.status), desk.colour("Recharge Card", frm.doc.status));
		if (frm.doc.status !== "Removed" && frappe.model.can_write("Recharge Card")) {
			frm.add_custom_button(__("Remove Card"), () =>
				frappe.confirm(
					__(
						"{0} is taken off every list and detached at the gateway; it cannot be charged again. Remove it?",
						[desk.text(frm.doc.card_label)],
					),
					() => desk.call("recharge.remove_card", { card: frm.doc.name }).then(() => frm.reload_doc()),
				),
			);
		}
	},
});
