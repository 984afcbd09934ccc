// The Add Credits dialog: choose an amount and a card, watch the charge, read the result.
frappe.provide("crm_recharge.desk");

(() => {
	const desk = crm_recharge.desk;
	const WATCH_MS = 90 * 1000;

	/* Open it for `account`. `on_change()` runs when the account's figures may have changed. */
	desk.add_credits = async (account, { amount, on_change = () => {} } = {}) => {
		const form = await desk.call("desk.add_credits_form", { account });
		new AddCredits(form, amount, on_change).show();
	};

	class AddCredits {
		constructor(form, amount, on_change) {
			this.form = form;
			this.amount = amount;
			this.on_change = on_change;
			this.key = desk.new_key();
		}

		show() {
			this.dialog = new frappe.ui.Dialog({
				title: __("Add Credits"),
				fields: this.fields(),
				primary_action_label: __("Charge Card"),
				primary_action: (values) => this.start(values),
			});
			this.dialog.onhide = () => (this.closed = true);
			this.dialog.show();
			this.dialog.get_primary_btn().attr("data-action", "charge");
			if (this.form.open_recharge) this.watch_other(this.form.open_recharge);
			else this.prepare();
		}

		fields() {
			const { currency, minimum, maximum } = this.form;
			return [
				{ fieldname: "intro", fieldtype: "HTML" },
				{ fieldname: "presets", fieldtype: "HTML" },
				{
					fieldname: "amount",
					fieldtype: "Data",
					label: __("Amount ({0})", [currency]),
					description: __("From {0} to {1}", [desk.money(minimum, currency), desk.money(maximum, currency)]),
				},
				{ fieldname: "card", fieldtype: "Select", label: __("Card"), options: this.card_options() },
				{ fieldname: "result", fieldtype: "HTML" },
			];
		}

		card_options() {
			const cards = this.form.cards.map((card) => ({
				value: card.name,
				label: `${card.card_label} · ${__("expires {0}", [desk.expiry(card)])}`,
			}));
			const first = this.form.cards_listed
				? [{ value: "", label: __("As in the auto-recharge setting, in its order") }]
				: [];
			return [...first, ...cards];
		}

		prepare() {
			const { dialog, form } = this;
			const options = this.card_options();
			if (!options.length) {
				this.say("bad", __("This account has no card. Save one first: Auto-Recharge, then Add Card."));
				dialog.get_primary_btn().prop("disabled", true);
				return;
			}
			dialog.set_value("card", options[0].value);
			dialog.fields_dict.intro.$wrapper.html(
				`<p class="text-muted">${__("The balance is {0}.", [desk.money(form.balance, form.currency)])}</p>`,
			);
			const buttons = form.preset_amounts.map(
				(amount) =>
					`<button type="button" class="btn btn-default btn-sm" data-amount="${amount}">${desk.money(
						amount,
						form.currency,
					)}</button>`,
			);
			dialog.fields_dict.presets.$wrapper
				.html(`<div class="crm-recharge-amounts">${buttons.join("")}</div>`)
				.on("click", "[data-amount]", (event) =>
					dialog.set_value("amount", desk.number($(event.currentTarget).data("amount"), form.currency)),
				);
			if (this.amount) dialog.set_value("amount", desk.number(this.amount, form.currency));
			dialog.fields_dict.amount.$input.on("input", () => this.label_button());
			dialog.fields_dict.amount.df.onchange = () => this.label_button();
		}

		/* The typed amount as plain digits. Throws an Error with a sentence. */
		typed() {
			return desk.read(this.dialog.fields_dict.amount.$input.val(), this.form.currency);
		}

		label_button() {
			let label = __("Charge Card");
			try {
				label = __("Charge {0}", [desk.money(this.typed(), this.form.currency)]);
			} catch {
				// Not an amount yet.
			}
			this.dialog.get_primary_btn().text(label);
		}

		async start(values) {
			if (this.busy) return;
			const { form } = this;
			let amount;
			try {
				amount = this.typed();
			} catch (error) {
				return this.say("bad", desk.text(error.message));
			}
			if (Number(amount) < flt(form.minimum) || Number(amount) > flt(form.maximum)) {
				this.say(
					"bad",
					__("One payment takes from {0} to {1}.", [
						desk.money(form.minimum, form.currency),
						desk.money(form.maximum, form.currency),
					]),
				);
				return;
			}
			this.busy = true;
			this.dialog.get_primary_btn().prop("disabled", true);
			this.say("wait", __("Sending …"));
			try {
				const answer = await frappe.call({
					method: "crm_recharge.api.recharge.start",
					args: {
						account: form.account,
						amount,
						idempotency_key: this.key,
						card: values.card || null,
					},
				});
				this.watch(answer.message.recharge);
			} catch (failed) {
				this.not_started(failed, amount);
			} finally {
				this.busy = false;
			}
		}

		// The key stays: asking again is the same recharge, whatever became of the first request.
		not_started(failed, amount) {
			const { code, recharge, first } = failed?.responseJSON?.error || {};
			if (code === "recharge_open") return this.watch_other(recharge, amount);
			if (code === "idempotency_conflict") return this.watch(first.recharge);
			this.dialog.get_primary_btn().prop("disabled", false);
			if (failed?.status >= 400 && failed.status < 500) {
				this.say("bad", __("Nothing was charged. Correct it and try again."));
			} else {
				this.say(
					"bad",
					__("The server did not answer. Try again: it is the same recharge, so nothing is charged twice."),
				);
			}
		}

		async watch(recharge) {
			const status = await this.follow(recharge, (now) => this.show_progress(now));
			if (!status) return;
			if (status.ended) this.show_end(status);
			else this.show_later(status);
		}

		/* What became of `recharge`, null when the dialog was closed before; `tell` hears how it goes on. */
		async follow(recharge, tell) {
			for (const field of ["intro", "presets", "amount", "card"])
				this.dialog.set_df_property(field, "hidden", 1);
			this.dialog.get_primary_btn().hide();
			this.on_change();
			const until = Date.now() + WATCH_MS;
			const watch = crm_recharge.watch("Recharge", recharge);
			let status = null;
			while (!this.closed && Date.now() < until) {
				status = await desk.call("recharge.status", { recharge }).catch(() => status);
				if (status?.ended) break;
				if (status) tell(status);
				await watch.next();
			}
			watch.stop();
			this.on_change();
			return this.closed ? null : status;
		}

		/* Another payment is under way, by a colleague or by itself. `amount`: what was typed here, and not started. */
		async watch_other(recharge, amount) {
			this.dialog.set_title(__("Another Payment Is Under Way"));
			const { currency, account } = this.form;
			const ours = amount
				? `<p><b>${__("Yours of {0} was not started, and nothing was charged for it.", [
						desk.money(amount, currency),
				  ])}</b></p>`
				: "";
			const other = (now) =>
				`${ours}<p>${__("Another payment of {0} on this account:", [desk.money(now.amount, currency)])}
				${desk.pill("Recharge", now.status)}</p><p class="mb-0">${desk.link("Recharge", recharge)}</p>`;
			const status = await this.follow(recharge, (now) => this.say("wait", other(now)));
			if (!status) return;
			this.say("wait", other(status));
			if (!status.ended) return;
			const waits = status.status === "Action Required";
			this.dialog.set_primary_action(waits ? __("Cancel the Payment") : __("Go On"), async () => {
				const go_on = () => {
					this.dialog.hide();
					desk.add_credits(account, { amount, on_change: this.on_change });
				};
				if (waits) await desk.cancel_payment(recharge, desk.money(status.amount, currency), go_on);
				else go_on();
			});
			this.dialog.get_primary_btn().prop("disabled", false).show();
		}

		show_progress(status) {
			const waiting = {
				Queued: __("{0} is waiting to be charged …"),
				Charging: __("{0} is being charged …"),
				Processing: __("{0} was accepted. The bank takes some days; credits come then."),
			}[status.status];
			const tried = status.attempts.filter((attempt) => attempt.status === "Declined");
			this.say(
				"wait",
				`<p>${__(waiting || "{0} is under way …", [desk.money(status.amount, status.currency)])}</p>${reasons(
					tried,
				)}
				<p class="text-muted small mb-0">${__("You may close this: it goes on by itself.")}</p>`,
			);
		}

		show_end(status) {
			const amount = desk.money(status.amount, status.currency);
			const link = desk.link("Recharge", status.recharge);
			if (status.payment) {
				this.dialog.set_title(__("Credits Added"));
				const paid = status.attempts.find((attempt) => attempt.status === "Succeeded");
				const declined = status.attempts.filter((attempt) => attempt.status === "Declined");
				const rows = [
					[__("Amount credited"), `<b>${amount}</b>`],
					[__("New balance"), `<b>${desk.money(status.balance_after, status.currency)}</b>`],
					[__("Card"), paid ? desk.text(desk.card_label(paid)) : ""],
					[__("Transaction"), `<span class="text-monospace">${desk.text(status.payment)}</span>`],
					[__("Recharge"), link],
				];
				const before = declined.length
					? `<p class="mb-1">${__("Tried before:")}</p>${reasons(declined)}`
					: "";
				this.say("good", definition(rows) + before);
				this.dialog.set_primary_action(__("Done"), () => this.dialog.hide());
				this.dialog.get_primary_btn().prop("disabled", false).show();
			} else if (status.status === "Action Required") {
				this.dialog.set_title(__("Confirmation Needed"));
				this.say(
					"bad",
					`<p>${__(
						"The bank wants the card holder to confirm the payment of {0}. Nothing has been charged yet.",
						[amount],
					)}</p>${reasons(status.attempts)}<p class="mb-0">${link}</p>`,
				);
			} else if (status.status === "Held") {
				this.dialog.set_title(__("Being Looked At"));
				this.say(
					"bad",
					`<p>${__(
						"The payment of {0} arrived otherwise than it was asked for. It is not credited before somebody has looked at it.",
						[amount],
					)}</p><p class="mb-0">${link}</p>`,
				);
			} else {
				this.dialog.set_title(__("Not Charged"));
				this.say(
					"bad",
					`<p>${__("{0} could not be charged. The balance is unchanged.", [amount])}</p>${reasons(
						status.attempts,
					)}<p class="mb-0">${link}</p>`,
				);
				this.dialog.set_primary_action(__("Try Again"), () => {
					this.dialog.hide();
					desk.add_credits(this.form.account, { amount: status.amount, on_change: this.on_change });
				});
				this.dialog.get_primary_btn().prop("disabled", false).show();
			}
		}

		show_later(status) {
			this.say(
				"wait",
				`<p>${__("It takes longer than usual. It goes on by itself, and nothing is charged twice.")}</p>
				<p class="mb-0">${desk.link("Recharge", status.recharge)}</p>`,
			);
		}

		say(kind, html) {
			this.dialog.fields_dict.result.$wrapper.html(
				`<div class="crm-recharge-note ${kind}" data-result="${kind}" role="status">${html}</div>`,
			);
		}
	}

	const reasons = (attempts) => {
		if (!attempts.length) return "";
		const items = attempts.map(
			(attempt) => `<li>${desk.text(desk.card_label(attempt))}: ${desk.text(attempt.reason)}</li>`,
		);
		return `<ul class="crm-recharge-steps">${items.join("")}</ul>`;
	};

	const definition = (rows) =>
		`<table class="table table-sm table-borderless mb-2">${rows
			.map(
				([label, value]) =>
					`<tr><td class="text-muted">${label}</td><td class="text-right">${value}</td></tr>`,
			)
			.join("")}</table>`;
})();
