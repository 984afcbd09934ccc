const FOLLOWED = ["Queued", "Charging"];
const FOLLOW_MS = 2000;

frappe.ui.form.on("Recharge", {
	setup(frm) {
		frm.set_query("card", () => ({
			filters: { credit_account: frm.doc.credit_account || "", status: "Active" },
		}));
	},

	onload: (frm) => crm_recharge.desk.take_from_account(frm),

	async refresh(frm) {
		if (frm.doc.docstatus === 0) return;
		const { desk } = crm_recharge;
		frm.page.set_indicator(__(frm.doc.status), desk.colour("Recharge", frm.doc.status));
		frm.add_custom_button(__("Credit Account"), () =>
			frappe.set_route("Form", "Credit Account", frm.doc.credit_account),
		);
		desk.offer_accounting_retry(frm, "crm_recharge.accounting.posting.retry", "recharge");
		const name = frm.doc.name;
		const story = await desk.call("desk.recharge_story", { recharge: name });
		if (frm.doc.name !== name) return;
		frm.get_field("story").$wrapper.html(story_html(frm, story));
		frm.events.set_buttons(frm, story);
		if (is_moving(story) || story.status !== frm.doc.status) frm.events.follow(frm, story);
	},

	set_buttons(frm, story) {
		const { desk } = crm_recharge;
		// Once a card has been asked, only its answer ends the recharge.
		if (frm.doc.docstatus === 1 && !story.may_cancel) frm.page.clear_secondary_action();
		if (story.payment_address) {
			frm.add_custom_button(__("Open at the Gateway"), () =>
				window.open(story.payment_address, "_blank", "noopener"),
			);
		}
		if (story.may_refund && flt(story.unused) > 0) {
			frm.add_custom_button(__("Refund"), () => frm.events.refund(frm, story));
		}
		if (["Failed", "Cancelled"].includes(story.status) && frappe.model.can_submit("Recharge")) {
			frm
				.add_custom_button(__("Add Credits Again"), () =>
					desk.add_credits(frm.doc.credit_account, { amount: frm.doc.amount }),
				)
				.addClass("btn-primary")
				.removeClass("btn-default");
		}
	},

	refund(frm, story) {
		const { desk } = crm_recharge;
		const idempotency_key = desk.new_key();
		let busy = false;
		const dialog = new frappe.ui.Dialog({
			title: __("Refund"),
			fields: [
				{
					fieldtype: "HTML",
					options: `<p>${__(
						"{0} of this payment is unused. The credits are taken at once and the money goes back to the card.",
						[`<b>${desk.money(story.unused, frm.doc.currency)}</b>`],
					)}</p>`,
				},
				{
					fieldname: "amount",
					fieldtype: "Data",
					label: __("Amount ({0})", [frm.doc.currency]),
					description: __("Empty: all that is unused."),
				},
				{ fieldname: "reason", fieldtype: "Small Text", label: __("Reason"), reqd: 1 },
			],
			primary_action_label: __("Refund"),
			primary_action: async ({ amount, reason }) => {
				if (busy) return;
				const wanted = typed(amount, frm.doc.currency);
				if (wanted === undefined) return;
				busy = true;
				try {
					const answer = await desk.call("recharge.refund", {
						recharge: frm.doc.name,
						idempotency_key,
						...(wanted === null ? {} : { amount: wanted }),
						reason,
					});
					dialog.hide();
					frappe.show_alert({
						message: __("{0} is on its way back.", [desk.money(answer.amount, answer.currency)]),
						indicator: "green",
					});
					frm.reload_doc();
				} catch {
					// The server's own words are on the screen.
				} finally {
					busy = false;
				}
			},
		});
		dialog.show();
	},

	/* While it is under way the form follows it. */
	follow(frm, story) {
		const name = frm.doc.name;
		clearTimeout(frm.crm_recharge_timer);
		frm.crm_recharge_timer = setTimeout(async () => {
			if (frm.doc.name !== name || !$(frm.wrapper).is(":visible")) return;
			const now = await crm_recharge.desk.call("desk.recharge_story", { recharge: name });
			if (frm.doc.name !== name) return;
			if (now.status !== story.status || now.status !== frm.doc.status || !is_moving(now)) {
				frm.reload_doc();
				return;
			}
			frm.get_field("story").$wrapper.html(story_html(frm, now));
			frm.events.follow(frm, now);
		}, FOLLOW_MS);
	},
});

/* A typed amount as plain digits: null for an empty field, undefined for what is no amount, which is told. */
const typed = (text, currency) => {
	if (!(text || "").trim()) return null;
	try {
		return crm_recharge.desk.read(text, currency);
	} catch (error) {
		frappe.msgprint({ message: crm_recharge.desk.text(error.message), indicator: "orange" });
	}
};

/* A card is being charged, or money is on its way back. */
const is_moving = (story) =>
	FOLLOWED.includes(story.status) ||
	story.refunds.some((refund) => ["Held", "Asked"].includes(refund.status));

const OUTCOMES = {
	Created: __("asked, no answer yet"),
	Unknown: __("no clear answer"),
	Declined: __("declined"),
	"Needs Authentication": __("needs confirmation"),
	Succeeded: __("paid"),
	Refused: __("The gateway refused the request"),
	Error: __("The gateway refused the request"),
	Skipped: __("passed over"),
	"Never Happened": __("never reached the bank"),
};

const story_html = (frm, story) => {
	const { desk } = crm_recharge;
	const kind =
		{ Succeeded: "good", Failed: "bad", "Action Required": "bad", Held: "bad" }[story.status] || "wait";
	const columns = [
		{ label: "#", of: (row) => row.number },
		{ label: __("Card"), of: (row) => desk.link("Recharge Card", row.card, row.label) },
		{
			label: __("Outcome"),
			of: (row) =>
				`<span class="indicator-pill no-indicator-dot ${desk.colour(
					"Recharge Attempt",
					row.status,
				)}">${desk.text(OUTCOMES[row.status] || __(row.status))}</span>`,
		},
		{ label: __("Reason"), of: (row) => (row.status === "Succeeded" ? "" : desk.text(row.reason)) },
		{ label: __("Code"), css: "small text-muted", of: (row) => desk.text(row.code) },
		{
			label: __("Took"),
			right: true,
			of: (row) => (row.milliseconds ? __("{0} ms", [row.milliseconds]) : ""),
		},
		{
			label: __("When"),
			css: "small",
			of: (row) => desk.link("Recharge Attempt", row.name, desk.time(row.created_at)),
		},
	];
	return `<div class="crm-recharge-note ${kind}" data-status="${story.status}">${story.meaning}${
		story.started_because ? `<div class="small text-muted mt-1">${story.started_because}</div>` : ""
	}</div>
		<div class="crm-recharge-block">${desk.table(columns, story.attempts, __("No card has been tried."))}</div>
		${money_back(frm, "Recharge Refund", __("Refunds"), story.refunds)}
		${money_back(frm, "Recharge Dispute", __("Disputes"), story.disputes)}`;
};

const money_back = (frm, doctype, title, rows) => {
	if (!rows.length) return "";
	const { desk } = crm_recharge;
	const columns = [
		{
			label: __("When"),
			css: "text-nowrap",
			of: (row) => desk.link(doctype, row.name, desk.time(row.creation)),
		},
		{ label: __("Status"), of: (row) => desk.pill(doctype, row.status) },
		{ label: __("Reason"), of: (row) => desk.text(row.reason) },
		{ label: __("Amount"), right: true, of: (row) => desk.money(row.amount, frm.doc.currency) },
	];
	return `<div class="crm-recharge-block"><div class="crm-recharge-head">${title}</div>
		${desk.table(columns, rows, "")}</div>`;
};
