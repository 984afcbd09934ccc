const REVERSIBLE = ["Usage", "Grant", "Adjustment"];

frappe.ui.form.on("Credit Ledger", {
	refresh(frm) {
		const { desk } = crm_recharge;
		frm.disable_save();
		frm.page.set_indicator(__(frm.doc.entry_type), desk.colour("Credit Ledger", frm.doc.entry_type));
		frm.add_custom_button(__("Credit Account"), () =>
			frappe.set_route("Form", "Credit Account", frm.doc.credit_account),
		);
		const may_reverse = frappe.user.has_role("Credit Manager") || frappe.user.has_role("System Manager");
		if (may_reverse && REVERSIBLE.includes(frm.doc.entry_type)) {
			frm.add_custom_button(__("Reverse"), () => frm.events.reverse(frm));
		}
	},

	reverse(frm) {
		const { desk } = crm_recharge;
		frappe.prompt(
			[
				{
					fieldtype: "HTML",
					options: `<p>${__("A row of its own undoes {0}. This row stays as it is.", [
						desk.money(frm.doc.amount, frm.doc.currency),
					])}</p>`,
				},
				{ fieldname: "note", fieldtype: "Small Text", label: __("Reason"), reqd: 1 },
			],
			async ({ note }) => {
				const answer = await desk.call("credits.reverse", { entry: frm.doc.name, note });
				frappe.set_route("Form", "Credit Ledger", answer.entry);
			},
			__("Reverse This Movement"),
			__("Reverse"),
		);
	},
});
