frappe.ui.form.on("Recharge Attempt", {
	refresh(frm) {
		frm.disable_save();
		frm.page.set_indicator(__(frm.doc.status), crm_recharge.desk.colour("Recharge Attempt", frm.doc.status));
	},
});
