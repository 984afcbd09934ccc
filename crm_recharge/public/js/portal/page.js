// The customer's page /credits: takes what came with the page, and keeps it up to date.
frappe.ready(() => {
	const { portal } = crm_recharge;
	const { byId, call } = portal;

	byId("account")?.addEventListener("change", (event) => {
		if (event.target.value)
			window.location.href = `/credits?account=${encodeURIComponent(event.target.value)}`;
	});
	if (!portal.data) return;

	function show({ keep_typed = false } = {}) {
		portal.show_figures();
		portal.show_auto_recharge({ keep_typed });
		for (const id of ["add-credits", "save", "add-card"]) byId(id).hidden = !portal.data.may_change;
	}

	/* Show what the server has answered; what was typed is saved or given up. */
	portal.take = (found) => {
		portal.data = found;
		show();
		follow();
	};

	/* As `take`, but leave what is typed and not saved. It may still be saved if the setting was changed by this very
	   page (`ours`); otherwise the server refuses and the person looks again. */
	portal.update = (found, { ours = false } = {}) => {
		if (!portal.dirty) return portal.take(found);
		const { modified } = ours ? found.auto_recharge : portal.data.auto_recharge;
		portal.data = { ...found, auto_recharge: { ...found.auto_recharge, modified } };
		show({ keep_typed: true });
		follow();
	};

	portal.refresh = async (how) =>
		portal.update(await call("overview", { account: portal.data.account }), how);

	let followed = null;
	/* A recharge under way: look until it has ended, then show what it changed. */
	async function follow() {
		const { recharge, status } = portal.data.pending || {};
		if (!recharge || ["Action Required", "Held"].includes(status) || followed === recharge) return;
		followed = recharge;
		const found = await portal.ended(recharge);
		followed = null;
		if (found?.ended && portal.data.pending?.recharge === recharge) await portal.refresh().catch(() => {});
	}

	/* Something has changed elsewhere: by the worker, a colleague, the bank. */
	let soon = null;
	const hear = ({ account }) => {
		if (account !== portal.data.account) return;
		clearTimeout(soon);
		soon = setTimeout(() => portal.refresh().catch(() => {}), 500);
	};
	// Once Frappe's own script has begun to listen.
	setTimeout(() => frappe.realtime?.on?.("crm_recharge_change", hear));

	show();
	follow();
});
