// Waiting for a document to change: told by Frappe's realtime, and looked for where there is none.
frappe.provide("crm_recharge");

(() => {
	// The desk's own, and that for the owner's page.
	const EVENTS = ["doc_update", "crm_recharge_change"];
	const POLL_MS = 1000;
	// What is told may be lost: now and then it is looked for all the same.
	const SURE_MS = 20 * 1000;

	/* Watches one document. `next()` resolves when it has changed, or when it is time to look; `stop()` ends it. */
	crm_recharge.watch = (doctype, name) => {
		const client = frappe.realtime;
		let told = false;
		let wake = () => {};
		let looks = 0;
		const hear = (change) => {
			if (change?.doctype !== doctype || change?.name !== name) return;
			told = true;
			wake();
		};
		for (const event of EVENTS) client?.on?.(event, hear);
		// The server lets in who may see the document; a user's own room needs no asking.
		if (client?.socket && frappe.boot?.user) client.emit("doc_subscribe", doctype, name);
		return {
			next: () =>
				new Promise((done) => {
					// The server takes a moment to let in, and what happened before is not told again.
					const is_live = client?.socket?.connected && ++looks > 2;
					const timer = setTimeout(done, is_live ? SURE_MS : POLL_MS);
					wake = () => {
						clearTimeout(timer);
						done();
					};
					if (told) wake();
				}).then(() => {
					told = false;
					wake = () => {};
				}),
			stop: () => {
				for (const event of EVENTS) client?.off?.(event, hear);
			},
		};
	};
})();
