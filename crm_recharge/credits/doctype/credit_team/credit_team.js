frappe.ui.form.on("Credit Team", {
	onload: (frm) => crm_recharge.desk.take_from_account(frm, ["customer", "company"]),
});
