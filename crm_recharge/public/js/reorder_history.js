// Reorder Settings: read all invoices, and watch it.
(() => {
	frappe.ui.form.on("Reorder Settings", {
		refresh(frm) {
			const reorder = crm_recharge.reorder;
			frm.add_custom_button(__("Runs"), () => frappe.set_route("List", "Reorder Run"), __("Learning"));
			if (!reorder.can("Reorder Manager")) return;
			frm.add_custom_button(__("Read History"), () => read_history(frm), __("Learning"));
			show_running(frm);
		},
	});

	const LOOK_MS = 2000;

	const read_history = (frm) =>
		frappe.confirm(
			__(
				"Read all invoices in the background and learn from them? Reading again is harmless; invoices can be written meanwhile.",
			),
			() =>
				crm_recharge.reorder.call("learning.history.start").then((run) => {
					frappe.show_alert({ message: __("Reading purchases …"), indicator: "blue" });
					watch(frm, run);
				}),
		);

	/* Whoever opens the form while a reading is under way sees it. */
	const show_running = (frm) =>
		frappe.db
			.get_list("Reorder Run", {
				filters: { kind: "History", status: "Running" },
				fields: ["name"],
				limit: 1,
			})
			.then((found) => found.length && watch(frm, found[0].name));

	const watch = (frm, run) => {
		if (frm.crm_recharge_watched === run) return;
		frm.crm_recharge_watched = run;
		look(frm, run);
	};

	const is_shown = (frm) => cur_frm === frm && $(frm.wrapper).is(":visible");

	const look = async (frm, run) => {
		const { message } = await frappe.db.get_value("Reorder Run", run, [
			"status",
			"progress",
			"done",
			"total",
			"summary",
		]);
		if (frm.crm_recharge_watched !== run) return;
		if (message.status === "Running" && is_shown(frm)) {
			frm.dashboard.show_progress(
				__("Reading purchases"),
				Math.max(flt(message.progress), 1),
				__("{0} of {1}", [
					message.done,
					crm_recharge.reorder.counted(message.total, __("1 customer"), __("{0} customers")),
				]),
			);
			setTimeout(() => look(frm, run), LOOK_MS);
			return;
		}
		frm.crm_recharge_watched = null;
		frm.dashboard.hide_progress(__("Reading purchases"));
		if (message.status === "Running") return;
		frappe.show_alert({
			message: crm_recharge.reorder.text(message.summary || __(message.status)),
			indicator: crm_recharge.reorder.colour("Reorder Run", message.status),
		});
	};
})();
