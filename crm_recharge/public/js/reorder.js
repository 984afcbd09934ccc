// What the forms and lists of reorder reminders share: ranges in words, colours.
frappe.provide("crm_recharge.reorder");

(() => {
	const reorder = crm_recharge.reorder;

	reorder.COLOURS = {
		"Reorder Reminder": {
			Learning: "gray",
			Waiting: "blue",
			Due: "orange",
			Reminded: "green",
			Snoozed: "yellow",
			Paused: "yellow",
			Lapsed: "gray",
			Stopped: "red",
		},
		"Reorder Message": {
			Queued: "blue",
			Sent: "green",
			Failed: "red",
			"Held Out": "gray",
			Anonymous: "gray",
		},
		"Reorder Run": { Running: "blue", Done: "green", "Done with Problems": "orange", Failed: "red" },
	};

	reorder.colour = (doctype, value) => reorder.COLOURS[doctype]?.[value] || "gray";

	reorder.indicator = (doctype) => (doc) => [
		__(doc.status),
		reorder.colour(doctype, doc.status),
		`status,=,${doc.status}`,
	];

	reorder.text = (value) => frappe.utils.escape_html(String(value ?? ""));

	reorder.call = (method, args) => frappe.xcall(`crm_recharge.reorder.${method}`, args);

	reorder.can = (...roles) => frappe.user.has_role([...roles, "System Manager"]);

	// A day in the format that the user has dates in, as everywhere.
	reorder.day = (value) => (value ? frappe.datetime.str_to_user(value) : "");

	reorder.counted = crm_recharge.counted;

	reorder.days = (number) => reorder.counted(number, __("1 day"), __("{0} days"));

	/* "between 03-12-2026 and 17-12-2026, most likely 09-12-2026"; text, not markup. */
	reorder.range = (from, on, to) => {
		if (!on) return "";
		if (!from || !to || from === to) return __("most likely {0}", [reorder.day(on)]);
		return __("between {0} and {1}, most likely {2}", [reorder.day(from), reorder.day(to), reorder.day(on)]);
	};

	reorder.ask_day = (title, label, description, value, done) => {
		const dialog = new frappe.ui.Dialog({
			title,
			fields: [{ fieldname: "day", fieldtype: "Date", label, description, default: value }],
			primary_action_label: __("Save"),
			primary_action({ day }) {
				dialog.hide();
				done(day || null);
			},
		});
		dialog.show();
	};

	/* Ask, then remind a customer of all that is due; tell what was held back and why. */
	reorder.remind_now = (customer, label, done) =>
		frappe.confirm(
			__("Remind {0} of everything that is due, now?", [reorder.text(label || customer).bold()]),
			() =>
				reorder.call("desk.remind_now", { customer }).then((told) => {
					show_outcome(told);
					done?.();
				}),
		);

	const show_outcome = (told) => {
		const what = told.mailed
			? __("A mail is queued.")
			: told.told
			  ? __("The sales team has been told.")
			  : told.held_out
			    ? __("This customer is held out for comparison: nothing was sent.")
			    : __("Nothing was sent.");
		const reasons = told.reasons.map(
			(row) => `<li>${reorder.text(row.item)}: ${reorder.text(row.reason)}</li>`,
		);
		frappe.msgprint({
			title: __("Remind Now"),
			indicator: told.mailed || told.told ? "green" : "orange",
			message: `<p>${what}</p>${reasons.length ? `<ul>${reasons.join("")}</ul>` : ""}`,
		});
	};
})();
