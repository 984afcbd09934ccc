// A new card on /credits: entered in Stripe's own form, in a dialog. No number passes this site.
(() => {
	const { portal } = crm_recharge;
	const { byId, act, call } = portal;
	if (!byId("add-card")) return;

	const dialog = portal.dialog("card-dialog", { shown: () => byId("card-name").focus() });
	let setup = null;
	let element = null;
	let stripe = null;

	byId("add-card").addEventListener("click", () =>
		act(byId("add-card"), byId("cards-problem"), async () => {
			setup = await call("begin_card", { account: portal.data.account });
			byId("card-name").value = setup.name || "";
			byId("payment-method").value = "";
			byId("by-id").hidden = !setup.custom_address;
			byId("card-problem").textContent = "";
			dialog.open();
			await mount();
		}),
	);

	async function mount() {
		element?.destroy?.();
		element = null;
		byId("stripe-card").innerHTML = "";
		try {
			await load_script(setup.script);
			stripe = window.Stripe(setup.publishable_key);
			element = stripe.elements().create("card", { hidePostalCode: false });
			element.mount(byId("stripe-card"));
			element.on("change", (event) => (byId("card-problem").textContent = event.error?.message || ""));
		} catch (error) {
			byId("card-problem").textContent = __(
				"Stripe's card form could not be loaded ({0}). Check the network or the browser's blocker.",
				[error.message],
			);
		}
	}

	function load_script(address) {
		if (window.Stripe) return Promise.resolve();
		return new Promise((resolve, reject) => {
			const script = document.createElement("script");
			script.src = address;
			script.onload = resolve;
			script.onerror = () => {
				script.remove();
				reject(new Error(address));
			};
			document.head.append(script);
		});
	}

	dialog.$.find("form").on("submit", (event) => {
		event.preventDefault();
		const button = dialog.$.find("[type=submit]").get(0);
		act(button, byId("card-problem"), async () => {
			const by_id = byId("by-id").hidden ? "" : byId("payment-method").value.trim();
			const card = by_id
				? (await call("save_card", { account: portal.data.account, payment_method: by_id })).card
				: await by_form();
			dialog.close();
			await portal.put_on_list(card);
		});
	});

	async function by_form() {
		if (!element) throw new Error(__("Stripe's card form is not there."));
		const name = byId("card-name").value.trim();
		const result = await stripe.confirmCardSetup(setup.client_secret, {
			payment_method: { card: element, billing_details: name ? { name } : {} },
		});
		if (result.error) throw new Error(result.error.message);
		const { account } = portal.data;
		return (await call("finish_card", { account, setup_intent: setup.setup_intent })).card;
	}
})();
