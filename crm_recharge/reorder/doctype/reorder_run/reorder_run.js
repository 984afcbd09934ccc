frappe.ui.form.on("Reorder Run", {
	refresh(frm) {
		const { doc } = frm;
		const reorder = crm_recharge.reorder;
		frm.disable_save();
		frm.page.set_indicator(__(doc.status), reorder.colour("Reorder Run", doc.status));
		const problems = (doc.problems || "").split("\n").filter(Boolean);
		frm.set_intro("");
		if (problems.length) {
			frm.set_intro(
				reorder.counted(
					problems.length,
					__("1 problem; the line below says what, why and what to do."),
					__("{0} problems; each line below says what, why and what to do."),
				),
				"orange",
			);
			frm.add_custom_button(__("Problems"), () => frm.scroll_to_field("problems"));
		}
		if (doc.status === "Running") {
			frm.dashboard.show_progress(__(doc.kind), Math.max(flt(doc.progress), 1), `${doc.done} / ${doc.total}`);
			setTimeout(() => cur_frm === frm && frm.doc.name === doc.name && frm.reload_doc(), 3000);
		}
	},
});
