// What /credits shows: the balance, how the account stands, the last recharges and movements.
(() => {
	const { portal } = crm_recharge;
	const { byId, text, note, badge } = portal;

	portal.show_figures = () => {
		show_balance();
		show_recharges();
		show_movements();
	};

	const standing = () => {
		const { data } = portal;
		const auto = data.auto_recharge;
		return crm_recharge.standing({
			status: data.status,
			balance: data.balance,
			switched_off: auto.disabled_reason,
			held: auto.held_because,
			paused: auto.enabled && auto.paused_because,
			pending: data.pending?.status,
		});
	};

	function show_balance() {
		const { data } = portal;
		const { label, colour } = standing();
		byId("balance").innerHTML = `
			<div class="balance" data-balance="${text(data.balance)}">${text(data.balance_shown)}</div>
			<div class="text-muted">${text(data.customer_name)} · ${text(data.account)} · ${text(data.currency.name)}
				${badge("", label, colour)}</div>
			${data.pending ? pending_note(data.pending) : ""}`;
	}

	function pending_note(pending) {
		const said =
			pending.status === "Held"
				? __("Your payment of {0} has arrived and is being looked at. You need not pay again.", [
						text(pending.amount_shown),
				  ])
				: pending.status === "Action Required"
				  ? __("Your bank wants you to confirm the payment of {0}. Nothing has been charged yet.", [
							text(pending.amount_shown),
				    ])
				  : __("Pending: {0}, not yet part of the balance.", [text(pending.amount_shown)]);
		const confirm = pending.confirm
			? `<a class="btn btn-primary" href="${text(pending.confirm)}">${__("Confirm the payment")}</a>`
			: "";
		const cancel =
			pending.may_cancel && portal.data.may_change
				? `<button type="button" class="btn btn-light" data-cancel="${text(pending.recharge)}">${__(
						"Cancel the payment",
				  )}</button>`
				: "";
		const choices = confirm || cancel ? `<div class="choices">${confirm}${cancel}</div>` : "";
		return note("wait", `<span data-pending>${said}</span>${choices}`);
	}

	/* Ask, then cancel the payment that waits. */
	portal.cancel = async (recharge) => {
		const { amount_shown } = portal.data.pending || {};
		const sure = await portal.ask(
			__("Cancel the payment"),
			__("Cancel the payment of {0}? Nothing is charged for it, and you can add credits anew.", [
				amount_shown || "",
			]),
			__("Cancel the payment"),
		);
		if (!sure) return;
		const now = await portal.call("cancel", { recharge });
		await portal.refresh().catch(() => {});
		// Whoever confirmed it a moment before has paid, and has the credits.
		if (now.status !== "Cancelled") byId("page-problem").textContent = portal.was_faster(now);
	};

	portal.was_faster = (now) =>
		__("The payment of {0} cannot be cancelled any more: {1}.", [now.amount_shown, now.status_shown]);

	byId("balance")?.addEventListener("click", (event) => {
		const button = event.target.closest("[data-cancel]");
		if (button) portal.act(button, byId("page-problem"), () => portal.cancel(button.dataset.cancel));
	});

	// Broken between the day and the hour, if at all.
	const when = (row) =>
		text(row.when)
			.split(" ")
			.map((part) => `<span class="text-nowrap">${part}</span>`)
			.join(" ");

	function show_recharges() {
		const rows = portal.data.recharges.map((row) => {
			const more = [
				row.payment ? `<small class="text-muted text-break">${text(row.payment)}</small>` : "",
				row.reason && !row.payment ? `<small>${text(row.reason)}</small>` : "",
				row.confirm ? `<a href="${text(row.confirm)}">${__("Confirm the payment")}</a>` : "",
				row.invoice ? `<a href="${text(row.invoice)}">${__("Invoice (PDF)")}</a>` : "",
			].filter(Boolean);
			const how = row.automatic ? __("Automatic") : __("By hand");
			const cards = row.cards.length ? ` · ${row.cards.map(text).join(", ")}` : "";
			return [
				`${when(row)}<br><small class="text-muted">${how}${cards}</small>`,
				[badge(row.status, row.status_shown), ...more].join("<br>"),
				text(row.amount),
			];
		});
		byId("recharges").innerHTML = table(
			[__("When"), __("Status"), __("Amount")],
			rows,
			__("No recharge yet."),
		);
	}

	const occurred = (row) => (row.occurred ? ` · ${__("used {0}", [text(row.occurred)])}` : "");

	function show_movements() {
		const rows = portal.data.movements.map((row) => {
			const category = row.category ? ` · ${text(row.category)}` : "";
			return [
				`${when(row)}<br><small class="text-muted">${text(row.type)}${category}${occurred(row)}</small>`,
				text(row.amount),
				text(row.balance_after),
			];
		});
		byId("movements").innerHTML = table(
			[__("When"), __("Amount"), __("Balance")],
			rows,
			__("No movement yet."),
		);
	}

	/* On a narrow screen each row is a list of its cells with their headings, see credits.css. */
	function table(heads, rows, empty) {
		if (!rows.length) return `<p class="text-muted mb-0">${empty}</p>`;
		const amounts = [__("Amount"), __("Balance")];
		const css = heads.map((title) => (amounts.includes(title) ? "amount" : ""));
		const head = heads.map(
			(title, i) => `<th role="columnheader" scope="col" class="${css[i]}">${title}</th>`,
		);
		const body = rows.map((cells) => {
			const filled = cells.map(
				(cell, i) => `<td role="cell" class="${css[i]}" data-label="${heads[i]}"><div>${cell}</div></td>`,
			);
			return `<tr role="row">${filled.join("")}</tr>`;
		});
		return `<table class="table table-sm rows" role="table"><thead role="rowgroup"><tr role="row" class="text-muted small">${head.join(
			"",
		)}</tr></thead><tbody role="rowgroup">${body.join("")}</tbody></table>`;
	}
})();
