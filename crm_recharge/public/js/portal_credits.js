// The customer's page /credits: balance, auto-recharge, cards, Add Credits. One account, its owner's.
frappe.ready(() => {
	const POLL_MS = 1000;
	const WATCH_MS = 90 * 1000;
	const AMOUNTS = ["falls_below", "recharge_up_to"];
	const LIMITS = ["cap_amount_day", "cap_amount_month", "cap_count_hour", "cap_count_day", "anomaly_factor"];
	const byId = (id) => document.getElementById(id);

	byId("account")?.addEventListener("change", (event) => {
		if (event.target.value)
			window.location.href = `/credits?account=${encodeURIComponent(event.target.value)}`;
	});

	const sent = JSON.parse(byId("credits-data").textContent);
	frappe._messages = Object.assign(frappe._messages || {}, sent.words);
	let data = sent.overview;
	if (!data) return;
	let rows = []; // the cards as the form shows them: {…card, used}
	let dirty = false;

	// -- asking the server ---------------------------------------------------------------------------------

	class Refused extends Error {
		constructor(message, status, error) {
			super(message);
			Object.assign(this, { status, error });
		}
	}

	async function call(method, args) {
		let answer;
		try {
			answer = await fetch(`/api/method/crm_recharge.api.portal.${method}`, {
				method: "POST",
				headers: {
					Accept: "application/json",
					"Content-Type": "application/json",
					"X-Frappe-CSRF-Token": frappe.csrf_token,
				},
				body: JSON.stringify(args),
			});
		} catch {
			throw new Refused(__("The server did not answer. Check the connection and try again."), 0);
		}
		const body = await answer.json().catch(() => ({}));
		if (answer.ok) return body.message;
		if (body.session_expired) throw new Refused(__("You were logged out. Log in again."), answer.status);
		throw new Refused(text_of(body, answer.status), answer.status, body.error);
	}

	// What the server says is HTML with escaped values; shown here is its text.
	function text_of(body, status) {
		let texts = [];
		try {
			texts = JSON.parse(body._server_messages || "[]").map((message) => JSON.parse(message).message);
		} catch {
			// An answer of something in between: its status has to do.
		}
		const plain = (html) => new DOMParser().parseFromString(html, "text/html").body.textContent;
		if (texts.length) return texts.map(plain).join(" ");
		return status === 429
			? __("Too many requests. Wait a while, then try again.")
			: __("The server could not do this ({0}). Try again in a minute.", [status]);
	}

	// -- writing ---------------------------------------------------------------------------------------------

	const text = (value) =>
		String(value ?? "").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

	const note = (kind, html, role = "status") => `<div class="note ${kind}" role="${role}">${html}</div>`;

	const decimal = (typed) => {
		const value = String(typed ?? "").trim();
		return /^\d+(\.\d+)?$/.test(value) ? value : null;
	};

	// A typed amount as the server writes amounts; digits are moved about as text, never counted with.
	function money(typed) {
		const { symbol, on_right, point, comma, by_two, decimals } = data.currency;
		const groups = by_two ? /\B(?=(\d\d)*\d{3}$)/g : /\B(?=(\d{3})+$)/g;
		let [whole, part = ""] = decimal(typed).split(".");
		whole = whole.replace(/^0+(?=\d)/, "").replace(groups, comma || "");
		part = part.replace(/0+$/, "").padEnd(decimals, "0");
		const number = part ? whole + (point || ".") + part : whole;
		return on_right ? `${number} ${symbol}` : `${symbol} ${number}`;
	}

	const STATUS = {
		Active: "success",
		Succeeded: "success",
		Queued: "info",
		Charging: "info",
		Failed: "danger",
		Disputed: "danger",
		"Permanently Declined": "danger",
		"Charged Back": "danger",
	};
	const badge = (status, shown) =>
		`<span class="badge badge-${STATUS[status] || "secondary"}">${text(shown || __(status))}</span>`;

	const reasons = (attempts) => {
		const told = attempts.filter((attempt) => attempt.status !== "Succeeded" && attempt.reason);
		if (!told.length) return "";
		const items = told.map((attempt) => `<li>${text(card_of(attempt))}: ${text(attempt.reason)}</li>`);
		return `<ul class="mb-1 pl-4">${items.join("")}</ul>`;
	};

	const card_of = (attempt) => {
		const brand = attempt.brand || __("Card");
		return `${brand[0].toUpperCase()}${brand.slice(1)} •••• ${attempt.last4 || "????"}`;
	};

	function show() {
		show_balance();
		show_state();
		show_form();
		show_recharges();
		show_movements();
		byId("add-credits").hidden = byId("save").hidden = byId("add-card").hidden = !data.may_change;
	}

	function show_balance() {
		const { pending } = data;
		byId("balance").innerHTML = `
			<div class="balance" data-balance="${text(data.balance)}">${text(data.balance_shown)}</div>
			<div class="text-muted">${text(data.customer_name)} · ${text(data.account)} · ${text(data.currency.name)}
				${badge(data.status)}</div>
			${pending ? note("wait", `<span data-pending>${__("Pending: {0}, not yet part of the balance.", [text(pending.amount_shown)])}</span>`) : ""}`;
	}

	/* Why nothing is charged by itself, and what to do about it. */
	function show_state() {
		const auto = data.auto_recharge;
		const parts = [];
		if (auto.disabled_reason) {
			parts.push(
				note(
					"bad",
					`<b>${__("Auto-recharge was switched off on {0}.", [text(auto.disabled_at)])}</b><br>${text(
						auto.disabled_reason,
					)}<br>${__("Add another card or remove the one that fails, then switch it on again and save.")}`,
					"alert",
				),
			);
		}
		if (auto.held_because) {
			parts.push(
				note(
					"bad",
					`<b>${__("Auto-recharge is on hold.")}</b> ${text(auto.held_because)}<br>${__(
						"Only the company that sells to you can lift this. Please write to it.",
					)}`,
					"alert",
				),
			);
		} else if (auto.paused_because) {
			parts.push(
				note(
					"bad",
					`<b>${__("Auto-recharge is paused.")}</b> ${text(auto.paused_because)}<br>${__(
						"Look at your usage. When it is right, resume; a card may be charged at once.",
					)}<br><button type="button" class="btn btn-sm btn-default btn-light mt-2" id="resume">${__(
						"Resume",
					)}</button>`,
					"alert",
				),
			);
		}
		if (auto.enabled && !parts.length) parts.push(`<p class="text-muted">${text(auto.now)}</p>`);
		byId("auto-state").innerHTML = parts.join("");
		const resume = byId("resume");
		if (resume) {
			resume.hidden = !data.may_change;
			resume.onclick = () =>
				act(resume, byId("page-problem"), async () => take(await call("resume_auto_recharge", { account: data.account })));
		}
	}

	function show_form() {
		const auto = data.auto_recharge;
		byId("enabled").checked = auto.enabled;
		for (const field of [...AMOUNTS, ...LIMITS]) byId(field).value = auto[field];
		// A first setting takes every card; later ones keep what was chosen.
		rows = data.cards.map((card) => ({ ...card, used: auto.exists ? auto.cards.includes(card.name) : true }));
		set_dirty(false);
		for (const input of byId("auto-form").querySelectorAll("input")) input.disabled = !data.may_change;
		show_cards();
		show_words();
	}

	function set_dirty(value) {
		dirty = value;
		byId("save-news").textContent = value ? __("Not saved yet") : "";
	}

	function show_cards(focus) {
		const off = data.may_change ? "" : "disabled";
		byId("cards").innerHTML = rows.length
			? rows
					.map(
						(card, i) => `<li data-card="${text(card.name)}">
				<label><input type="checkbox" data-do="use" ${card.used ? "checked" : ""} ${off}
					aria-label="${__("Charge {0} automatically", [text(card.label)])}">
					<span><b>${text(card.label)}</b><br><small class="text-muted">${
						card.expires ? __("expires {0}", [text(card.expires)]) : ""
					}</small></span></label>
				${card.usable ? "" : badge(card.status === "Active" ? "Expired" : card.status)}
				<span class="ml-auto text-nowrap">
					<button type="button" class="btn btn-sm btn-default btn-light" data-do="up" ${i && !off ? "" : "disabled"}
						aria-label="${__("Move {0} up", [text(card.label)])}">↑</button>
					<button type="button" class="btn btn-sm btn-default btn-light" data-do="down" ${
						i < rows.length - 1 && !off ? "" : "disabled"
					} aria-label="${__("Move {0} down", [text(card.label)])}">↓</button>
					<button type="button" class="btn btn-sm btn-default btn-light" data-do="remove" ${off}
						aria-label="${__("Remove {0}", [text(card.label)])}">${__("Remove")}</button>
				</span></li>`,
					)
					.join("")
			: `<li class="text-muted">${__("No card is saved yet. Add one first.")}</li>`;
		if (!focus) return;
		const item = [...byId("cards").children].find((li) => li.dataset.card === focus.card);
		const wanted = item?.querySelector(`[data-do="${focus.button}"]`);
		(wanted?.disabled ? item.querySelector("button:not(:disabled)") : wanted)?.focus();
	}

	function show_words() {
		const [below, target] = AMOUNTS.map((field) => byId(field).value);
		const used = rows.filter((card) => card.used).map((card) => card.label);
		let words;
		if (!byId("enabled").checked) words = __("Nothing is charged by itself while this is off.");
		else if (!decimal(below) || !decimal(target)) words = __("Give both amounts in digits, such as 50 or 12.50.");
		else if (Number(target) <= Number(below))
			words = __("The level to recharge up to must be above the level at which it starts.");
		else {
			words = __("When your balance is at or below {0}, one payment brings it back to {1}.", [
				money(below),
				money(target),
			]);
			if (!used.length) words += " " + __("No card is chosen yet.");
			else if (used.length === 1)
				words += " " + __("{0} is charged; there is no other card to fall back on.", [used[0]]);
			else
				words +=
					" " +
					__("{0} is charged first; if it is declined, the next one: {1}.", [
						used[0],
						used.slice(1).join(", "),
					]);
			words += " " + __("You may switch this off at any time.");
		}
		byId("words").textContent = words;
	}

	function show_recharges() {
		const cells = data.recharges.map((row) => {
			const more = [
				row.payment ? `<small class="text-muted text-break">${text(row.payment)}</small>` : "",
				row.reason && !row.payment ? `<small>${text(row.reason)}</small>` : "",
				row.confirm ? `<a href="${text(row.confirm)}">${__("Confirm the payment")}</a>` : "",
				row.invoice ? `<a href="${text(row.invoice)}">${__("Invoice (PDF)")}</a>` : "",
			].filter(Boolean);
			return `<tr><td>${text(row.when)}<br><small class="text-muted">${
				row.automatic ? __("Automatic") : __("By hand")
			}${row.cards.length ? " · " + row.cards.map(text).join(", ") : ""}</small></td>
				<td>${badge(row.status, row.status_shown)}<br>${more.join("<br>")}</td>
				<td class="text-right text-nowrap">${text(row.amount)}</td></tr>`;
		});
		byId("recharges").innerHTML = table([__("When"), __("Status"), __("Amount")], cells, __("No recharge yet."));
	}

	function show_movements() {
		const cells = data.movements.map(
			(row) => `<tr><td>${text(row.when)}<br><small class="text-muted">${text(row.type)}${
				row.category ? " · " + text(row.category) : ""
			}</small></td><td class="text-right text-nowrap">${text(row.amount)}</td>
			<td class="text-right text-nowrap">${text(row.balance_after)}</td></tr>`,
		);
		byId("movements").innerHTML = table([__("When"), __("Amount"), __("Balance")], cells, __("No movement yet."));
	}

	function table(heads, cells, empty) {
		if (!cells.length) return `<p class="text-muted mb-0">${empty}</p>`;
		const right = (i) => (i === heads.length - 1 || heads[i] === __("Amount") ? "text-right" : "");
		return `<div class="table-responsive"><table class="table table-sm"><thead><tr class="text-muted small">${heads
			.map((head, i) => `<th scope="col" class="${right(i)}">${head}</th>`)
			.join("")}</tr></thead><tbody>${cells.join("")}</tbody></table></div>`;
	}

	// -- doing -------------------------------------------------------------------------------------------------

	/* Run `work` once at a time; what fails is told in `place`. */
	async function act(button, place, work) {
		if (button.disabled) return;
		button.disabled = true;
		place.textContent = "";
		try {
			await work();
		} catch (error) {
			if (!(error instanceof Error)) throw error;
			place.textContent = error.message;
		} finally {
			button.disabled = false;
		}
	}

	function take(found) {
		data = found;
		show();
		follow();
	}

	/* Read everything again, but leave what is typed and not saved. It may still be saved if the setting was
	   changed by this very page (`ours`); otherwise the server refuses and the person looks again. */
	async function refresh({ ours = false } = {}) {
		const found = await call("overview", { account: data.account });
		if (!dirty) return take(found);
		const kept = rows;
		const { modified } = ours ? found.auto_recharge : data.auto_recharge;
		data = { ...found, auto_recharge: { ...found.auto_recharge, modified } };
		rows = [
			...kept.filter((card) => found.cards.some((other) => other.name === card.name)),
			...found.cards
				.filter((card) => !kept.some((other) => other.name === card.name))
				.map((card) => ({ ...card, used: false })),
		];
		show_balance();
		show_state();
		show_cards();
		show_words();
		show_recharges();
		show_movements();
		follow();
	}

	let followed = null;
	/* A recharge under way: look until it has ended, then show what it changed. */
	async function follow() {
		const recharge = data.pending?.recharge;
		if (!recharge || followed === recharge) return;
		followed = recharge;
		const found = await ended(recharge, () => {});
		followed = null;
		if (found?.ended && data.pending?.recharge === recharge) await refresh().catch(() => {});
	}

	/* The status of `recharge` once it has ended, or the last one known when that takes too long. */
	async function ended(recharge, tell, go_on = () => true) {
		const until = Date.now() + WATCH_MS;
		let found = null;
		while (go_on() && Date.now() < until) {
			found = await call("status", { recharge }).catch(() => found);
			if (found?.ended) break;
			if (found) tell(found);
			await new Promise((done) => setTimeout(done, POLL_MS));
		}
		return found;
	}

	const form = byId("auto-form");
	form.addEventListener("input", () => {
		set_dirty(true);
		show_words();
	});

	const save = () =>
		call("save_auto_recharge", {
			account: data.account,
			enabled: byId("enabled").checked ? 1 : 0,
			falls_below: byId("falls_below").value.trim(),
			recharge_up_to: byId("recharge_up_to").value.trim(),
			cards: rows.filter((card) => card.used).map((card) => card.name),
			limits: Object.fromEntries(LIMITS.map((field) => [field, byId(field).value.trim() || "0"])),
			seen: data.auto_recharge.modified,
		});

	form.addEventListener("submit", (event) => {
		event.preventDefault();
		act(byId("save"), byId("auto-problem"), async () => {
			byId("cards-problem").textContent = "";
			take(await save());
			byId("save-news").textContent = __("Saved");
		});
	});

	byId("cards").addEventListener("change", (event) => {
		const card = event.target.closest("li")?.dataset.card;
		rows.find((row) => row.name === card).used = event.target.checked;
		set_dirty(true);
		show_words();
	});

	byId("cards").addEventListener("click", (event) => {
		const button = event.target.closest("button[data-do]");
		if (!button) return;
		const card = button.closest("li").dataset.card;
		const at = rows.findIndex((row) => row.name === card);
		if (button.dataset.do === "remove") return remove(button, rows[at]);
		const to = at + (button.dataset.do === "up" ? -1 : 1);
		[rows[at], rows[to]] = [rows[to], rows[at]];
		set_dirty(true);
		show_cards({ card, button: button.dataset.do });
		show_words();
	});

	function remove(button, card) {
		if (!window.confirm(__("Remove {0}? It is not charged again.", [card.label]))) return;
		act(button, byId("cards-problem"), async () => {
			try {
				await call("remove_card", { card: card.name });
			} finally {
				// Off the list here even where Stripe did not answer.
				await refresh({ ours: true }).catch(() => {});
			}
		});
	}

	// -- a new card ----------------------------------------------------------------------------------------------

	const card_dialog = $(byId("card-dialog"));
	let setup = null;
	let element = null;
	let stripe = null;

	byId("add-card").addEventListener("click", () =>
		act(byId("add-card"), byId("cards-problem"), async () => {
			setup = await call("begin_card", { account: data.account });
			byId("card-name").value = setup.name || "";
			byId("payment-method").value = "";
			byId("by-id").hidden = !setup.custom_address;
			byId("card-problem").textContent = "";
			card_dialog.modal("show");
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

	card_dialog.find("form").on("submit", (event) => {
		event.preventDefault();
		const button = card_dialog.find("[type=submit]").get(0);
		act(button, byId("card-problem"), async () => {
			const by_id = byId("by-id").hidden ? "" : byId("payment-method").value.trim();
			const card = by_id
				? (await call("save_card", { account: data.account, payment_method: by_id })).card
				: await by_form();
			card_dialog.modal("hide");
			await put_on_list(card);
		});
	});

	async function by_form() {
		if (!element) throw new Error(__("Stripe's card form is not there."));
		const name = byId("card-name").value.trim();
		const result = await stripe.confirmCardSetup(setup.client_secret, {
			payment_method: { card: element, billing_details: name ? { name } : {} },
		});
		if (result.error) throw new Error(result.error.message);
		const { account } = data;
		return (await call("finish_card", { account, setup_intent: setup.setup_intent })).card;
	}

	/* The new card is the last one tried. Saved at once when nothing else waits to be saved. */
	async function put_on_list(card) {
		const clean = !dirty;
		await refresh();
		const at = rows.findIndex((row) => row.name === card);
		if (at < 0 || (rows[at].used && data.auto_recharge.exists)) return;
		rows.push({ ...rows.splice(at, 1)[0], used: true });
		set_dirty(true);
		show_cards();
		show_words();
		if (!clean || !data.auto_recharge.exists) {
			byId("save-news").textContent = __("The card is on the list. Not saved yet.");
			return;
		}
		await act(byId("save"), byId("auto-problem"), async () => {
			take(await save());
			byId("save-news").textContent = __("Card saved");
		});
	}

	// -- Add Credits -----------------------------------------------------------------------------------------------

	const dialog = $(byId("add-credits-dialog"));
	const result = dialog.find(".result").get(0);
	const charge = dialog.find("[type=submit]").get(0);
	let key = null;
	let open = false;

	// One key for one dialog: however often it is pressed or sent, it is the same recharge.
	const new_key = () => {
		const bytes = crypto.getRandomValues(new Uint8Array(16));
		return "portal-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
	};

	const say = (kind, html) => {
		result.innerHTML = `<div class="note ${kind}" data-result="${kind}">${html}</div>`;
	};

	byId("add-credits").addEventListener("click", () => add_credits());

	function add_credits(amount = "") {
		const offer = data.add_credits;
		key = new_key();
		open = true;
		result.innerHTML = "";
		byId("add-credits-title").textContent = __("Add Credits");
		byId("amount").value = amount;
		byId("amount-help").textContent = __("From {0} to {1}", [offer.minimum_shown, offer.maximum_shown]);
		dialog.find(".amounts").html(
			offer.presets
				.map(
					(preset) =>
						`<button type="button" class="btn btn-default btn-light" data-amount="${text(preset.amount)}">${text(
							preset.shown,
						)}</button>`,
				)
				.join(""),
		);
		const options = offer.cards.map((name) => {
			const card = data.cards.find((other) => other.name === name);
			return `<option value="${text(name)}">${text(card.label)} · ${__("expires {0}", [text(card.expires)])}</option>`;
		});
		if (offer.cards_listed)
			options.unshift(`<option value="">${__("As in Auto-Recharge, in its order")}</option>`);
		byId("card").innerHTML = options.join("");
		const pending = data.pending?.recharge;
		dialog.find(".fields").prop("hidden", Boolean(pending) || !options.length);
		charge.hidden = Boolean(pending) || !options.length;
		charge.disabled = false;
		label_charge();
		if (!options.length && !pending) say("bad", __("No card is saved yet. Close this and press Add Card first."));
		dialog.modal("show");
		if (pending) watch(pending);
	}

	dialog.on("shown.bs.modal", () => {
		if (!charge.hidden) byId("amount").focus();
	});
	dialog.on("hidden.bs.modal", () => {
		open = false;
		byId("add-credits").focus();
	});
	dialog.on("click", "[data-amount]", (event) => {
		byId("amount").value = event.currentTarget.dataset.amount;
		label_charge();
	});
	byId("amount").addEventListener("input", label_charge);

	function label_charge() {
		const amount = decimal(byId("amount").value);
		charge.textContent = amount ? __("Charge {0}", [money(amount)]) : __("Charge Card");
	}

	dialog.find("form").on("submit", async (event) => {
		event.preventDefault();
		if (charge.hidden || charge.disabled) return;
		const amount = byId("amount").value.trim();
		if (!decimal(amount)) return say("bad", __("Give the amount in digits, such as 50 or 12.50."));
		charge.disabled = true;
		say("wait", __("Sending …"));
		try {
			const args = { account: data.account, amount, idempotency_key: key, card: byId("card").value || null };
			watch((await call("start", args)).recharge);
		} catch (failed) {
			const known = failed.error?.first?.recharge || failed.error?.recharge;
			if (known) return watch(known);
			charge.disabled = false;
			if (failed.status >= 400 && failed.status < 500)
				say("bad", `${text(failed.message)} <b>${__("Nothing was charged.")}</b>`);
			else
				say(
					"bad",
					__("The server did not answer. Try again: it is the same recharge, so nothing is charged twice."),
				);
		}
	});

	async function watch(recharge) {
		const mine = key;
		const here = () => open && key === mine;
		dialog.find(".fields").prop("hidden", true);
		charge.hidden = true;
		say("wait", __("The card is being charged …"));
		refresh().catch(() => {});
		const found = await ended(recharge, show_progress, here);
		if (found?.ended) refresh().catch(() => {});
		if (!here()) return;
		if (found?.ended) show_end(found);
		else say("wait", __("It takes longer than usual. It goes on by itself, and nothing is charged twice."));
	}

	function show_progress(found) {
		const tried = found.attempts.filter((attempt) => attempt.status === "Declined");
		say(
			"wait",
			`<p>${__("{0} is being charged …", [text(found.amount_shown)])}</p>${reasons(tried)}
			<p class="text-muted small mb-0">${__("You may close this: it goes on by itself.")}</p>`,
		);
	}

	function show_end(found) {
		const amount = text(found.amount_shown);
		if (found.payment) {
			byId("add-credits-title").textContent = __("Credits Added");
			const paid = found.attempts.find((attempt) => attempt.status === "Succeeded");
			const lines = [
				[__("Amount credited"), `<b>${amount}</b>`],
				[__("New balance"), `<b>${text(found.balance_after_shown)}</b>`],
				[__("Card"), paid ? text(card_of(paid)) : ""],
				[__("Transaction"), `<span class="text-break">${text(found.payment)}</span>`],
			];
			const before = reasons(found.attempts);
			say(
				"good",
				`<table class="table table-sm table-borderless">${lines
					.map(([label, value]) => `<tr><th scope="row">${label}</th><td class="text-right">${value}</td></tr>`)
					.join("")}</table>${before ? `<p class="mb-1">${__("Tried before:")}</p>${before}` : ""}`,
			);
		} else if (found.status === "Action Required") {
			byId("add-credits-title").textContent = __("Confirmation Needed");
			say(
				"bad",
				`<p>${__("Your bank wants you to confirm the payment of {0}. Nothing has been charged yet.", [amount])}</p>
				${found.confirm ? `<a class="btn btn-primary" href="${text(found.confirm)}">${__("Confirm the payment")}</a>` : ""}`,
			);
		} else if (found.status === "Held") {
			byId("add-credits-title").textContent = __("Being Looked At");
			say(
				"bad",
				`<p>${__("Your payment of {0} has arrived and is being looked at. You need not pay again.", [amount])}</p>`,
			);
		} else {
			byId("add-credits-title").textContent = __("Not Charged");
			say(
				"bad",
				`<p>${__("{0} could not be charged. The balance is unchanged.", [amount])}</p>${reasons(found.attempts)}
				<button type="button" class="btn btn-default btn-light" data-again>${__("Try Again")}</button>`,
			);
			result.querySelector("[data-again]").onclick = () => add_credits(found.amount);
		}
	}

	show();
	follow();
});
