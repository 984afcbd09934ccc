frappe.ui.form.on("Credit Account", {
	onload(frm) {
		frappe
			.xcall("frappe.core.doctype.user.user.get_timezones")
			.then(({ timezones }) => frm.fields_dict.time_zone.set_data(timezones));
		if (frm.is_new() && !frm.doc.currency && frm.doc.company) frm.trigger("company");
	},

	company(frm) {
		if (!frm.doc.company || frm.doc.currency) return;
		frappe.db
			.get_value("Company", frm.doc.company, "default_currency")
			.then(({ message }) => frm.set_value("currency", message?.default_currency));
	},

	refresh(frm) {
		// The overview shows it to the last digit.
		frm.toggle_display(["balance", "open_recharge"], false);
		if (frm.is_new()) return;
		frm.get_field("overview").$wrapper.html(`<p class="text-muted">${__("Loading …")}</p>`);
		new AccountOverview(frm).load();
	},
});

const desk = () => crm_recharge.desk;
const RELOAD_MS = 3000;

class AccountOverview {
	constructor(frm) {
		this.frm = frm;
		this.account = frm.doc.name;
		frm.crm_recharge_overview = this;
	}

	/* The form shows another account, or a newer overview has taken over. */
	is_gone() {
		return this.frm.doc.name !== this.account || this.frm.crm_recharge_overview !== this;
	}

	async load() {
		if (this.is_gone()) return;
		this.data = await desk().call("desk.account_overview", { account: this.account });
		if (this.is_gone()) return;
		this.frm
			.get_field("overview")
			.$wrapper.html(this.html())
			.off("click", "[data-cancel]")
			.on("click", "[data-cancel]", () => {
				const { recharge, amount } = this.data.pending;
				desk().cancel_payment(recharge, this.money(amount), () => this.load());
			});
		const { label, colour } = this.standing();
		this.frm.page.set_indicator(label, colour);
		this.buttons();
		if (["Queued", "Charging"].includes(this.data.pending?.status)) this.look_again();
	}

	standing() {
		const { status, balance, pending, auto_recharge: auto } = this.data;
		return crm_recharge.standing({
			status,
			balance,
			switched_off: !auto?.enabled && auto?.disabled_reason,
			held: auto?.held_because,
			paused: auto?.enabled && auto?.paused_because,
			pending: pending?.status,
		});
	}

	/* While a payment is under way the figures follow it. */
	look_again() {
		setTimeout(() => {
			if (this.is_gone() || !document.body.contains(this.frm.wrapper) || !$(this.frm.wrapper).is(":visible"))
				return;
			this.load();
		}, RELOAD_MS);
	}

	buttons() {
		const { frm, account } = this;
		const { may, auto_recharge } = this.data;
		frm.clear_custom_buttons();
		if (may.recharge && this.data.status !== "Disabled") {
			frm
				.add_custom_button(__("Add Credits"), () =>
					desk().add_credits(account, { on_change: () => this.load() }),
				)
				.addClass("btn-primary")
				.removeClass("btn-default");
		}
		if (auto_recharge?.setting) {
			frm.add_custom_button(__("Auto-Recharge"), () =>
				frappe.set_route("Form", "Auto-Recharge Setting", auto_recharge.setting),
			);
		} else if (may.set_auto_recharge) {
			frm.add_custom_button(__("Auto-Recharge"), () =>
				frappe.new_doc("Auto-Recharge Setting", { credit_account: account }),
			);
		}
		if (auto_recharge?.stopped_because && may.set_auto_recharge) {
			frm.add_custom_button(__("Resume Auto-Recharge"), () =>
				desk().resume(account, auto_recharge.stopped_because, () => this.load()),
			);
		}
		if (this.data.movements) frm.add_custom_button(__("Statement"), () => new Statement(this.data).show());
		frm.page.add_menu_item(__("Prove the Ledger"), () => this.prove());
		if (may.adjust) {
			frm.add_custom_button(__("Grant Credits"), () => this.grant(), __("Correct"));
			frm.add_custom_button(__("Adjust Balance"), () => this.adjust(), __("Correct"));
		}
	}

	async prove() {
		const proof = await desk().call("credits.verify", { account: this.account });
		const breaks = proof.breaks.map(
			(each) => `<li>${__("Row {0}", [each.row])}: ${desk().text(each.what)}</li>`,
		);
		frappe.msgprint({
			title: proof.holds ? __("The Ledger Holds") : __("The Ledger Is Broken"),
			indicator: proof.holds ? "green" : "red",
			message: proof.holds
				? `${crm_recharge.counted(proof.rows, __("1 row recomputed."), __("{0} rows recomputed."))} ${__(
						"Balance {0}, lots and hash chain agree.",
						[this.money(proof.balance)],
				  )}`
				: `<ul>${breaks.join("")}</ul>`,
		});
	}

	money(value) {
		return desk().money(value, this.data.currency);
	}

	html() {
		const { data } = this;
		const parts = [this.top(), this.auto_recharge()];
		if (data.movements) parts.push(this.movements());
		if (data.recharges) parts.push(this.recharges());
		if (data.decisions?.length) parts.push(this.decisions());
		return `<div class="crm-recharge-overview">${parts.join("")}</div>`;
	}

	top() {
		const { data } = this;
		const below = flt(data.balance) < 0 ? "text-danger" : "";
		const standing = this.standing();
		const spendable =
			data.available === data.balance
				? ""
				: `<div class="text-muted small">${__("{0} may be spent", [this.money(data.available)])}</div>`;
		const reason = data.status_reason
			? `<div class="text-muted small">${desk().text(data.status_reason)}</div>`
			: "";
		return `<div class="crm-recharge-top">
			<div><div class="text-muted small">${__("Balance")}</div>
				<div class="crm-recharge-balance ${below}" data-balance="${data.balance}">${this.money(data.balance)}
				<span class="text-muted h6">${desk().text(data.currency)}</span></div>${spendable}</div>
			<div><div class="text-muted small">${__("Status")}</div>
				<div class="mt-2"><span class="indicator-pill no-indicator-dot whitespace-nowrap ${
					standing.colour
				}">${desk().text(standing.label)}</span></div>${reason}</div>
			${this.pending()}
		</div>`;
	}

	pending() {
		const { pending } = this.data;
		if (!pending) return "";
		const cancel =
			this.data.may.recharge && pending.may_cancel
				? `<button type="button" class="btn btn-xs btn-default mt-1" data-cancel>${__(
						"Cancel the Payment",
				  )}</button>`
				: "";
		return `<div data-pending="${pending.recharge}"><div class="text-muted small">${__(
			"Pending Recharge",
		)}</div>
			<div class="mt-2">${this.money(pending.amount)} ${desk().pill("Recharge", pending.status)}</div>
			<div class="small">${desk().link("Recharge", pending.recharge)}</div>${cancel}</div>`;
	}

	auto_recharge() {
		const found = this.data.auto_recharge;
		if (!found) return "";
		const because = desk().text(found.stopped_because);
		const told = !because || found.explanation.includes(because);
		const stop = told ? "" : __("Stopped: {0}", [because]);
		const reason = ` ${desk().text(found.enabled ? "" : found.disabled_reason)} ${stop}`;
		const kind = because || (!found.enabled && found.disabled_reason) ? "bad" : "";
		return `<div class="crm-recharge-block crm-recharge-note ${kind}" data-auto-recharge>
			<span class="text-muted">${__("Auto-recharge")}:</span> ${found.explanation}${reason}</div>`;
	}

	movements() {
		const signed = (value) => (flt(value) > 0 ? "+" : "") + this.money(value);
		const columns = [
			{
				label: __("Time"),
				css: "text-nowrap",
				of: (row) => desk().link("Credit Ledger", row.name, desk().time(row.posted_at)) + occurred(row),
			},
			{ label: __("Type"), of: (row) => desk().pill("Credit Ledger", row.entry_type) },
			{ label: __("Category or Note"), of: (row) => desk().text(row.category || row.note) },
			{ label: __("Amount"), right: true, of: (row) => signed(row.amount) },
			{ label: __("Balance After"), right: true, of: (row) => this.money(row.balance_after) },
		];
		return this.block(
			__("Last Movements"),
			"Credit Ledger",
			desk().table(columns, this.data.movements, __("Nothing has moved yet.")),
		);
	}

	recharges() {
		const columns = [
			{
				label: __("Time"),
				css: "text-nowrap",
				of: (row) => desk().link("Recharge", row.name, desk().time(row.creation)),
			},
			{ label: __("Status"), of: (row) => desk().pill("Recharge", row.status) },
			{ label: __("Origin"), of: (row) => __(row.origin) },
			{ label: __("Cards Tried"), of: (row) => row.cards.map(desk().text).join(", ") },
			{
				label: __("Payment or Reason"),
				css: "small",
				of: (row) => desk().text(row.settled_intent || frappe.ellipsis(row.failure_reason || "", 90)),
			},
			{ label: __("Amount"), right: true, of: (row) => this.money(row.amount) },
		];
		return this.block(
			__("Recharges"),
			"Recharge",
			desk().table(columns, this.data.recharges, __("Nothing has been recharged yet.")),
		);
	}

	decisions() {
		const columns = [
			{
				label: __("Last Time"),
				css: "text-nowrap",
				of: (row) => desk().link("Recharge Decision", row.name, desk().time(row.last_at)),
			},
			{ label: __("Times"), right: true, of: (row) => row.times },
			{ label: __("Why"), of: (row) => row.explanation },
			{ label: __("Recharge"), of: (row) => desk().link("Recharge", row.recharge) },
		];
		return this.block(
			__("Why Auto-Recharge Charged, or Did Not"),
			"Recharge Decision",
			desk().table(columns, this.data.decisions, ""),
		);
	}

	block(title, doctype, table) {
		const list = frappe.router.make_url([frappe.router.slug(doctype)]);
		const all = `${list}?credit_account=${encodeURIComponent(this.account)}`;
		return `<div class="crm-recharge-block"><div class="crm-recharge-head">${title}<a class="small text-muted" href="${all}">${__(
			"Show all",
		)}</a></div>${table}</div>`;
	}

	grant() {
		this.correct({
			title: __("Grant Credits"),
			method: "credits.grant",
			fields: [
				{
					fieldname: "amount",
					fieldtype: "Data",
					label: __("Amount ({0})", [this.data.currency]),
				},
				{ fieldname: "note", fieldtype: "Small Text", label: __("Reason"), reqd: 1 },
				{
					fieldname: "expires_at",
					fieldtype: "Date",
					label: __("Usable Until"),
					description: __("To the end of that day in the account's time zone. Empty: for good."),
				},
			],
			done: (answer) =>
				__("{0} granted. The balance is {1}.", [this.money(answer.amount), this.money(answer.balance_after)]),
		});
	}

	adjust() {
		const { balance } = this.data;
		this.correct({
			title: __("Adjust Balance"),
			method: "credits.adjust",
			fields: [
				{
					fieldname: "amount",
					fieldtype: "Data",
					label: __("Amount ({0})", [this.data.currency]),
					description: __("Below zero takes credits away."),
				},
				{
					fieldname: "allow_debt",
					fieldtype: "Check",
					label: __("The balance may fall below zero"),
					description: __("It is {0} now. A debt is refused unless this is ticked.", [this.money(balance)]),
				},
				{ fieldname: "note", fieldtype: "Small Text", label: __("Reason"), reqd: 1 },
			],
			done: (answer) => __("The balance is {0}.", [this.money(answer.balance_after)]),
		});
	}

	correct({ title, method, fields, done }) {
		const idempotency_key = desk().new_key();
		let busy = false;
		const dialog = new frappe.ui.Dialog({
			title,
			fields,
			primary_action_label: title,
			primary_action: async (values) => {
				if (busy) return;
				let amount;
				try {
					amount = desk().read(values.amount, this.data.currency);
				} catch (error) {
					frappe.msgprint({ message: desk().text(error.message), indicator: "orange" });
					return;
				}
				busy = true;
				try {
					const answer = await desk().call(method, {
						...values,
						account: this.account,
						amount,
						idempotency_key,
					});
					dialog.hide();
					frappe.show_alert({ message: done(answer), indicator: "green" });
					this.load();
				} catch {
					// The server's own words are on the screen.
				} finally {
					busy = false;
				}
			},
		});
		dialog.show();
	}
}

// Usage belongs to when it happened, the balance to when it was posted; both where they differ.
const occurred = (row) => {
	const [posted, happened] = [row.posted_at, row.occurred_at].map((time) => desk().time(time));
	return happened && happened !== posted
		? `<div class="small text-muted">${__("used {0}", [happened])}</div>`
		: "";
};

class Statement {
	constructor(data) {
		this.account = data.account;
		this.currency = data.currency;
	}

	show() {
		const today = frappe.datetime.get_today();
		this.dialog = new frappe.ui.Dialog({
			title: __("Statement of {0}", [this.account]),
			size: "extra-large",
			fields: [
				{
					fieldname: "from_date",
					fieldtype: "Date",
					label: __("From"),
					reqd: 1,
					default: frappe.datetime.month_start(today),
				},
				{ fieldtype: "Column Break" },
				{ fieldname: "to_date", fieldtype: "Date", label: __("To (Included)"), reqd: 1, default: today },
				{ fieldtype: "Section Break" },
				{ fieldname: "rows", fieldtype: "HTML" },
			],
			primary_action_label: __("Show"),
			primary_action: (values) => this.load(values),
		});
		this.dialog.show();
		this.load(this.dialog.get_values());
	}

	async load({ from_date, to_date }) {
		if (from_date > to_date) {
			frappe.msgprint(__("From must not be after To."));
			return;
		}
		const statement = await desk().call("credits.statement", {
			account: this.account,
			from_date,
			to_date: frappe.datetime.add_days(to_date, 1),
		});
		this.dialog.fields_dict.rows.$wrapper.html(this.html(statement));
	}

	html(statement) {
		const money = (value) => desk().money(value, this.currency);
		const totals = Object.entries(statement.totals).map(
			([kind, total]) =>
				`<tr><td>${desk().pill("Credit Ledger", kind)}</td><td class="text-muted">${crm_recharge.counted(
					total.rows,
					__("1 row"),
					__("{0} rows"),
				)}</td><td class="text-right">${money(total.amount)}</td></tr>`,
		);
		const columns = [
			{
				label: __("Posted"),
				css: "text-nowrap",
				of: (row) => desk().link("Credit Ledger", row.name, desk().time(row.posted_at)),
			},
			{ label: __("Occurred"), css: "text-nowrap", of: (row) => desk().time(row.occurred_at) },
			{ label: __("Type"), of: (row) => desk().pill("Credit Ledger", row.entry_type) },
			{ label: __("Category or Note"), of: (row) => desk().text(row.category || row.note) },
			{ label: __("Team"), of: (row) => desk().text(row.team) },
			{ label: __("User"), of: (row) => desk().text(row.user) },
			{ label: __("Amount"), right: true, of: (row) => money(row.amount) },
			{ label: __("Balance After"), right: true, of: (row) => money(row.balance_after) },
		];
		const rows = statement.rows.slice(-SHOWN_ROWS);
		const left_out = rows.length < statement.rows.length || statement.truncated;
		const note = left_out
			? `<p class="text-muted small">${__(
					"The last {0} rows are shown; the sums count all. The list of the ledger has every row.",
					[rows.length],
			  )}</p>`
			: "";
		return `<table class="table table-sm" style="max-width: 480px">
			<tr><td colspan="2">${__("Opening balance")}</td><td class="text-right">${money(
				statement.opening_balance,
			)}</td></tr>
			${totals.join("")}
			<tr><th colspan="2">${__("Closing balance")}</th><th class="text-right">${money(
				statement.closing_balance,
			)}</th></tr>
			</table>${note}${desk().table(columns, rows, __("Nothing moved in this time."))}`;
	}
}

const SHOWN_ROWS = 500;
