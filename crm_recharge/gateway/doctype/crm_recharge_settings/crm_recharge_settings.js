frappe.ui.form.on("CRM Recharge Settings", {
	setup(frm) {
		const of_company = (doc, cdt, cdn) => ({ company: locals[cdt][cdn].company || "" });
		for (const field of ["unearned_revenue_account", "clearing_account", "fee_account", "loss_account"]) {
			frm.set_query(field, "companies", (...row) => ({ filters: { ...of_company(...row), is_group: 0 } }));
		}
		frm.set_query("cost_center", "companies", (...row) => ({
			filters: { ...of_company(...row), is_group: 0 },
		}));
		frm.set_query("taxes_template", "companies", (...row) => ({ filters: of_company(...row) }));
	},

	refresh(frm) {
		frm.add_custom_button(__("Test Connection"), () => frm.events.test_connection(frm));
		frm.trigger("show_steps");
		frm.trigger("show_site");
	},

	// A site that was copied or moved makes no payments before a person has said which of the two it is.
	async show_site(frm) {
		const { home, message } = await frappe.xcall("crm_recharge.api.settings.site");
		frm.set_intro("");
		if (home) return;
		frm.set_intro(crm_recharge.desk.text(message), "red");
		const group = __("Payments Rest");
		frm.add_custom_button(__("This Site Has Moved"), () => frm.events.confirm_site(frm, "moved"), group);
		frm.add_custom_button(__("This Is a Copy"), () => frm.events.confirm_site(frm, "copy"), group);
	},

	confirm_site(frm, what) {
		const texts = {
			moved: __(
				"It is the same site at another place, and the one at the old place no longer runs. Payments go on from here.",
			),
			copy: __(
				"The original goes on elsewhere. The payments that are open here are left to it, the saved cards must be entered again, and auto-recharge is switched off for all accounts.",
			),
		};
		frappe.confirm(texts[what], async () => {
			await frappe.xcall("crm_recharge.api.settings.confirm_site", { what });
			frm.reload_doc();
		});
	},

	async test_connection(frm) {
		if (frm.is_dirty()) {
			frappe.msgprint(__("Save your changes first: the saved keys are tested."));
			return;
		}
		const answer = await frappe.xcall("crm_recharge.api.settings.test_connection");
		frappe.msgprint({
			title: answer.ok ? __("Connected") : __("Not Connected"),
			indicator: answer.ok ? "green" : "red",
			message: `${crm_recharge.desk.text(answer.message)}<br><span class="text-muted">${__("{0} ms", [
				answer.milliseconds,
			])}</span>`,
		});
	},

	async show_steps(frm) {
		const { address, events, gateway, gateways } = await frappe.xcall("crm_recharge.api.settings.webhook");
		// One gateway leaves nothing to choose.
		frm.set_df_property("gateway", "options", gateways);
		frm.toggle_display("gateway", gateways.length > 1);
		if (gateway !== "Stripe") return;
		const { text } = crm_recharge.desk;
		const code = `<code>${text(address)}</code>`;
		const steps = [
			__(
				"In Stripe's dashboard, under Developers › API keys, copy the publishable key and a secret key. A restricted key with write access to PaymentIntents, SetupIntents, PaymentMethods, Customers and Refunds, and read access to Charges, Disputes and Balance transactions, is enough.",
			),
			__("Under Developers › Webhooks, add an endpoint with this address, and copy its signing secret:") +
				`<div class="my-2">${code} <button type="button" class="btn btn-xs btn-default" data-copy>${__(
					"Copy",
				)}</button></div>
				<details class="text-muted small"><summary>${__("Send these {0} events", [events.length])}</summary>
				${text(events.join(", "))}</details>`,
			__("Save, then press Test Connection."),
		];
		const items = steps.map((step) => `<li>${step}</li>`).join("");
		frm
			.get_field("stripe_help")
			.$wrapper.html(`<div class="crm-recharge-note"><ol class="crm-recharge-steps">${items}</ol></div>`)
			.off("click")
			.on("click", "[data-copy]", () => frappe.utils.copy_to_clipboard(address));
	},
});
