frappe.ui.form.on("Reorder Customer", {
	refresh(frm) {
		const reorder = crm_recharge.reorder;
		const { doc } = frm;
		frm.disable_save();
		introduce(frm);
		frm.add_custom_button(__("Items"), () =>
			frappe.set_route("List", "Reorder Reminder", { customer: doc.customer }),
		);
		if (reorder.can("Reorder Manager", "Reorder User")) {
			frm.add_custom_button(__("Remind Now"), () =>
				reorder.remind_now(doc.customer, doc.customer_name, () => frm.reload_doc()),
			);
		}
		if (!reorder.can("Reorder Manager")) return;
		frm.add_custom_button(__("Learn Anew"), () =>
			reorder.call("desk.learn_anew", { customer: doc.customer }).then(() => {
				frappe.show_alert({ message: __("It is worked out in the background."), indicator: "blue" });
				frm.reload_doc();
			}),
		);
		frm.add_custom_button(__("Erase"), () => erase(frm), __("Privacy"));
	},
});

const introduce = (frm) => {
	const { doc } = frm;
	const reorder = crm_recharge.reorder;
	const range = reorder.range(doc.next_from, doc.next_on, doc.next_to);
	const parts = [];
	if (range) parts.push(__("Next purchase: {0}.", [range]));
	if (doc.held_out) parts.push(__("Held out for comparison: never reminded."));
	if (doc.stale) parts.push(__("Will be learned anew: {0}", [doc.stale_reason || ""]));
	frm.set_intro("");
	if (parts.length) frm.set_intro(reorder.text(parts.join(" ")), doc.stale ? "orange" : "blue");
};

const erase = (frm) =>
	frappe.warn(
		__("Erase what reminders know of {0}?", [crm_recharge.reorder.text(frm.doc.customer_name)]),
		__(
			"Statistics, forecasts, consents with their evidence, and all that names the customer in reminders are deleted for good. Counts stay, without a name. Invoices and the customer stay. Its purchases are not learned any more.",
		),
		() =>
			crm_recharge.reorder.call("privacy.erasing.erase", { customer: frm.doc.customer }).then(() => {
				frappe.show_alert({ message: __("Erased"), indicator: "green" });
				frappe.set_route("List", "Reorder Customer");
			}),
		__("Erase"),
	);
