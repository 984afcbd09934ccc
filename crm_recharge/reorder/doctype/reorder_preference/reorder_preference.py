"""A contact's consent to reminders and wishes about them, with the evidence.

Consent is only ever recorded by `reorder.consent.preferences`, which adds a row to the history; what a person or
a program writes into these fields otherwise is refused. Wishes may be edited; that, too, is put on record.
"""

import frappe
from frappe import _
from frappe.utils import cint, getdate

from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.intake import intake
from crm_recharge.people import contacts as people
from crm_recharge.reorder.consent import preferences

EVIDENCE = ("opted_in", "opted_in_at", "opted_in_by", "source", "source_document", "opted_out_at", "wording")
ROW = ("at", "change", "by_user", "source", "source_document", "wording", "detail")


class ReorderPreference(GuardedDocument):
	def validate(self):
		before = None if self.is_new() else frappe.get_doc("Reorder Preference", self.name)
		self.scope_key = preferences.scope_key(self.contact, self.customer)
		self.contact_name = frappe.db.get_value("Contact", self.contact, "full_name") or self.contact
		self.validate_subject(before)
		self.validate_wishes()
		self.refuse_forged_consent(before)
		self.refuse_changed_history(before)
		if before and not self.flags.consent_is_recorded:
			self.record_wishes(before)

	def validate_subject(self, before):
		if not before:
			other = frappe.db.get_value("Reorder Preference", {"scope_key": self.scope_key})
			if other and not self.flags.consent_is_recorded:
				frappe.throw(
					_("{0} has a preference for {1} already: {2}").format(
						self.contact,
						self.customer,
						frappe.utils.get_link_to_form("Reorder Preference", other),
					),
					frappe.UniqueValidationError,
				)
			if not people.belongs(self.contact, self.customer):
				frappe.throw(
					_(
						"Contact {0} does not belong to {1}: somebody who may change the customer must link it there first."
					).format(self.contact, self.customer)
				)
		known = [address.lower() for address in people.emails_of(self.contact, self.customer)]
		changed = not before or (before.email or "").lower() != (self.email or "").lower()
		if changed and (self.email or "").strip().lower() not in known:
			frappe.throw(
				_("{0} is no address of contact {1}: enter it there first.").format(self.email, self.contact)
			)

	def validate_wishes(self):
		if not 0 <= cint(self.frequency_days) <= preferences.LONGEST_FREQUENCY:
			frappe.throw(
				_("{0}: choose a number of days from 0 to {1}.").format(
					frappe.bold(_(self.meta.get_label("frequency_days"))), preferences.LONGEST_FREQUENCY
				)
			)

	def refuse_forged_consent(self, before):
		if self.flags.consent_is_recorded:
			return
		for field in EVIDENCE:
			if _plain(self, field) != (_plain(before, field) if before else ""):
				frappe.throw(
					_(
						"{0} is evidence and cannot be typed in. Use the buttons Record consent and Opt out, or"
						" the API: they note who did it, when, and how it was given."
					).format(frappe.bold(_(self.meta.get_label(field)))),
					frappe.PermissionError,
				)

	def refuse_changed_history(self, before):
		"""What is written stays; only `preferences` adds."""
		kept = {row.name: [_plain(row, field) for field in ROW] for row in before.history} if before else {}
		now = {row.name: [_plain(row, field) for field in ROW] for row in self.history if row.name}
		added = [row for row in self.history if row.name not in kept]
		if any(now.get(name) != values for name, values in kept.items()) or (
			added and not self.flags.consent_is_recorded
		):
			frappe.throw(
				_(
					"The history of a consent can neither be changed nor shortened, and is written by the system."
				),
				frappe.PermissionError,
			)

	def record_wishes(self, before):
		"""Someone edited the wishes in the form: the history says who."""
		if cint(before.frequency_days) != cint(self.frequency_days):
			detail = preferences.frequency_text(cint(self.frequency_days))
			self.append("history", preferences.row(preferences.FREQUENCY, preferences.DESK, detail=detail))
		if _plain(before, "snoozed_until") != _plain(self, "snoozed_until"):
			until = getdate(self.snoozed_until) if self.snoozed_until else None
			detail = preferences.snooze_text(until)
			self.append("history", preferences.row(preferences.SNOOZED, preferences.DESK, detail=detail))
		if (before.email or "") != (self.email or ""):
			detail = _("Address: {0} instead of {1}").format(self.email, before.email)
			self.append("history", preferences.row("Corrected", preferences.DESK, detail=detail))

	def on_trash(self):
		if self.history and not (self.flags.erasing or frappe.flags.in_uninstall):
			frappe.throw(
				_(
					"This is the evidence of a consent and stays. To end the mails use Opt out; to erase a"
					" customer's data use Erase on Reorder Customer."
				),
				frappe.PermissionError,
			)

	@frappe.whitelist(methods=["POST"])
	@intake
	def record_consent(self, how: str, agreed_to: str | None = None):
		"""Record a consent that was given to you: by phone, on paper, in the shop.

		Args:
			how: how and where, in a few words.
			agreed_to: what the person agreed to; by default the wording in Reorder Settings.
		"""
		self.check_permission("write")
		preferences.opt_in(
			self.contact,
			self.customer,
			how,
			(agreed_to or "").strip() or preferences.wording(),
			email=self.email,
		)
		self.reload()

	@frappe.whitelist(methods=["POST"])
	@intake
	def record_opt_out(self, how: str):
		"""Record that the person wants no more mails; `how` they said so."""
		self.check_permission("write")
		preferences.opt_out(self, how)
		self.reload()


def _plain(row, field: str) -> str:
	"""A value as text, alike however it was read."""
	value = row.get(field)
	if value in (None, "", 0, "0", False):
		return ""
	if field in ("at", "opted_in_at", "opted_out_at"):
		return str(frappe.utils.get_datetime(value))
	return str(getdate(value)) if field == "snoozed_until" else str(value)
