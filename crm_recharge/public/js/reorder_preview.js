// What a reminder would look like: a dialog for Reorder Settings and Reorder Rule. Nothing is sent but a test.
frappe.provide("crm_recharge.reorder");

crm_recharge.reorder.preview = (rule) => {
	const METHOD = "crm_recharge.reorder.sending.preview";
	const dialog = new frappe.ui.Dialog({
		title: __("Preview of a reminder"),
		size: "large",
		// The list of customers would open over the mail.
		no_focus: true,
		fields: [
			{
				fieldname: "customer",
				fieldtype: "Link",
				options: "Customer",
				label: __("With the items of"),
				description: __("Empty: with samples"),
				onchange: () => show(),
			},
			{ fieldtype: "Column Break" },
			{
				fieldname: "width",
				fieldtype: "Select",
				label: __("On a"),
				options: [
					{ value: "100%", label: __("Computer") },
					{ value: "375px", label: __("Phone") },
				],
				default: "100%",
				onchange: () => frame.css("width", dialog.get_value("width")),
			},
			{ fieldtype: "Section Break" },
			{ fieldname: "about", fieldtype: "HTML" },
			{ fieldname: "mail", fieldtype: "HTML" },
		],
		primary_action_label: __("Send me a test"),
		primary_action: () => {
			dialog.disable_primary_action();
			frappe
				.xcall(`${METHOD}.send_test`, { rule, customer: dialog.get_value("customer") || null })
				.then((address) =>
					frappe.show_alert({ message: __("A test is on its way to {0}", [address]), indicator: "green" }),
				)
				.finally(() => dialog.enable_primary_action());
		},
	});
	// The mail cannot run anything here, nor lead anywhere.
	const frame = $("<iframe>", {
		sandbox: "",
		title: __("The mail"),
		css: { width: "100%", height: "60vh", border: "1px solid var(--border-color)", borderRadius: "8px" },
	});
	frame.css({ display: "block", margin: "0 auto", background: "#fff" });
	dialog.get_field("mail").$wrapper.append(frame);

	let asked = 0;
	function show() {
		const mine = ++asked;
		frappe
			.xcall(`${METHOD}.preview`, { rule, customer: dialog.get_value("customer") || null })
			.then((mail) => {
				// An answer that comes late is of a customer chosen before.
				if (mine !== asked) return;
				const about = dialog.get_field("about").$wrapper.empty();
				const line = (label, text) =>
					$("<div>")
						.append($("<b>").text(`${label}: `), document.createTextNode(text))
						.appendTo(about);
				line(__("Subject"), mail.subject);
				line(__("From"), mail.sender || "—");
				line(__("Email Template"), mail.template);
				for (const note of mail.notes) $("<div class='text-warning'>").text(note).appendTo(about);
				about.css("margin-bottom", "var(--margin-sm)");
				frame.attr("srcdoc", mail.html);
			});
	}

	dialog.show();
	show();
	return dialog;
};

// Both forms load this file; each handler is to be there once.
if (!crm_recharge.reorder.preview_on_forms) {
	crm_recharge.reorder.preview_on_forms = true;

	frappe.ui.form.on("Reorder Settings", {
		refresh(frm) {
			frm.add_custom_button(__("Preview"), () => crm_recharge.reorder.preview(null));
		},
	});

	frappe.ui.form.on("Reorder Rule", {
		refresh(frm) {
			if (!frm.is_new())
				frm.add_custom_button(__("Preview"), () => crm_recharge.reorder.preview(frm.doc.name));
		},
	});
}
