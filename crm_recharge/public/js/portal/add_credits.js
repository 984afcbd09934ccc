// Add Credits on /credits: an amount, a card, the charge as it goes on, and its result. What this dialog has asked for is
// told as its own; another payment that is under way is told as another.
(() => {
	const { portal } = crm_recharge;
	const { byId, text, call } = portal;
	if (!byId("add-credits")) return;

	let key = null;
	let open = false;
	const dialog = portal.dialog("add-credits-dialog", {
		shown: () => (charge.hidden ? result : byId("amount")).focus(),
		hidden: () => (open = false),
	});
	const result = dialog.$.find(".result").get(0);
	const charge = dialog.$.find("[type=submit]").get(0);
	const fields = dialog.$.find(".fields").get(0);

	// Not `disabled`, which would take the focus out of the dialog, and with it Escape and the keyboard.
	const busy = (yes) => (charge.ariaDisabled = String(yes));

	// One key for one dialog: however often it is pressed or sent, it is the same recharge.
	const new_key = () => {
		const bytes = crypto.getRandomValues(new Uint8Array(16));
		return "portal-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
	};

	const title = (words) => (byId("add-credits-title").textContent = words);
	const say = (kind, html) => {
		result.innerHTML = `<div class="note ${kind}" data-result="${kind}">${html}</div>`;
	};

	byId("add-credits").addEventListener("click", () => {
		prepare();
		dialog.open();
	});

	function prepare(amount = "") {
		const offer = portal.data.add_credits;
		key = new_key();
		open = true;
		result.innerHTML = "";
		title(__("Add Credits"));
		byId("amount").value = amount;
		byId("amount-help").textContent = __("From {0} to {1}", [offer.minimum_shown, offer.maximum_shown]);
		offer_amounts(offer);
		const has_cards = offer_cards(offer);
		const pending = portal.data.pending?.recharge;
		show_fields(has_cards && !pending);
		busy(false);
		label_charge();
		if (pending) watch_other(pending);
		else if (!has_cards) say("bad", __("No card is saved yet. Close this and press Add Card first."));
	}

	function show_fields(yes) {
		fields.hidden = charge.hidden = !yes;
	}

	function offer_amounts(offer) {
		const buttons = offer.presets.map(
			(preset) =>
				`<button type="button" class="btn btn-light" data-amount="${text(preset.amount)}">${text(
					preset.shown,
				)}</button>`,
		);
		dialog.$.find(".amounts").html(buttons.join(""));
	}

	function offer_cards(offer) {
		const options = offer.cards.map((name) => {
			const card = portal.data.cards.find((other) => other.name === name);
			return `<option value="${text(name)}">${text(card.label)} · ${__("expires {0}", [
				text(card.expires),
			])}</option>`;
		});
		if (offer.cards_listed)
			options.unshift(`<option value="">${__("As in Auto-Recharge, in its order")}</option>`);
		byId("card").innerHTML = options.join("");
		return options.length > 0;
	}

	dialog.$.on("click", "[data-amount]", (event) => {
		byId("amount").value = portal.number(event.currentTarget.dataset.amount);
		label_charge();
	});
	byId("amount").addEventListener("input", label_charge);

	function label_charge() {
		const { digits } = portal.read(byId("amount").value);
		charge.textContent = digits ? __("Charge {0}", [portal.money(digits)]) : __("Charge Card");
	}

	// -- asking for it -----------------------------------------------------------------------------------------

	dialog.$.find("form").on("submit", async (event) => {
		event.preventDefault();
		if (charge.hidden || charge.ariaDisabled === "true") return;
		busy(true);
		say("wait", __("Sending …"));
		const amount = byId("amount").value;
		try {
			const args = {
				account: portal.data.account,
				amount,
				idempotency_key: key,
				card: byId("card").value || null,
			};
			watch((await call("start", args)).recharge);
		} catch (failed) {
			not_started(failed, amount);
		}
	});

	function not_started(failed, amount) {
		const { code, recharge, first } = failed.error || {};
		if (code === "recharge_open") return watch_other(recharge, amount);
		if (code === "idempotency_conflict") return watch(first.recharge, failed.message);
		busy(false);
		if (failed.status >= 400 && failed.status < 500)
			say("bad", `${text(failed.message)} <b>${__("Nothing was charged.")}</b>`);
		else
			say(
				"bad",
				__("The server did not answer. Try again: it is the same recharge, so nothing is charged twice."),
			);
	}

	// -- this dialog's own recharge ------------------------------------------------------------------------------

	/* Follow what this dialog has asked for. `remark`: what has to be known besides. */
	async function watch(recharge, remark = "") {
		const mine = key;
		const here = () => open && key === mine;
		const head = remark ? `<p>${text(remark)}</p>` : "";
		show_fields(false);
		result.focus();
		say("wait", `${head}${__("The card is being charged …")}`);
		portal.refresh().catch(() => {});
		const found = await portal.ended(recharge, (now) => show_progress(now, head), here);
		if (found?.ended) portal.refresh().catch(() => {});
		if (!here()) return;
		if (found?.ended) show_end(found, head);
		else
			say(
				"wait",
				`${head}${__("It takes longer than usual. It goes on by itself, and nothing is charged twice.")}`,
			);
	}

	function show_progress(found, head) {
		if (found.status === "Processing")
			return say(
				"wait",
				`${head}<p>${__(
					"Your payment of {0} was accepted. The bank takes some days; your credits come then.",
					[text(found.amount_shown)],
				)}</p>`,
			);
		const tried = found.attempts.filter((attempt) => attempt.status === "Declined");
		say(
			"wait",
			`${head}<p>${__("{0} is being charged …", [text(found.amount_shown)])}</p>${portal.reasons(tried)}
			<p class="text-muted small mb-0">${__("You may close this: it goes on by itself.")}</p>`,
		);
	}

	function show_end(found, head = "") {
		if (found.payment) show_paid(found, head);
		else if (found.status === "Action Required") show_confirmation(found, head);
		else if (found.status === "Held") {
			title(__("Being Looked At"));
			say(
				"wait",
				`${head}<p>${__("Your payment of {0} has arrived and is being looked at. You need not pay again.", [
					text(found.amount_shown),
				])}</p>`,
			);
		} else {
			title(__("Not Charged"));
			say(
				"bad",
				`${head}<p>${__("{0} could not be charged. The balance is unchanged.", [
					text(found.amount_shown),
				])}</p>
				${portal.reasons(found.attempts)}${again()}`,
			);
			offer_again(found.amount);
		}
	}

	function show_paid(found, head) {
		title(__("Credits Added"));
		const paid = found.attempts.find((attempt) => attempt.status === "Succeeded");
		const lines = [
			[__("Amount credited"), `<b>${text(found.amount_shown)}</b>`],
			[__("New balance"), `<b>${text(found.balance_after_shown)}</b>`],
			[__("Card"), paid ? text(portal.card_of(paid)) : ""],
			[__("Transaction"), `<span class="text-break">${text(found.payment)}</span>`],
		];
		const before = portal.reasons(found.attempts);
		say(
			"good",
			`${head}<table class="table table-sm table-borderless">${lines
				.map(([label, value]) => `<tr><th scope="row">${label}</th><td class="text-right">${value}</td></tr>`)
				.join("")}</table>${before ? `<p class="mb-1">${__("Tried before:")}</p>${before}` : ""}`,
		);
	}

	function show_confirmation(found, head) {
		title(__("Confirmation Needed"));
		say(
			"bad",
			`${head}<p>${__("Your bank wants you to confirm the payment of {0}. Nothing has been charged yet.", [
				text(found.amount_shown),
			])}</p><div class="choices">${
				found.confirm
					? `<a class="btn btn-primary" href="${text(found.confirm)}">${__("Confirm the payment")}</a>`
					: ""
			}${cancel_button(found.recharge)}</div>`,
		);
		offer_cancel();
	}

	const again = () =>
		`<div class="choices"><button type="button" class="btn btn-light" data-again>${__(
			"Try Again",
		)}</button></div>`;

	function offer_again(amount) {
		const button = result.querySelector("[data-again]");
		if (button)
			button.onclick = () => {
				prepare(amount ? portal.number(amount) : "");
				(charge.hidden ? result : byId("amount")).focus();
			};
	}

	const cancel_button = (recharge) =>
		`<button type="button" class="btn btn-light" data-cancel="${text(recharge)}">${__(
			"Cancel the payment",
		)}</button>`;

	/* In this dialog pressing it is enough: the question is on the screen already. */
	function offer_cancel(amount) {
		const button = result.querySelector("[data-cancel]");
		if (!button) return;
		button.onclick = async () => {
			button.disabled = true;
			try {
				const now = await call("cancel", { recharge: button.dataset.cancel });
				await portal.refresh();
				if (now.status !== "Cancelled") return say("bad", text(portal.was_faster(now)));
				prepare(amount);
				byId("amount").focus();
			} catch (failed) {
				say("bad", text(failed.message));
			}
		};
	}

	// -- another payment -----------------------------------------------------------------------------------------

	/* Another payment is under way, started in another window or by itself. `amount`: what was typed here, and not
	   started. */
	async function watch_other(recharge, amount = "") {
		const mine = key;
		const here = () => open && key === mine;
		show_fields(false);
		title(__("Another Payment Is Under Way"));
		const { digits } = portal.read(amount);
		const ours = digits
			? `<p><b>${__("Yours of {0} was not started, and nothing was charged for it.", [
					text(portal.money(digits)),
			  ])}</b></p>`
			: "";
		say("wait", ours || __("Looking …"));
		result.focus();
		portal.refresh().catch(() => {});
		const found = await portal.ended(recharge, (now) => say("wait", ours + other_in_words(now)), here);
		if (found?.ended) await portal.refresh().catch(() => {});
		if (!here() || !found) return;
		if (!found.ended) return say("wait", ours + other_in_words(found));
		const waits = found.status === "Action Required";
		say(waits ? "bad" : "wait", ours + other_in_words(found) + (waits ? other_choices(found) : again()));
		offer_again(digits);
		offer_cancel(amount);
	}

	const other_in_words = (found) => {
		const what = found.automatic
			? __("An automatic payment of {0} on this account:", [text(found.amount_shown)])
			: __("Another payment of {0} on this account:", [text(found.amount_shown)]);
		return `<p>${what} <b data-other="${text(found.recharge)}">${text(found.status_shown)}</b>.</p>`;
	};

	const other_choices = (found) =>
		`<div class="choices">${
			found.confirm
				? `<a class="btn btn-primary" href="${text(found.confirm)}">${__("Confirm the payment")}</a>`
				: ""
		}${cancel_button(found.recharge)}</div>`;
})();
