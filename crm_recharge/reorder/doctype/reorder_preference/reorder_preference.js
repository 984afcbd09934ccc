frappe.ui.form.on("Reorder Preference", {
	setup(frm) {
		frm.set_query("contact", () =>
			frm.doc.customer
				? {
						query: "frappe.contacts.doctype.contact.contact.contact_query",
						filters: { link_doctype: "Customer", link_name: frm.doc.customer },
				  }
				: {},
		);
	},

	contact(frm) {
		if (frm.doc.contact && frm.is_new())
			frappe.db
				.get_value("Contact", frm.doc.contact, "email_id")
				.then(({ message }) => frm.set_value("email", message?.email_id || ""));
	},

	refresh(frm) {
		if (frm.is_new()) {
			frm.set_intro(__("Save first; then record how the person gave consent."));
			return;
		}
		frm.set_df_property("contact", "read_only", 1);
		frm.set_df_property("customer", "read_only", 1);
		if (!frm.perm[0]?.write) return;
		if (frm.doc.opted_in) frm.add_custom_button(__("Opt out"), () => opt_out(frm));
		else frm.add_custom_button(__("Record consent"), () => record_consent(frm)).addClass("btn-primary");
	},
});

function record_consent(frm) {
	frappe.db.get_single_value("Reorder Settings", "consent_wording").then((wording) =>
		ask(frm, "record_consent", {
			title: __("Record consent"),
			fields: [
				{
					fieldname: "how",
					fieldtype: "Data",
					reqd: 1,
					label: __("How and where it was given"),
					description: __("Say by phone, on paper, in the shop. Your name and the time are kept with it."),
				},
				{
					fieldname: "agreed_to",
					fieldtype: "Small Text",
					reqd: 1,
					label: __("What the person agreed to"),
					default: wording,
				},
			],
			primary_action_label: __("This person agreed"),
		}),
	);
}

function opt_out(frm) {
	ask(frm, "record_opt_out", {
		title: __("Opt out"),
		fields: [{ fieldname: "how", fieldtype: "Data", reqd: 1, label: __("How and where the person said so") }],
		primary_action_label: __("No more reminders"),
	});
}

function ask(frm, method, options) {
	const dialog = new frappe.ui.Dialog({
		...options,
		primary_action(values) {
			dialog.disable_primary_action();
			frm
				.call(method, values)
				.then(() => {
					dialog.hide();
					return frm.reload_doc();
				})
				.finally(() => dialog.enable_primary_action());
		},
	});
	dialog.show();
}
