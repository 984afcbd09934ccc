frappe.ui.form.on("Gateway Event", {
	refresh(frm) {
		const { desk } = crm_recharge;
		frm.disable_save();
		frm.page.set_indicator(__(frm.doc.status), desk.colour("Gateway Event", frm.doc.status));
		if (["Failed", "Ignored"].includes(frm.doc.status)) {
			frm.add_custom_button(__("Work on It Again"), () =>
				desk.call("gateway.replay", { event: frm.doc.name }).then(() => frm.reload_doc()),
			);
		}
	},
});
