// Saving a card: the gateway's own form (card_entry.js) in a dialog.
frappe.provide("crm_recharge.desk");

(() => {
	const desk = crm_recharge.desk;

	/* Open it for `account`; `on_saved(card)` gets the name of the Recharge Card. */
	desk.add_card = async (account, on_saved) => {
		const form = await desk.call("recharge.card_form", { account });
		const dialog = new frappe.ui.Dialog({
			title: __("Add Card"),
			fields: fields(form),
			primary_action_label: __("Save Card"),
			primary_action: (values) => save(values),
		});
		dialog.show();
		const area = dialog.fields_dict.card_form.$wrapper;
		const problem = dialog.fields_dict.problem.$wrapper;
		const tell = (text) =>
			problem.html(text ? `<div class="crm-recharge-note bad" role="alert">${desk.text(text)}</div>` : "");

		let entry = null;
		let setup = null;
		area.html(
			`<label class="control-label">${__(
				"Card",
			)}</label><div class="form-control" style="height:auto;padding:10px"></div>`,
		);
		try {
			entry = await crm_recharge.card_entry(form, area.find("div").get(0), tell);
		} catch (error) {
			area.empty();
			tell(error.message);
		}

		let busy = false;
		async function save(values) {
			if (busy) return;
			busy = true;
			dialog.get_primary_btn().prop("disabled", true);
			tell("");
			try {
				const card = values.payment_method ? await by_id(values.payment_method) : await by_form(values.name);
				dialog.hide();
				frappe.show_alert({ message: __("Card saved"), indicator: "green" });
				on_saved(card);
			} catch (error) {
				// What the server refuses is on the screen already.
				if (error instanceof Error) tell(error.message);
			} finally {
				busy = false;
				dialog.get_primary_btn().prop("disabled", false);
			}
		}

		async function by_id(payment_method) {
			return (await desk.call("recharge.save_card", { account, payment_method: payment_method.trim() })).card;
		}

		async function by_form(name) {
			if (!entry) throw new Error(__("The card form is not there."));
			setup = setup || (await desk.call("recharge.start_card_setup", { account }));
			await entry.confirm(setup, name);
			return (await desk.call("recharge.finish_card_setup", { account, setup_intent: setup.setup_intent }))
				.card;
		}
	};

	const fields = (form) => [
		{
			fieldtype: "HTML",
			options: `<p class="text-muted small">${__(
				"The card is entered in a form of the payment provider and kept there. This site sees its brand, last four digits and expiry only.",
			)}</p>`,
		},
		{ fieldname: "name", fieldtype: "Data", label: __("Name on Card"), default: form.name },
		{ fieldname: "card_form", fieldtype: "HTML" },
		...(form.custom_address
			? [
					{
						fieldname: "payment_method",
						fieldtype: "Data",
						label: __("Or Payment Method Id"),
						description: __(
							"For tests: {0} stands in for the gateway. Give an id such as pm_card_visa instead of a card.",
							[form.custom_address],
						),
					},
			  ]
			: []),
		{ fieldname: "problem", fieldtype: "HTML" },
	];
})();
