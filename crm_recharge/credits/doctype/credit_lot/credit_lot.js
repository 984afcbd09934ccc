frappe.ui.form.on("Credit Lot", {
	refresh(frm) {
		frm.disable_save();
		frm.add_custom_button(__("Credit Account"), () =>
			frappe.set_route("Form", "Credit Account", frm.doc.credit_account),
		);
	},
});
