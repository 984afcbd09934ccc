frappe.ui.form.on("Credit Team", {
	onload: (frm) => crm_recharge.desk.take_from_account(frm),

	setup(frm) {
		frm.set_query("cost_center", () => ({ filters: { company: frm.doc.company || "", is_group: 0 } }));
	},
});
