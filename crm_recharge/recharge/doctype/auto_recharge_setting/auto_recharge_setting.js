frappe.ui.form.on("Auto-Recharge Setting", {
	setup(frm) {
		frm.set_query("card", "cards", () => ({
			filters: { credit_account: frm.doc.credit_account || "", status: ["!=", "Removed"] },
		}));
	},

	async onload(frm) {
		crm_recharge.desk.take_from_account(frm);
		if (!frm.is_new()) return;
		for (const field of ["falls_below", "recharge_up_to"]) {
			if (frm.doc[field] !== undefined && frm.doc[field] !== null) continue;
			frm.set_value(field, await frappe.db.get_single_value("CRM Recharge Settings", `default_${field}`));
		}
	},

	refresh(frm) {
		frm.trigger("tell_state");
		frm.trigger("explain");
		if (frm.doc.credit_account) {
			frm.add_custom_button(__("Credit Account"), () =>
				frappe.set_route("Form", "Credit Account", frm.doc.credit_account),
			);
		}
		if (!frm.is_new() && frappe.model.can_write("Recharge Card")) {
			frm.add_custom_button(__("Add Card"), () => frm.events.add_card(frm));
		}
	},

	/* Before anything is saved: what it would charge at once, and what was changed meanwhile. */
	async validate(frm) {
		const { desk } = crm_recharge;
		delete frm.doc.charge_agreed;
		let told;
		try {
			told = await desk.call("desk.ask_before_saving", {
				account: frm.doc.credit_account,
				setting: frm.doc,
			});
		} catch {
			// The server's own words are on the screen.
			frappe.validated = false;
			return;
		}
		if (told.changed) {
			frappe.validated = false;
			show_conflict(frm, told.changed);
		} else if (told.charge) {
			if (await desk.ask(`${desk.charge_in_words(told.charge)}<br>${__("Save?")}`))
				frm.doc.charge_agreed = told.charge.amount;
			else frappe.validated = false;
		}
	},

	credit_account: (frm) => frm.trigger("explain"),
	enabled: (frm) => frm.trigger("explain"),
	falls_below: (frm) => frm.trigger("explain"),
	recharge_up_to: (frm) => frm.trigger("explain"),

	/* Why it is off, and what to do: nothing switches it on again but a person. */
	tell_state(frm) {
		const { text, time, resume } = crm_recharge.desk;
		if (frm.doc.paused_because) {
			frm.dashboard.set_headline_alert(
				`<b>${__("Auto-recharge is paused since {0}.", [time(frm.doc.paused_at)])}</b>
				${text(frm.doc.paused_because)}<br>${__("Look at the account's usage, then press Resume.")}`,
				"orange",
			);
			frm.add_custom_button(__("Resume"), () =>
				resume(frm.doc.credit_account, frm.doc.paused_because, () => frm.reload_doc()),
			);
		}
		if (frm.doc.enabled || !frm.doc.disabled_reason) return;
		frm.dashboard.set_headline_alert(
			`<b>${__("Auto-recharge was switched off on {0}.", [time(frm.doc.disabled_at)])}</b>
			${text(frm.doc.disabled_reason)}<br>
			${__("Mend the cards below or add another one, then tick Auto-Recharge and save.")}`,
			"red",
		);
	},

	explain(frm) {
		const { money } = crm_recharge.desk;
		const { falls_below, recharge_up_to, currency, cards } = frm.doc;
		const below = money(falls_below || 0, currency);
		const target = money(recharge_up_to || 0, currency);
		const is_empty = (value) => value === null || value === undefined || value === "";
		let text = __("Nothing is charged by itself while Auto-Recharge is off.");
		if (frm.doc.enabled && (is_empty(falls_below) || is_empty(recharge_up_to))) {
			text = frm.is_new()
				? __("Empty: the default of CRM Recharge Settings.")
				: __("Give both levels; 0 is one too.");
		} else if (frm.doc.enabled && flt(recharge_up_to) <= flt(falls_below)) {
			text = __("Recharge Up To must be above Falls Below.");
		} else if (frm.doc.enabled) {
			text = __("When the balance is at or below {0}, one payment refills it to {1}: {2} at least.", [
				below,
				target,
				money(flt(recharge_up_to) - flt(falls_below), currency),
			]);
			text += " " + cards_in_words(cards || []);
		}
		frm.get_field("explanation").$wrapper.html(`<div class="crm-recharge-note">${text}</div>`);
	},

	add_card(frm) {
		if (frm.is_dirty()) {
			frappe.msgprint(__("Save your changes first, then add the card."));
			return;
		}
		crm_recharge.desk.add_card(frm.doc.credit_account, async (card) => {
			if (!(frm.doc.cards || []).some((row) => row.card === card)) {
				const { message } = await frappe.db.get_value("Recharge Card", card, ["card_label", "status"]);
				frappe.utils.add_link_title("Recharge Card", card, message.card_label);
				frm.add_child("cards", { card, card_status: message.status });
				frm.refresh_field("cards");
				frm.dirty();
			}
			if (frm.doc.enabled) await frm.save();
			else
				frappe.show_alert({
					message: __("The card is on the list. Tick Auto-Recharge and save."),
					indicator: "blue",
				});
		});
	},
});

frappe.ui.form.on("Auto-Recharge Card", {
	cards_remove: (frm) => frm.trigger("explain"),
	cards_move: (frm) => frm.trigger("explain"),
	card: (frm) => frm.trigger("explain"),
});

/* What differs from what is here, and two ways on. */
const show_conflict = (frm, now) => {
	const { desk } = crm_recharge;
	const label = (field) => __(frappe.meta.get_label(frm.doctype, field));
	const shown = (field, value) =>
		field === "enabled" ? (cint(value) ? __("on") : __("off")) : desk.text(String(flt(value)));
	const fields = Object.keys(now).filter((field) => !["modified", "cards"].includes(field));
	const differing = fields
		.map((field) => [label(field), shown(field, now[field]), shown(field, frm.doc[field])])
		.concat([[label("cards"), now.cards.join(", "), (frm.doc.cards || []).map(card_label).join(", ")]])
		.filter(([, theirs, mine]) => theirs !== mine)
		.map(
			([name, theirs, mine]) =>
				`<li>${name}: ${__("now {0}, here {1}", [`<b>${theirs}</b>`, `<b>${mine}</b>`])}</li>`,
		);
	const dialog = new frappe.ui.Dialog({
		title: __("Changed Meanwhile"),
		fields: [
			{
				fieldtype: "HTML",
				options: `<p>${__(
					"The setting was changed since this form was opened, by somebody else or by itself.",
				)}</p>
					<ul>${differing.join("") || `<li>${__("What is here is the same.")}</li>`}</ul>`,
			},
		],
		primary_action_label: __("Save What Is Here"),
		primary_action: () => {
			dialog.hide();
			frm.doc.modified = now.modified;
			frm.save();
		},
		secondary_action_label: __("Take What Is There Now"),
		secondary_action: () => {
			dialog.hide();
			frm.reload_doc();
		},
	});
	dialog.show();
};

const card_label = (row) => frappe.utils.get_link_title("Recharge Card", row.card) || row.card;

const cards_in_words = (rows) => {
	const label = (row) => `<b>${crm_recharge.desk.text(card_label(row))}</b>`;
	const listed = rows.filter((row) => row.card);
	if (!listed.length) return __("No card is listed yet.");
	if (listed.length === 1)
		return __("{0} is charged; there is no other card to fall back on.", [label(listed[0])]);
	return __("{0} is charged first; if it is declined, the next one: {1}.", [
		label(listed[0]),
		listed.slice(1).map(label).join(", "),
	]);
};
