// Saving a card: Stripe's own form in a dialog. A card number never passes this site's server.
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

		let stripe = null;
		let element = null;
		let setup = null;
		try {
			await load_script(form.script);
			stripe = window.Stripe(form.publishable_key);
			area.html(
				`<label class="control-label">${__(
					"Card",
				)}</label><div class="form-control" style="height:auto;padding:10px"></div>`,
			);
			element = stripe.elements().create("card", { hidePostalCode: false });
			element.mount(area.find("div").get(0));
			element.on("change", (event) => tell(event.error?.message));
		} catch (error) {
			area.empty();
			tell(
				__("Stripe's card form could not be loaded ({0}). Check the network or the browser's blocker.", [
					error.message,
				]),
			);
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
			if (!element) throw new Error(__("Stripe's card form is not there."));
			setup = setup || (await desk.call("recharge.start_card_setup", { account }));
			const result = await stripe.confirmCardSetup(setup.client_secret, {
				payment_method: { card: element, billing_details: name ? { name } : {} },
			});
			if (result.error) throw new Error(result.error.message);
			return (await desk.call("recharge.finish_card_setup", { account, setup_intent: setup.setup_intent }))
				.card;
		}
	};

	const fields = (form) => [
		{
			fieldtype: "HTML",
			options: `<p class="text-muted small">${__(
				"The card is entered in a form of Stripe and kept there. This site sees its brand, last four digits and expiry only.",
			)}</p>`,
		},
		{ fieldname: "name", fieldtype: "Data", label: __("Name on Card"), default: form.name },
		{ fieldname: "card_form", fieldtype: "HTML" },
		...(form.custom_address
			? [
					{
						fieldname: "payment_method",
						fieldtype: "Data",
						label: __("Or Stripe Payment Method Id"),
						description: __(
							"For tests: {0} stands in for Stripe. Give an id such as pm_card_visa instead of a card.",
							[form.custom_address],
						),
					},
			  ]
			: []),
		{ fieldname: "problem", fieldtype: "HTML" },
	];

	const loading = {};

	function load_script(address) {
		if (window.Stripe) return Promise.resolve();
		loading[address] ||= new Promise((resolve, reject) => {
			const script = document.createElement("script");
			script.src = address;
			script.onload = resolve;
			script.onerror = () => {
				delete loading[address];
				script.remove();
				reject(new Error(address));
			};
			document.head.append(script);
		});
		return loading[address];
	}
})();
