// The form of a gateway in which a card is entered, in the desk and on /credits. No card number passes this site's server.
//
// A gateway brings `crm_recharge.card_forms[name].mount(form, place, on_problem)`: it shows its form in the element
// `place` and returns { confirm(setup, name), close() }. `form` is what the server says of it (port.Adapter.for_browser).
(() => {
	window.crm_recharge = window.crm_recharge || {};
	crm_recharge.card_forms = crm_recharge.card_forms || {};
	const loading = {};

	crm_recharge.load_script = (address) => {
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
	};

	/* Show the gateway's form; throws an Error that says why it is not there. */
	crm_recharge.card_entry = async (form, place, on_problem) => {
		try {
			if (!crm_recharge.card_forms[form.gateway]) await crm_recharge.load_script(form.form_script);
			return await crm_recharge.card_forms[form.gateway].mount(form, place, on_problem);
		} catch (error) {
			throw new Error(
				__("The card form could not be loaded ({0}). Check the network or the browser's blocker.", [
					error.message,
				]),
			);
		}
	};
})();
