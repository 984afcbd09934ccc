// The page /recharge-confirm: its button opens the gateway's page; after the return it asks how that went.
frappe.ready(() => {
	const button = document.getElementById("go");
	const news = document.getElementById("news");
	if (!button) return;
	const { token, returned, opening, asking, unpaid } = button.dataset;
	const post = (method, done, failed) =>
		frappe.call({
			method: `crm_recharge.api.recharge.${method}`,
			args: { token },
			type: "POST",
			callback: (r) => done(r.message),
			error: failed,
		});
	// With the focus, which a button loses that is disabled.
	const free = () => {
		button.disabled = false;
		button.focus();
	};
	button.addEventListener("click", () => {
		button.disabled = true;
		news.textContent = opening;
		post(
			"confirm_start",
			(page) => (window.location.href = page.url),
			() => {
				free();
				news.textContent = "";
			},
		);
	});
	// Who comes back by the browser's button may find the page as it was left.
	addEventListener("pageshow", (event) => event.persisted && location.reload());
	if (!returned) return;
	button.disabled = true;
	news.textContent = asking;
	post(
		"confirm_finish",
		(payment) => {
			if (payment.paid)
				return window.location.replace(`${window.location.pathname}?token=${encodeURIComponent(token)}`);
			free();
			news.textContent = unpaid;
		},
		free,
	);
});
