// What the app's forms and lists share: amounts, colours, labels.
frappe.provide("crm_recharge.desk");

(() => {
	const desk = crm_recharge.desk;

	// Status or type → colour, for lists, forms and tables alike.
	desk.COLOURS = {
		"Credit Account": { Active: "green", "On Hold": "orange", Disputed: "red", Disabled: "gray" },
		Recharge: {
			Draft: "gray",
			Queued: "blue",
			Charging: "blue",
			Processing: "blue",
			Succeeded: "green",
			Failed: "red",
			"Action Required": "orange",
			Held: "red",
			Cancelled: "gray",
			"Partly Refunded": "purple",
			Refunded: "purple",
			Disputed: "red",
			"Charged Back": "red",
		},
		"Recharge Attempt": {
			Created: "blue",
			Unknown: "orange",
			Declined: "red",
			"Needs Authentication": "orange",
			Succeeded: "green",
			Refused: "orange",
			Error: "red",
			Skipped: "gray",
			"Never Happened": "gray",
		},
		"Recharge Card": {
			Active: "green",
			Expired: "orange",
			"Permanently Declined": "red",
			Unusable: "red",
			Removed: "gray",
		},
		"Credit Ledger": {
			Recharge: "green",
			Grant: "cyan",
			Usage: "gray",
			Adjustment: "orange",
			Refund: "purple",
			Chargeback: "red",
			Reinstatement: "green",
			Expiry: "yellow",
			Reversal: "orange",
		},
		"Credit Webhook Delivery": { Waiting: "blue", Delivered: "green", Failed: "red" },
		"Outbox Delivery": { Waiting: "blue", Delivered: "green", Failed: "red" },
		"Recharge Decision": {
			charged: "green",
			open_recharge: "blue",
			capped: "orange",
			paused: "orange",
			held: "red",
			no_usable_card: "red",
			above_maximum: "red",
		},
		"Recharge Refund": { Held: "blue", Asked: "blue", Succeeded: "green", Failed: "red" },
		"Recharge Dispute": { Warning: "orange", Inquiry: "orange", Open: "red", Won: "green", Lost: "gray" },
		"Gateway Difference": { Open: "red", Resolved: "green" },
		"Gateway Event": { Received: "blue", Processed: "green", Ignored: "gray", Failed: "red" },
	};

	desk.colour = (doctype, value) => desk.COLOURS[doctype]?.[value] || "gray";

	desk.pill = (doctype, value) =>
		`<span class="indicator-pill no-indicator-dot whitespace-nowrap ${desk.colour(
			doctype,
			value,
		)}">${desk.text(__(value))}</span>`;

	desk.text = (value) => frappe.utils.escape_html(String(value ?? ""));

	desk.link = (doctype, name, label) =>
		name ? `<a href="${frappe.utils.get_form_link(doctype, name)}">${desk.text(label || name)}</a>` : "";

	// Documents in ERPNext that failed, or whose mail did, are written again by themselves; a person who has mended the
	// cause need not wait. `method` takes the document's name as `argument`.
	desk.offer_accounting_retry = (frm, method, argument = "name") => {
		const { accounting_status: status, accounting_error: error } = frm.doc;
		if (!error && status !== "Failed") return;
		if (!["System Manager", "Accounts Manager", "Credit Manager"].some((role) => frappe.user.has_role(role)))
			return;
		frm.add_custom_button(__("Retry"), async () => {
			await frappe.call({ method, args: { [argument]: frm.doc.name }, freeze: true });
			frappe.show_alert({ message: __("The documents will be written in a moment."), indicator: "blue" });
			frm.reload_doc();
		});
	};

	// How numbers are written. A format without decimals still says how they would be: no amount loses its cents to it.
	desk.number_format = (currency) => {
		const format = get_number_format(currency);
		const { decimal_str, group_sep } = get_number_format_info(format);
		if (decimal_str) return format;
		return `${format}${[".", ""].includes(group_sep.trim()) ? "," : "."}##`;
	};

	const style_of = (currency) => crm_recharge.amounts.style_of(get_number_format(currency));
	const places_of = (currency) =>
		get_number_format_info(frappe.model.get_value(":Currency", currency, "number_format") || "#,###.##")
			.precision;

	// An amount with its currency's decimals, and more where it has them (0.0004 a token). `value` is text or number.
	desk.money = (value, currency) => {
		const digits = /^-?\d+(\.\d+)?$/.test(value) ? String(value) : plain(Number(value) || 0);
		const text = crm_recharge.amounts.write(digits, style_of(currency), places_of(currency));
		const symbol = get_currency_symbol(currency);
		if (!symbol) return text;
		const on_right = frappe.model.get_value(":Currency", currency, "symbol_on_right");
		return on_right ? `${text} ${__(symbol)}` : `${__(symbol)} ${text}`;
	};

	/* An amount as a list's formatter returns it; the second shows nothing where there is none. */
	desk.listed_money = (value, currency) => crm_recharge.listed(desk.money(value, currency));
	desk.listed_amount = (value, currency) =>
		Number(value) ? desk.listed_money(value, currency) : crm_recharge.listed("");

	/* An amount without the currency's sign, as it stands in a field. */
	desk.number = (value, currency) =>
		crm_recharge.amounts.write(plain(Number(value) || 0), style_of(currency), places_of(currency));

	/* What a person typed, as plain digits. Throws an Error with a sentence where it is no amount, or may be two. */
	desk.read = (typed, currency, what = __("Amount")) => {
		const signs = [get_currency_symbol(currency), currency];
		const found = crm_recharge.amounts.read(typed, style_of(currency), places_of(currency), signs);
		if (!found.problem) return found.digits;
		const told = {
			amount_missing: __("{0}: type an amount.", [what]),
			amount_unclear: __("{0}: {1} can be read in more than one way. Type {2}.", [
				what,
				typed,
				(found.readings || []).join(` ${__("or")} `),
			]),
		}[found.problem];
		throw new Error(
			told ||
				__("{0}: {1} is not an amount. Type digits, such as {2}.", [
					what,
					typed,
					desk.number(12.5, currency),
				]),
		);
	};

	const OURS = ["Credits", "Gateway", "Recharge", "Accounting", "Reorder"];
	const is_ours = (df) => OURS.includes(frappe.get_meta(df.parent)?.module);

	// Where the site's number format has no decimals, Frappe cuts amounts it shows, and rounds those that are typed.
	const cut = (df, currency) =>
		is_ours(df) && !get_number_format_info(get_number_format(currency)).decimal_str;

	const keep_decimals = () => {
		const { formatters } = frappe.form;
		const control = frappe.ui.form.ControlCurrency?.prototype;
		if (!control || formatters.Currency.crm_recharge) return;
		const [shown, written] = [formatters.Currency, control.get_number_format];
		formatters.Currency = (value, df, options, doc) => {
			const currency = frappe.meta.get_field_currency(df, doc);
			if (value === null || value === undefined || value === "" || !cut(df, currency)) {
				return shown(value, df, options, doc);
			}
			const text = desk.money(value, currency);
			return options?.only_value ? text : formatters._right(text, options);
		};
		formatters.Currency.crm_recharge = true;
		control.get_number_format = function () {
			const currency = frappe.meta.get_field_currency(this.df, this.get_doc());
			return cut(this.df, currency) ? desk.number_format(currency) : written.call(this);
		};
		for (const kind of ["Currency", "Float", "Int"])
			read_strictly(frappe.ui.form[`Control${kind}`].prototype, kind);
	};

	// Frappe takes 1e5 for a hundred thousand and 5.000,00 for five. In our forms a number is read as it is written, a
	// sum is worked out as Frappe does, and anything else is refused with a sentence; the field keeps what it had.
	const SUM = /^[\d.,' ()]+([-+*/][\d.,' ()]+)+$/;

	const read_strictly = (control, kind) => {
		const read = control.parse;
		control.parse = function (typed) {
			if (typeof typed !== "string" || !typed.trim() || !is_ours(this.df) || SUM.test(typed.trim()))
				return read.call(this, typed);
			const currency =
				kind === "Currency" ? frappe.meta.get_field_currency(this.df, this.get_doc()) : undefined;
			try {
				const digits = desk.read(typed, currency, __(this.df.label));
				if (kind === "Int" && digits.includes("."))
					throw new Error(__("{0}: {1} is not a whole number.", [__(this.df.label), typed]));
				return kind === "Int" ? Number(digits) : flt(Number(digits), this.get_precision());
			} catch (error) {
				frappe.show_alert({ message: desk.text(error.message), indicator: "orange" }, 10);
				setTimeout(() => this.set_input(this.value));
				return this.value ?? null;
			}
		};
	};
	keep_decimals();

	// Nine places is what the ledger keeps; toString() alone would give 1e-7.
	const plain = (number) => number.toFixed(9).replace(/\.?0+$/, "");

	desk.time = (value) => (value ? frappe.datetime.str_to_user(value) : "");

	desk.ago = (value) => (value ? frappe.datetime.comment_when(value) : "");

	desk.card_label = (card) =>
		card.card_label || `${frappe.utils.to_title_case(card.brand || __("Card"))} •••• ${card.last4 || "????"}`;

	desk.expiry = (card) =>
		card.exp_month ? `${String(card.exp_month).padStart(2, "0")}/${String(card.exp_year).slice(-2)}` : "";

	// One key for one intention: a repeated click or request is the same recharge.
	desk.new_key = () => {
		const bytes = crypto.getRandomValues(new Uint8Array(16));
		return "desk-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
	};

	desk.table = (columns, rows, empty) => {
		if (!rows.length) return `<p class="text-muted small">${empty}</p>`;
		const cell = (tag, column, content) =>
			`<${tag} class="${column.right ? "text-right text-nowrap" : ""} ${
				column.css || ""
			}">${content}</${tag}>`;
		const head = columns.map((column) => cell("th", column, column.label)).join("");
		const body = rows.map(
			(row) => `<tr>${columns.map((column) => cell("td", column, column.of(row))).join("")}</tr>`,
		);
		return `<div class="table-responsive"><table class="table table-sm crm-recharge-table">
			<thead><tr class="text-muted small">${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
	};

	// What comes with the credit account is not chosen by hand: no right to choose customers is needed for it.
	desk.take_from_account = (frm, fields = ["customer", "company", "currency"]) => {
		for (const field of fields) {
			frappe.meta.get_docfield(frm.doctype, field, frm.doc.name).ignore_link_validation = true;
		}
	};

	/* Ask a yes-or-no question, as HTML. Resolves to whether the answer was yes. */
	desk.ask = (question) =>
		new Promise((resolve) =>
			frappe.confirm(
				question,
				() => resolve(true),
				() => resolve(false),
			),
		);

	desk.charge_in_words = ({ amount, balance, falls_below, currency, card }) =>
		__("The balance of {0} is at or below {1}: this charges {2} with {3} now.", [
			desk.money(balance, currency),
			desk.money(falls_below, currency),
			desk.text(card),
			`<b>${desk.money(amount, currency)}</b>`,
		]);

	/* Ask, with what it charges, then end a pause or a hold of auto-recharge: a person has looked. */
	desk.resume = async (account, because, done) => {
		const { charge } = await desk.call("desk.charge_on_resume", { account });
		const told = charge ? desk.charge_in_words(charge) : __("Nothing is charged now.");
		const stopped = __("Auto-recharge was stopped: {0}", [desk.text(because)]);
		if (!(await desk.ask(`${stopped}<br>${told}<br>${__("Resume it?")}`))) return;
		await desk.call("recharge.resume", { account, charge: charge ? charge.amount : "0" });
		done();
	};

	/* Ask, then cancel a payment that waits. */
	desk.cancel_payment = async (recharge, amount, done) => {
		const question = __(
			"Cancel the payment of {0}? Nothing is charged for it, and the account is free for another one.",
			[amount],
		);
		if (!(await desk.ask(question))) return;
		const now = await desk.call("recharge.cancel", { recharge });
		frappe.show_alert(
			now.status === "Cancelled"
				? { message: __("The payment is cancelled."), indicator: "green" }
				: { message: __("Its card holder was faster: {0}.", [__(now.status)]), indicator: "orange" },
		);
		done();
	};

	desk.call = (method, args) => frappe.xcall(`crm_recharge.api.${method}`, args);

	const style = `
		.crm-recharge-table { margin-bottom: 0; }
		.crm-recharge-table th { font-weight: 400; border-top: 0; }
		.crm-recharge-table td { vertical-align: middle; font-variant-numeric: tabular-nums; }
		.crm-recharge-balance { font-size: 2rem; font-weight: 600; line-height: 1.2; color: var(--heading-color); font-variant-numeric: tabular-nums; }
		.crm-recharge-top { display: flex; flex-wrap: wrap; gap: var(--padding-lg) var(--padding-2xl, 40px); }
		.crm-recharge-block { margin-top: var(--padding-lg); }
		.crm-recharge-head { display: flex; justify-content: space-between; align-items: baseline; font-weight: 600; color: var(--heading-color); }
		.crm-recharge-head a { font-weight: 400; }
		.crm-recharge-note { border-left: 3px solid var(--gray-400); padding: 2px 0 2px var(--padding-md); }
		.crm-recharge-note.bad { border-color: var(--red-500); }
		.crm-recharge-note.wait { border-color: var(--blue-500); }
		.crm-recharge-note.good { border-color: var(--green-500); }
		.crm-recharge-amounts { display: flex; flex-wrap: wrap; gap: var(--padding-sm); margin-bottom: var(--padding-md); }
		.crm-recharge-steps { padding-left: 1.2em; margin-bottom: 0; }
		.crm-recharge-steps li { margin-bottom: var(--padding-xs); }`;
	if (!document.getElementById("crm-recharge-style")) {
		$(`<style id="crm-recharge-style">${style}</style>`).appendTo("head");
	}
})();
