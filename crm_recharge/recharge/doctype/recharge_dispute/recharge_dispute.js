frappe.ui.form.on("Recharge Dispute", {
	refresh(frm) {
		frm.disable_save();
		frm.page.set_indicator(__(frm.doc.status), crm_recharge.desk.colour("Recharge Dispute", frm.doc.status));
		crm_recharge.desk.offer_accounting_retry(frm, "crm_recharge.accounting.disputes.retry");
		if (frm.doc.recharge) {
			frm.add_custom_button(__("Recharge"), () => frappe.set_route("Form", "Recharge", frm.doc.recharge));
		}
	},
});
