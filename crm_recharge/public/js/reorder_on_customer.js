// The Customer form: when the next purchase is expected, and the mark that its purchases are not learned.
frappe.ui.form.on("Customer", {
	refresh(frm) {
		if (frm.is_new()) return;
		const doc = frm.doc;
		const reorder = crm_recharge.reorder;
		const range = reorder.range(
			doc.crm_recharge_next_purchase_from,
			doc.crm_recharge_next_purchase_on,
			doc.crm_recharge_next_purchase_to,
		);
		if (range) {
			frm.set_intro(reorder.text(__("Next purchase: {0}.", [range])), "blue");
		}
		if (doc.crm_recharge_not_learned && reorder.can("Reorder Manager")) {
			frm.add_custom_button(
				__("Learn Purchases Again"),
				() =>
					frappe.confirm(
						__("What was learned of this customer had been erased. Learn it from the invoices again?"),
						() =>
							reorder
								.call("privacy.erasing.learn_again", { customer: doc.name })
								.then(() => frm.reload_doc()),
					),
				__("Actions"),
			);
		}
	},
});
