frappe.ui.form.on("Outbox Delivery", {
	refresh(frm) {
		const { desk } = crm_recharge;
		frm.disable_save();
		frm.page.set_indicator(__(frm.doc.status), desk.colour("Outbox Delivery", frm.doc.status));
		if (frm.doc.status !== "Delivered") {
			frm.add_custom_button(__("Try Again"), () =>
				desk.call("events.deliver_again", { listener: frm.doc.name }).then(() => frm.reload_doc()),
			);
		}
	},
});
