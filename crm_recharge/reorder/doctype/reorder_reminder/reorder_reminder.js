frappe.ui.form.on("Reorder Reminder", {
	refresh(frm) {
		const reorder = crm_recharge.reorder;
		const { doc } = frm;
		frm.disable_save();
		frm.page.set_indicator(__(doc.status), reorder.colour("Reorder Reminder", doc.status));
		introduce(frm);
		explain(frm);
		if (!reorder.can("Reorder Manager", "Reorder User")) return;
		const change = (method, args) =>
			reorder.call(`desk.${method}`, { reminder: doc.name, ...args }).then(() => frm.reload_doc());
		frm.add_custom_button(
			__("Snooze"),
			() =>
				reorder.ask_day(
					__("Snooze"),
					__("No reminder before"),
					__("Empty ends it."),
					doc.snoozed_until,
					(until) => change("snooze", { until }),
				),
			__("Wishes"),
		);
		frm.add_custom_button(
			__("Own Date"),
			() =>
				reorder.ask_day(
					__("Own Date"),
					__("The customer means to buy on"),
					__("Counts until the next purchase. Empty goes back to what is learned."),
					doc.expected_on,
					(on) => change("expect", { on }),
				),
			__("Wishes"),
		);
		frm.add_custom_button(
			doc.stopped ? __("Remind Again") : __("Stop"),
			() => change("stop", { stopped: doc.stopped ? 0 : 1 }),
			__("Wishes"),
		);
		frm.add_custom_button(__("Remind Now"), () =>
			reorder.remind_now(doc.customer, doc.customer_name, () => frm.reload_doc()),
		);
		frm.add_custom_button(__("Order Now"), () => order_now(frm));
	},
});

const introduce = (frm) => {
	const { doc } = frm;
	const reorder = crm_recharge.reorder;
	const range = reorder.range(doc.next_from, doc.next_on, doc.next_to);
	const parts = [];
	if (range) parts.push(__("Next purchase: {0}.", [range]));
	if (doc.status_reason) parts.push(doc.status_reason);
	frm.set_intro("");
	if (parts.length) frm.set_intro(reorder.text(parts.join(" ")), "blue");
};

/* What the figures of the model say, in words. */
const explain = (frm) => {
	const { doc } = frm;
	const { day, days, text } = crm_recharge.reorder;
	const share = (value) => format_number(value, null, 0);
	const said = [];
	if (doc.purchase_days > 1)
		said.push(
			__("Bought on {0}, first on {1} and last on {2}.", [
				days(doc.purchase_days),
				day(doc.first_day),
				day(doc.last_day),
			]),
		);
	else if (doc.purchase_days) said.push(__("Bought once, on {0}.", [day(doc.last_day)]));
	else said.push(__("No purchase stands."));
	if (doc.usual_interval)
		said.push(__("Usually {0} lie between two purchases.", [days(Math.round(doc.usual_interval))]));
	if (doc.next_on && doc.next_from && doc.next_to)
		said.push(
			__("Of 100 such purchases 80 come between {0} and {1}, half of them by {2}.", [
				day(doc.next_from),
				day(doc.next_to),
				day(doc.next_on),
			]),
		);
	if (doc.forecast_on && doc.next_on)
		said.push(
			__(
				"As of {0}, the customer still buys it with a probability of {1} %, and within 30 days with {2} %.",
				[day(doc.forecast_on), share(doc.p_alive), share(doc.p_buy_30)],
			),
		);
	if (doc.irregular)
		said.push(
			__("A return or an invoice to come is among the purchases: they are worked out anew each time."),
		);
	frm.get_field("worked_out").$wrapper.html(`<p>${said.map(text).join(" ")}</p>`);
};

const order_now = (frm) => {
	const key = frappe.utils.get_random(20);
	const dialog = new frappe.ui.Dialog({
		title: __("Order Now"),
		fields: [
			{
				fieldname: "quantity",
				fieldtype: "Float",
				label: __("Quantity"),
				description: __("In the item's stock unit"),
				reqd: 1,
				default: frm.doc.last_quantity || 1,
			},
		],
		primary_action_label: __("Order"),
		primary_action({ quantity }) {
			dialog.disable_primary_action();
			crm_recharge.reorder
				.call("desk.order_now", { reminder: frm.doc.name, quantity, idempotency_key: key })
				.then(({ order_type, order }) => {
					dialog.hide();
					frappe.set_route("Form", order_type, order);
				})
				.catch(() => dialog.enable_primary_action());
		},
	});
	dialog.show();
};
