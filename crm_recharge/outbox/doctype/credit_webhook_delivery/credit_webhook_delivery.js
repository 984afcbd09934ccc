frappe.ui.form.on("Credit Webhook Delivery", {
	refresh(frm) {
		const { desk } = crm_recharge;
		frm.disable_save();
		frm.page.set_indicator(__(frm.doc.status), desk.colour("Credit Webhook Delivery", frm.doc.status));
		frm.add_custom_button(__("Send Again"), () =>
			desk.call("events.send_again", { delivery: frm.doc.name }).then(() => frm.reload_doc()),
		);
	},
});
