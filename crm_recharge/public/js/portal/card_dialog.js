// A new card on /credits: the gateway's own form (card_entry.js) in a dialog.
(() => {
	const { portal } = crm_recharge;
	const { byId, act, call } = portal;
	if (!byId("add-card")) return;

	const dialog = portal.dialog("card-dialog", { shown: () => byId("card-name").focus() });
	let setup = null;
	let entry = null;

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
		entry?.close();
		entry = null;
		byId("card-entry").innerHTML = "";
		const tell = (text) => (byId("card-problem").textContent = text);
		try {
			entry = await crm_recharge.card_entry(setup, byId("card-entry"), tell);
		} catch (error) {
			tell(error.message);
		}
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
		if (!entry) throw new Error(__("The card form is not there."));
		await entry.confirm(setup, byId("card-name").value.trim());
		const { account } = portal.data;
		return (await call("finish_card", { account, setup_intent: setup.setup_intent })).card;
	}
})();
