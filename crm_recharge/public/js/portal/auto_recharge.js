// Auto-recharge on /credits: why it stands still, the form, the cards and their order.
(() => {
	const { portal } = crm_recharge;
	const { byId, text, note, badge, act, call } = portal;
	const AMOUNTS = ["falls_below", "recharge_up_to"];
	const LIMITS = ["cap_amount_day", "cap_amount_month", "cap_count_hour", "cap_count_day", "anomaly_factor"];
	const FIELDS = [...AMOUNTS, ...LIMITS];
	const form = byId("auto-form");
	if (!form) return;

	let rows = []; // the cards as the form shows them: {…card, used}
	portal.dirty = false;

	// -- showing ---------------------------------------------------------------------------------------------

	portal.show_auto_recharge = ({ keep_typed = false } = {}) => {
		show_state();
		if (keep_typed) keep_rows();
		else fill();
		for (const input of form.querySelectorAll("input")) input.disabled = !portal.data.may_change;
		show_cards();
		show_words();
	};

	function fill() {
		const auto = portal.data.auto_recharge;
		byId("enabled").checked = auto.enabled;
		for (const field of FIELDS) byId(field).value = auto.typed[field];
		// A first setting takes every card; later ones keep what was chosen.
		rows = portal.data.cards.map((card) => ({
			...card,
			used: auto.exists ? auto.cards.includes(card.name) : true,
		}));
		byId("conflict").innerHTML = "";
		set_dirty(false);
	}

	/* The cards may have changed elsewhere: those that are gone go, new ones come, unticked. */
	function keep_rows() {
		const now = portal.data.cards;
		rows = [
			...rows.filter((card) => now.some((other) => other.name === card.name)),
			...now
				.filter((card) => !rows.some((other) => other.name === card.name))
				.map((card) => ({ ...card, used: false })),
		];
	}

	function set_dirty(value) {
		portal.dirty = value;
		byId("save-news").textContent = value ? __("Not saved yet") : "";
	}

	/* Why nothing is charged by itself, and what to do about it. */
	function show_state() {
		const auto = portal.data.auto_recharge;
		const parts = [];
		if (auto.disabled_reason) parts.push(switched_off(auto));
		if (auto.held_because)
			parts.push(
				stopped(
					__("Auto-recharge is on hold:"),
					sentence(auto.held_because),
					__("Only the company that sells to you can lift this. Please write to it."),
				),
			);
		else if (auto.paused_because)
			parts.push(
				stopped(
					__("Auto-recharge is paused:"),
					sentence(auto.paused_because),
					__("Look at your usage. When it is right, resume."),
					`<div class="choices"><button type="button" class="btn btn-light" id="resume">${__(
						"Resume",
					)}</button></div>`,
				),
			);
		if (auto.enabled && !parts.length) parts.push(`<p class="text-muted">${text(auto.now)}</p>`);
		byId("auto-state").innerHTML = parts.join("");
		if (byId("resume")) byId("resume").hidden = !portal.data.may_change;
	}

	const sentence = (words) => text(words.replace(/\.?$/, "."));

	const stopped = (title, because, way_out, buttons = "") =>
		note("bad", `<b>${title}</b> ${because}<br>${way_out}${buttons}`, "alert");

	const switched_off = (auto) =>
		stopped(
			__("Auto-recharge was switched off on {0}.", [text(auto.disabled_at)]),
			`<br>${sentence(auto.disabled_reason)}`,
			__("Add another card or remove the one that fails, then switch it on again and save."),
		);

	byId("auto-state").addEventListener("click", (event) => {
		const button = event.target.closest("#resume");
		if (!button) return;
		act(button, byId("page-problem"), async () => {
			const found = await agreed(__("Resume"), (charge) =>
				call("resume_auto_recharge", { account: portal.data.account, ...charge }),
			);
			if (found) portal.update(found, { ours: true });
		});
	});

	function show_cards(focus) {
		const off = portal.data.may_change ? "" : "disabled";
		byId("cards").innerHTML = rows.length
			? rows.map((card, i) => card_row(card, i, off)).join("")
			: `<li class="text-muted">${__("No card is saved yet. Add one first.")}</li>`;
		if (!focus) return;
		const item = [...byId("cards").children].find((li) => li.dataset.card === focus.card);
		const wanted = item?.querySelector(`[data-do="${focus.button}"]`);
		(wanted?.disabled ? item.querySelector("button:not(:disabled)") : wanted)?.focus();
	}

	const card_row = (card, i, off) => `<li data-card="${text(card.name)}">
		<label><input type="checkbox" data-do="use" ${card.used ? "checked" : ""} ${off}
			aria-label="${__("Charge {0} automatically", [text(card.label)])}">
			<span><b>${text(card.label)}</b><br><small class="text-muted">${
				card.expires ? __("expires {0}", [text(card.expires)]) : ""
			}</small></span></label>
		${card.usable ? "" : badge(card.status === "Active" ? "Expired" : card.status)}
		<span class="moves">
			${card_button("up", __("Move {0} up", [text(card.label)]), "↑", off || (i ? "" : "disabled"))}
			${card_button(
				"down",
				__("Move {0} down", [text(card.label)]),
				"↓",
				off || (i < rows.length - 1 ? "" : "disabled"),
			)}
			${card_button("remove", __("Remove {0}", [text(card.label)]), __("Remove"), off)}
		</span></li>`;

	const card_button = (what, label, shown, off) =>
		`<button type="button" class="btn btn-sm btn-light" data-do="${what}" aria-label="${label}" ${off}>${shown}</button>`;

	// -- in words --------------------------------------------------------------------------------------------

	function show_words() {
		byId("words").textContent = byId("enabled").checked
			? what_will_happen()
			: __("Nothing is charged by itself while this is off.");
	}

	function what_will_happen() {
		const [below, target] = AMOUNTS.map((field) => portal.read(byId(field).value));
		for (const [i, found] of [below, target].entries())
			if (found.problem) return what_is_wrong(found, byId(AMOUNTS[i]).value);
		if (Number(target.digits) <= Number(below.digits))
			return __("The balance to recharge up to must be above the one at which it starts.");
		const used = rows.filter((card) => card.used).map((card) => card.label);
		return [
			__("When your balance is at or below {0}, one payment brings it back to {1}.", [
				portal.money(below.digits),
				portal.money(target.digits),
			]),
			cards_in_words(used),
			__("You may switch this off at any time."),
		].join(" ");
	}

	const what_is_wrong = (found, typed) =>
		found.problem === "amount_unclear"
			? __("{0} can be read in more than one way. Type {1}.", [
					typed.trim(),
					found.readings.join(` ${__("or")} `),
			  ])
			: __("Type both amounts in digits, such as {0}.", [portal.number("12.5")]);

	const cards_in_words = (used) => {
		if (!used.length) return __("No card is chosen yet.");
		if (used.length === 1) return __("{0} is charged; there is no other card to fall back on.", [used[0]]);
		return __("{0} is charged first; if it is declined, the next one: {1}.", [
			used[0],
			used.slice(1).join(", "),
		]);
	};

	// -- changing --------------------------------------------------------------------------------------------

	form.addEventListener("input", () => {
		set_dirty(true);
		show_words();
	});

	const save = (charge = {}) =>
		call("save_auto_recharge", {
			account: portal.data.account,
			enabled: byId("enabled").checked ? 1 : 0,
			falls_below: byId("falls_below").value,
			recharge_up_to: byId("recharge_up_to").value,
			cards: rows.filter((card) => card.used).map((card) => card.name),
			limits: Object.fromEntries(LIMITS.map((field) => [field, byId(field).value])),
			seen: portal.data.auto_recharge.modified,
			...charge,
		});

	/* Do what may charge a card at once; when it would, tell how much and ask first. Returns the answer, null when the
	   person did not agree. */
	async function agreed(yes, ask) {
		let charge = {};
		for (;;) {
			try {
				return await ask(charge);
			} catch (refused) {
				if (refused.error?.code !== "charge_not_agreed") throw refused;
				const { amount } = refused.error;
				const answer = `${yes}, ${__("charge {0}", [portal.money(amount)])}`;
				if (!(await portal.ask(__("A card is charged now"), refused.message, answer))) return null;
				charge = { charge: amount };
			}
		}
	}

	portal.save_auto_recharge = async (news = __("Saved")) => {
		byId("cards-problem").textContent = "";
		byId("conflict").innerHTML = "";
		try {
			const found = await agreed(__("Save"), save);
			if (!found) return;
			portal.take(found);
			byId("save-news").textContent = news;
		} catch (refused) {
			if (refused.error?.code !== "changed_meanwhile") throw refused;
			show_conflict(refused.message, refused.error.now);
		}
	};

	form.addEventListener("submit", (event) => {
		event.preventDefault();
		act(byId("save"), byId("auto-problem"), () => portal.save_auto_recharge());
	});

	// -- changed meanwhile -----------------------------------------------------------------------------------

	/* What differs, and two ways on: with what was typed here, or with what is there now. */
	function show_conflict(message, now) {
		const differences = differing(now).map(
			([label, theirs, mine]) =>
				`<li>${text(label)}: ${__("now {0}, here {1}", [
					`<b>${text(theirs)}</b>`,
					`<b>${text(mine)}</b>`,
				])}</li>`,
		);
		const told = differences.length
			? `<ul class="mb-1 pl-4">${differences.join("")}</ul>`
			: `<br>${__("What you see here is the same.")}`;
		byId("conflict").innerHTML = note(
			"bad",
			`<b>${text(message)}</b>${told}<div class="choices">
				<button type="button" class="btn btn-primary" data-conflict="mine">${__("Save what is here")}</button>
				<button type="button" class="btn btn-light" data-conflict="theirs">${__("Take what is there now")}</button>
			</div>`,
			"alert",
		);
		byId("conflict").now = now;
		byId("conflict").querySelector("button").focus();
	}

	function differing(now) {
		const yes = (value) => (value ? __("on") : __("off"));
		const names = (cards) =>
			cards
				.map((name) => portal.data.cards.find((card) => card.name === name)?.label || __("another card"))
				.join(", ");
		const all = [
			[__("Recharge automatically"), yes(now.enabled), yes(byId("enabled").checked)],
			...FIELDS.map((field) => [
				form.querySelector(`label[for="${field}"]`).textContent.trim(),
				now.typed[field],
				byId(field).value.trim(),
			]),
			[
				__("Cards"),
				names(now.cards) || __("none"),
				names(rows.filter((card) => card.used).map((card) => card.name)) || __("none"),
			],
		];
		return all.filter(([, theirs, mine]) => theirs !== mine);
	}

	byId("conflict").addEventListener("click", (event) => {
		const button = event.target.closest("[data-conflict]");
		if (!button) return;
		const { now } = byId("conflict");
		act(button, byId("auto-problem"), async () => {
			if (button.dataset.conflict === "mine") {
				portal.data.auto_recharge = { ...portal.data.auto_recharge, modified: now.modified };
				await portal.save_auto_recharge();
			} else {
				portal.take(await call("overview", { account: portal.data.account }));
			}
			if (!byId("conflict").innerHTML) byId("save").focus();
		});
	});

	// -- cards -------------------------------------------------------------------------------------------------

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
		act(button, byId("cards-problem"), async () => {
			const sure = await portal.ask(
				__("Remove a card"),
				__("Remove {0}? It is not charged again.", [card.label]),
				__("Remove"),
			);
			if (!sure) return;
			try {
				await call("remove_card", { card: card.name });
			} finally {
				// Off the list here even where the gateway did not answer.
				await portal.refresh({ ours: true }).catch(() => {});
			}
			portal.focus(byId("add-card"));
		});
	}

	/* A new card is the last one tried. Saved at once when nothing else waits to be saved. */
	portal.put_on_list = async (card) => {
		const clean = !portal.dirty;
		await portal.refresh();
		const at = rows.findIndex((row) => row.name === card);
		if (at < 0) return;
		if (rows[at].used && portal.data.auto_recharge.exists) {
			byId("save-news").textContent = __("This card is on the list already.");
			return;
		}
		rows.push({ ...rows.splice(at, 1)[0], used: true });
		set_dirty(true);
		show_cards();
		show_words();
		if (!clean || !portal.data.auto_recharge.exists) {
			byId("save-news").textContent = __("The card is on the list. Not saved yet.");
			return;
		}
		await act(byId("save"), byId("auto-problem"), () => portal.save_auto_recharge(__("Card saved")));
	};
})();
