"""What holds for an item, an item group, a brand or all items: when to remind, and with which offer."""

import frappe
from frappe import _
from frappe.utils import cint, flt

from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.reorder import words
from crm_recharge.reorder.rules import BY_AGE

SUBJECTS = {"Item": "item_code", "Item Group": "item_group", "Brand": "brand"}
LONGEST = 36500
"""Days in a hundred years: more is a slip of the finger."""
# A change of these changes days that were foretold.
FORETELLING = (
	"enabled",
	"remind",
	"timing",
	"default_interval",
	"minimum_interval",
	"maximum_interval",
	"age_days",
	"lead_time",
	"own_elasticity",
	"elasticity",
)


class ReorderRule(GuardedDocument):
	def validate(self):
		self.validate_scope()
		self.validate_timing()
		self.validate_offer()
		self.validate_message()
		self.validate_warehouse()
		self.warn_about_lead_time()

	def validate_scope(self):
		"""One subject, by its name; one rule for each."""
		if self.applies_to not in (*SUBJECTS, "All Items"):
			frappe.throw(_("Applies To: choose Item, Item Group, Brand or All Items."))
		for kind, field in SUBJECTS.items():
			if kind != self.applies_to:
				self.set(field, None)
			elif not self.get(field):
				frappe.throw(
					_("Choose the {0} this rule is for, or let it apply to All Items.").format(_(kind)),
					frappe.MandatoryError,
				)
		self.title = f"{_(self.applies_to)}: {self.subject}" if self.subject else _("All Items")
		self.scope_key = f"{self.applies_to}:{self.subject or ''}"
		other = frappe.db.get_value("Reorder Rule", {"scope_key": self.scope_key, "name": ["!=", self.name]})
		if other:
			frappe.throw(
				_("{0} has a rule already: {1}. Change that one, or delete it first.").format(
					frappe.bold(self.title), frappe.utils.get_link_to_form("Reorder Rule", other)
				),
				frappe.DuplicateEntryError,
				title=_("One rule each"),
			)

	@property
	def subject(self) -> str | None:
		"""The item, item group or brand; None for all items."""
		field = SUBJECTS.get(self.applies_to)
		return self.get(field) if field else None

	def validate_timing(self):
		for field in ("default_interval", "minimum_interval", "maximum_interval", "age_days", "lead_time"):
			if not 0 <= cint(self.get(field)) <= LONGEST:
				self.refuse(field, _("must be from 0 to {0}.").format(words.days(LONGEST)))
		if self.own_elasticity and not 0 <= flt(self.elasticity) <= 2:
			self.refuse(
				"elasticity", _("must be from 0 to 2; 1 means that double the quantity lasts twice as long.")
			)
		if self.timing == BY_AGE:
			if not cint(self.age_days):
				self.refuse(
					"age_days", _("is needed: so many days after the purchase it is time for a new one.")
				)
			return
		usual, least, most = (
			cint(self.get(field)) for field in ("default_interval", "minimum_interval", "maximum_interval")
		)
		if least and most and least > most:
			self.refuse(
				"minimum_interval",
				_("{0} is more than the longest interval of {1}.").format(
					words.days(least), words.days(most)
				),
			)
		if usual and least and usual < least:
			self.refuse(
				"default_interval",
				_("{0} is less than the shortest interval of {1}.").format(
					words.days(usual), words.days(least)
				),
			)
		if usual and most and usual > most:
			self.refuse(
				"default_interval",
				_("{0} is more than the longest interval of {1}.").format(
					words.days(usual), words.days(most)
				),
			)

	def validate_offer(self):
		if not 0 <= flt(self.discount_percent) <= 100:
			self.refuse("discount_percent", _("must be from 0 to 100 %."))
		if (flt(self.discount_percent) or self.free_shipping) and not cint(self.offer_days):
			self.refuse("offer_days", _("is needed with an offer, so that it ends one day."))
		if cint(self.offer_days) > LONGEST:
			self.refuse("offer_days", _("must be from 0 to {0}.").format(words.days(LONGEST)))
		if cint(self.loyalty_bonus) < 0:
			self.refuse("loyalty_bonus", _("must not be negative."))
		if self.free_shipping and not frappe.db.get_single_value("Reorder Settings", "free_shipping_rule"):
			self.say(
				_(
					"Free shipping is promised, but Reorder Settings name no Free Shipping Rule to put on the order."
				)
			)
		if flt(self.discount_percent) and self.applies_to == "Item":
			most = flt(frappe.db.get_value("Item", self.item_code, "max_discount"))
			if most and flt(self.discount_percent) > most:
				self.refuse(
					"discount_percent",
					_("{0} % is more than the {1} % that Item {2} allows (Max Discount).").format(
						words.number(flt(self.discount_percent)), words.number(most), self.item_code
					),
				)

	def validate_message(self):
		if self.email_account and not frappe.db.get_value(
			"Email Account", self.email_account, "enable_outgoing"
		):
			self.refuse(
				"email_account",
				_("{0} does not send: enable outgoing mail there.").format(self.email_account),
			)

	def validate_warehouse(self):
		"""What can never be sold from there would never be in stock."""
		if not self.warehouse:
			return
		found = frappe.db.get_value("Warehouse", self.warehouse, ["disabled", "company"], as_dict=True)
		company = frappe.db.get_single_value("Reorder Settings", "company")
		if found and found.disabled:
			self.refuse("warehouse", _("{0} is disabled.").format(self.warehouse))
		if found and company and found.company != company:
			self.refuse(
				"warehouse",
				_("{0} belongs to {1}, not to {2} of Reorder Settings.").format(
					self.warehouse, found.company, company
				),
			)

	def warn_about_lead_time(self):
		after = (
			cint(self.age_days)
			if self.timing == BY_AGE
			else (cint(self.minimum_interval) or cint(self.default_interval))
		)
		if after and cint(self.lead_time) >= after:
			self.say(
				_(
					"Reminding {0} ahead of an interval of {1} means reminding the day after the purchase. Choose"
					" fewer days ahead."
				).format(words.days(cint(self.lead_time)), words.days(after))
			)

	def refuse(self, field: str, text: str):
		"""Raise ValidationError: the field's label, then `text`."""
		frappe.throw(f"{frappe.bold(_(self.meta.get_label(field)))}: {text}", title=_("Reorder Rule"))

	def say(self, text: str):
		"""Warn whoever saves it."""
		frappe.msgprint(text, title=self.title, indicator="orange", alert=True)

	def on_update(self):
		before = self.get_doc_before_save()
		scopes = [[self.applies_to, self.subject]]
		if before:
			if before.scope_key != self.scope_key:
				scopes.append([before.applies_to, before.subject])
			# An empty number is a zero once it was stored.
			elif all((before.get(field) or 0) == (self.get(field) or 0) for field in FORETELLING):
				return
		self.forecast_anew(scopes)

	def on_trash(self):
		frappe.db.set_value("Reorder Reminder", {"rule": self.name}, "rule", None, update_modified=False)
		self.forecast_anew([[self.applies_to, self.subject]])

	def forecast_anew(self, scopes: list[list]):
		"""Have the pairs of these items foretold anew, once this is committed."""
		frappe.enqueue(
			"crm_recharge.reorder.rules.forecast_anew",
			queue="long",
			timeout=3600,
			enqueue_after_commit=True,
			scopes=scopes,
		)


def after_rename(doc, method=None, old=None, new=None, merge=False):
	"""An item, item group or brand has a new name: the rules for it follow. After a merge one of two stays."""
	field = SUBJECTS.get(doc.doctype)
	if not field:
		return
	for name in frappe.get_all(
		"Reorder Rule", {field: new, "applies_to": doc.doctype}, pluck="name", order_by="creation"
	):
		rule = frappe.get_doc("Reorder Rule", name)
		key = f"{rule.applies_to}:{new}"
		if frappe.db.exists("Reorder Rule", {"scope_key": key, "name": ["!=", name]}):
			frappe.delete_doc("Reorder Rule", name, ignore_permissions=True, force=True)
			continue
		rule.db_set({"scope_key": key, "title": f"{_(rule.applies_to)}: {new}"}, update_modified=False)
