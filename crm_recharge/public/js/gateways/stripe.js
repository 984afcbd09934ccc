// Stripe's own form of a card; card_entry.js says what such a form is.
(() => {
	crm_recharge.card_forms.Stripe = {
		async mount(form, place, on_problem) {
			if (!window.Stripe) await crm_recharge.load_script(form.script);
			const stripe = window.Stripe(form.publishable_key);
			const element = stripe.elements().create("card", { hidePostalCode: false });
			element.mount(place);
			element.on("change", (event) => on_problem(event.error?.message || ""));
			return {
				async confirm(setup, name) {
					const result = await stripe.confirmCardSetup(setup.client_secret, {
						payment_method: { card: element, billing_details: name ? { name } : {} },
					});
					if (result.error) throw new Error(result.error.message);
				},
				close: () => element.destroy?.(),
			};
		},
	};
})();
