frappe.ui.form.on("Credit Webhook", {
	refresh(frm) {
		const { desk } = crm_recharge;
		if (frm.is_new()) return;
		frm.add_custom_button(__("Deliveries"), () =>
			frappe.set_route("List", "Credit Webhook Delivery", { webhook: frm.doc.name }),
		);
		frm.add_custom_button(__("New Secret"), () =>
			frappe.confirm(
				__("Make a new signing secret? For a day both secrets sign, so that nothing is refused meanwhile."),
				async () => {
					const { secret } = await desk.call("events.new_secret", { webhook: frm.doc.name });
					await frm.reload_doc();
					frappe.msgprint({
						title: __("New Secret"),
						message: `<p>${__("Copy it now: it is not shown again.")}</p><code>${desk.text(secret)}</code>`,
					});
				},
			),
		);
	},
});
