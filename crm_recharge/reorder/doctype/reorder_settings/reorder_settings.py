"""Whom to remind, when, how and with what."""

import frappe
from frappe import _
from frappe.utils import cint, flt, get_time

from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.reorder import words

SHARES = ("hold_out_share", "least_p_alive", "valuable_share")
LONGEST = 36500
"""Days in a hundred years."""
MOST_ITEMS = 50


class ReorderSettings(GuardedDocument):
	def validate(self):
		self.validate_shares()
		self.validate_numbers()
		self.validate_hours()
		self.validate_people()
		self.validate_order()
		self.validate_consent()

	def validate_shares(self):
		for field in SHARES:
			if not 0 <= flt(self.get(field)) <= 100:
				self.refuse(field, _("must be from 0 to 100 %."))
		if flt(self.hold_out_share) == 100 and self.enabled:
			self.refuse(
				"hold_out_share",
				_("with 100 % held out nobody is reminded. Choose less, or switch sending off."),
			)

	def validate_numbers(self):
		for field in (
			"conversion_window_days",
			"default_lead_time",
			"default_frequency_days",
			"delivery_days",
			"tracking_days",
			"retention_days",
			"link_days",
		):
			if not 0 <= cint(self.get(field)) <= LONGEST:
				self.refuse(field, _("must be from 0 to {0}.").format(words.days(LONGEST)))
		if not cint(self.conversion_window_days):
			self.refuse("conversion_window_days", _("must be at least 1, or no purchase would ever count."))
		if not cint(self.link_days):
			self.refuse("link_days", _("must be at least 1, or the links in the mail would not work."))
		if not 1 <= cint(self.max_items) <= MOST_ITEMS:
			self.refuse("max_items", _("must be from 1 to {0}.").format(MOST_ITEMS))
		if flt(self.widest_range) < 0:
			self.refuse("widest_range", _("must not be negative. 0: no limit."))
		if cint(self.least_purchases) < 1:
			self.refuse(
				"least_purchases", _("must be at least 1: who never bought an item is not reminded of it.")
			)
		if cint(self.retention_days) and cint(self.retention_days) <= cint(self.conversion_window_days):
			self.refuse(
				"retention_days",
				_("must be longer than the {0} in which a purchase still counts.").format(
					words.days(cint(self.conversion_window_days))
				),
			)

	def validate_hours(self):
		times = {}
		for field in ("send_from", "send_until"):
			if self.get(field) in (None, ""):
				self.refuse(field, _("is needed, as hours and minutes."))
			try:
				times[field] = get_time(self.get(field))
			except (TypeError, ValueError):
				self.refuse(field, _("{0} is no time of day.").format(self.get(field)))
		start, end = (time.hour * 60 + time.minute for time in times.values())
		if start > end:
			self.refuse(
				"send_until", _("must be later than Not before. For the whole day put both to 00:00.")
			)
		if 0 < end - start < 60:
			self.refuse(
				"send_until", _("leaves less than an hour, and mails go out hourly: leave at least one.")
			)

	def validate_people(self):
		if self.email_account and not frappe.db.get_value(
			"Email Account", self.email_account, "enable_outgoing"
		):
			self.refuse(
				"email_account",
				_("{0} does not send: enable outgoing mail there.").format(self.email_account),
			)
		if self.reply_to:
			frappe.utils.validate_email_address(self.reply_to, throw=True)
		user = self.fallback_user and frappe.db.get_value(
			"User", self.fallback_user, ["enabled", "user_type"], as_dict=True
		)
		if user and not user.enabled:
			self.refuse("fallback_user", _("{0} is disabled.").format(self.fallback_user))
		if user and user.user_type != "System User":
			self.refuse(
				"fallback_user", _("{0} has no desk, and would see no task.").format(self.fallback_user)
			)
		self.valuable_field = (self.valuable_field or "").strip() or None
		if self.valuable_field and not frappe.db.has_column("Customer", self.valuable_field):
			self.refuse(
				"valuable_field",
				_(
					"Customer has no field {0}. Its name is meant, as in Customize Form, not its label."
				).format(frappe.bold(self.valuable_field)),
			)

	def validate_order(self):
		if self.order_document != "Sales Order" or not self.submit_order:
			self.ask_for_payment = 0
		if self.ask_for_payment and not self.payment_gateway_account:
			self.refuse("payment_gateway_account", _("is needed to ask for payment."))
		if self.free_shipping_rule:
			rule = frappe.db.get_value(
				"Shipping Rule",
				self.free_shipping_rule,
				["disabled", "shipping_rule_type", "company"],
				as_dict=True,
			)
			if rule.shipping_rule_type != "Selling":
				self.refuse(
					"free_shipping_rule",
					_("{0} is for buying; choose one for selling.").format(self.free_shipping_rule),
				)
			if rule.disabled:
				self.refuse("free_shipping_rule", _("{0} is disabled.").format(self.free_shipping_rule))
			if self.company and rule.company and rule.company != self.company:
				self.refuse(
					"free_shipping_rule",
					_("{0} belongs to {1}, not to {2}.").format(
						self.free_shipping_rule, rule.company, self.company
					),
				)

	def validate_consent(self):
		self.consent_wording = (self.consent_wording or "").strip()
		if not self.consent_wording:
			self.refuse(
				"consent_wording", _("is needed: it is kept as the proof of what a customer agreed to.")
			)
		self.neutral_subject = (self.neutral_subject or "").strip()
		if not self.neutral_subject:
			self.refuse("neutral_subject", _("is needed for mails with sensitive items."))

	def refuse(self, field: str, text: str):
		"""Raise ValidationError: the field's label, then `text`."""
		frappe.throw(f"{frappe.bold(_(self.meta.get_label(field)))}: {text}", title=_("Reorder Settings"))

	def on_update(self):
		from crm_recharge.reorder.consent import checkbox
		from crm_recharge.reorder.sending import holding_out

		before = self.get_doc_before_save()
		if not before or flt(before.hold_out_share) != flt(self.hold_out_share):
			holding_out.redraw(flt(self.hold_out_share))
		if not before or before.consent_wording != self.consent_wording:
			checkbox.show_wording(self.consent_wording)
		if before and any(
			before.get(field) != self.get(field) for field in ("without_rule", "default_lead_time")
		):
			frappe.enqueue(
				"crm_recharge.reorder.rules.forecast_anew",
				queue="long",
				timeout=3600,
				enqueue_after_commit=True,
				scopes=[["All Items", None]],
			)
