const TEXTS = {
	credit: () => [
		__("Credit"),
		__("What was captured is credited, and accounted for, instead of the amount that was asked for."),
	],
	refund: () => [__("Refund"), __("The money is sent back. Nothing is credited.")],
	dismiss: () => [__("Dismiss"), __("Nothing is credited or refunded here. Say why; it stays on record.")],
};

frappe.ui.form.on("Gateway Difference", {
	refresh(frm) {
		const may = frappe.user_roles.some((role) => ["Credit Manager", "System Manager"].includes(role));
		if (frm.doc.status !== "Open" || !may) return;
		const choices = frm.doc.kind === "does_not_fit" ? ["credit", "refund", "dismiss"] : ["dismiss"];
		for (const choice of choices) {
			frm.add_custom_button(TEXTS[choice]()[0], () => decide(frm, choice));
		}
	},
});

const decide = (frm, decision) => {
	const [title, text] = TEXTS[decision]();
	frappe.prompt(
		[
			{ fieldtype: "HTML", fieldname: "help", options: `<p>${text}</p>` },
			{
				fieldtype: "Small Text",
				fieldname: "note",
				label: __("Note"),
				reqd: decision === "dismiss" ? 1 : 0,
			},
		],
		async ({ note }) => {
			await frappe.xcall("crm_recharge.api.recharge.decide_difference", {
				difference: frm.doc.name,
				decision,
				note,
			});
			frm.reload_doc();
		},
		title,
		title,
	);
};
