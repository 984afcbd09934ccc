"""The base of every document of the app: what comes from outside meets the record as it is stored.

Frappe checks User Permissions against the values that were sent, and takes read-only fields from any request. Here,
before anything is checked, a document has the links, copies and machine's fields of the stored record (or, where it
is new, of its account); what may be set from outside is all that is left of the sent ones. The app's own code that
sets more says so by `by_machine`, which no request can: Frappe takes no flags from outside.

Nor has the site a say in what the app writes: defaults of forms and users, a field made mandatory, a naming rule. Usage
would be refused for a field that no card knows, and a payment be looked for under another name.
"""

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cast, escape_html

from crm_recharge import values
from crm_recharge.doors import records
from crm_recharge.intake import intake

STANDARD = ("owner", "creation")


def by_machine(doc):
	"""`doc`, from here on written by the app itself: its fields are taken as they are."""
	doc.flags.by_machine = True
	return doc


def new(doctype: str, values: dict | None = None):
	"""A new document of the app's own, by machine: as the app ships it, with `values`."""
	return by_machine(frappe.get_doc({"doctype": doctype, **records.defaults(doctype), **(values or {})}))


class AsShipped(Document):
	"""What the site's forms ask for is asked of people: what the app writes is as the app ships it."""

	def is_by_machine(self) -> bool:
		"""Whether the app itself writes it; of a row: the document it stands in."""
		parent = getattr(self, "parent_doc", None)
		return bool(self.flags.by_machine or (parent and parent.flags.by_machine))

	def own_name(self) -> str | None:
		"""The name that the app counts on, whatever a naming rule of the site says; None where any will do."""

	def set_new_name(self, force=False, set_name=None, set_child_names=True):
		super().set_new_name(force, set_name or self.own_name(), set_child_names)

	def _set_defaults(self):
		if not self.is_by_machine():
			super()._set_defaults()
			return
		for doc in (self, *self.get_all_children()):
			doc.update_if_missing(records.defaults(doc.doctype))
			for field in doc.meta.get_custom_fields():
				if field.default and doc.get(field.fieldname) is None:
					doc.set(field.fieldname, cast(field.fieldtype, field.default))

	def _get_missing_mandatory_fields(self):
		missing = super()._get_missing_mandatory_fields()
		if not self.is_by_machine():
			return missing
		shipped = records.fields_of(self.doctype)
		return [(name, text) for name, text in missing if shipped.get(name, {}).get("reqd")]

	def _validate_selects(self):
		if not self.is_by_machine():
			super()._validate_selects()

	def _validate_non_negative(self):
		if not self.is_by_machine():
			super()._validate_non_negative()


class GuardedDocument(AsShipped):
	"""A document whose links and machine's fields come from the database, whatever was sent."""

	# -- where Frappe comes by before it checks or writes anything ------------------------------------------

	def has_permission(self, permtype="read", *args, **kwargs):
		# Saving asks first of all, and so do methods of a document that was sent in.
		if not self.flags.met_stored:
			self.meet_stored()
		return super().has_permission(permtype, *args, **kwargs)

	def insert(self, *args, **kwargs):
		if self.doctype in records.MADE_BY_THE_APP and not self.flags.by_machine:
			self.refuse_by_hand()
		self.check_values()
		try:
			return values.as_people_read(lambda: super(GuardedDocument, self).insert(*args, **kwargs))
		finally:
			self.flags.pop("met_stored", None)

	def _save(self, *args, **kwargs):
		self.check_values()
		try:
			return values.as_people_read(lambda: super(GuardedDocument, self)._save(*args, **kwargs))
		finally:
			self.flags.pop("met_stored", None)

	def append(self, key, value=None, position=-1):
		if value is not None:
			values.check_row(self, key, value)
		return super().append(key, value, position)

	def extend(self, key, value):
		values.check_rows(self, key, value)
		super().extend(key, value)

	def check_values(self) -> None:
		"""Raise InvalidRequestError for what a form or a request sent that no column can keep."""
		if not self.flags.by_machine:
			values.check(self, self._kept_fields())

	def check_if_latest(self):
		self._doc_before_save = None
		super().check_if_latest()
		if not self.is_new() and not self._doc_before_save:
			self.load_doc_before_save()
		# Once more, now that the row is locked: the machine may have written since it was read.
		self.meet_stored(self._doc_before_save)
		self.flags.met_stored = True

	def _validate_links(self):
		super()._validate_links()
		if not self.flags.by_machine:
			self.refuse_links_of_others()

	@frappe.whitelist()
	@intake
	def rename(self, name: str, merge: bool = False, force: bool = False, validate_rename: bool = True):
		"""Frappe's, which any reader may call with its checks switched off: they hold here."""
		return super().rename(name, merge=merge)

	# -- what is stored counts ------------------------------------------------------------------------------

	def meet_stored(self, stored=None) -> None:
		"""Take what does not come from outside: from the stored record, or, where this is new, from its account.

		Args:
			stored: the record as a document that was read under a lock; without it the row is read here.

		Raises:
			frappe.CannotChangeConstantError: it was sent with another account or customer than it belongs to.
		"""
		if self.flags.by_machine or self.meta.issingle:
			return
		values.check_name(self)
		if not stored and not self.is_new() and self.name:
			stored = frappe.db.get_value(self.doctype, self.name, "*", as_dict=True)
		if not stored:
			self._begin_empty()
			return
		self._refuse_moving(stored)
		whole = isinstance(stored, Document)
		for field in (*STANDARD, *self._kept_fields()):
			if whole or field not in records.table_fields(self.doctype):
				self.set(field, stored.get(field))
		if whole:
			self._keep_to_own_rows(stored)

	def _kept_fields(self) -> set[str]:
		return records.app_fields(self.doctype) - set(records.REFUSED_BY_ITS_OWN.get(self.doctype, ()))

	def _begin_empty(self) -> None:
		fields = records.fields_of(self.doctype)
		for name in self._kept_fields():
			default = fields[name].get("default")
			self.set(name, cast(fields[name]["fieldtype"], default) if default is not None else None)
		self._follow_anchor()

	def _follow_anchor(self) -> None:
		copies, anchor = records.derived_fields(self.doctype), records.anchor(self.doctype)
		name = self.get(anchor[1]) if anchor else None
		if not copies or not isinstance(name, str):
			return
		found = frappe.db.get_value(anchor[0], name, list(copies.values()), as_dict=True) or {}
		for field, source in copies.items():
			self.set(field, found.get(source))

	def _refuse_moving(self, stored) -> None:
		for field in records.fixed_fields(self.doctype):
			if field not in self._kept_fields() and (self.get(field) or None) != (stored.get(field) or None):
				frappe.throw(
					_("{0} of {1} {2} stays as it is. Make a new one instead.").format(
						frappe.bold(_(self.meta.get_label(field))),
						_(self.doctype),
						escape_html(str(stored.name)),
					),
					frappe.CannotChangeConstantError,
				)

	def _keep_to_own_rows(self, stored) -> None:
		"""A row that was sent under the name of another document's row is a new one; it moves nothing."""
		for field in records.table_fields(self.doctype):
			own = {row.name for row in stored.get(field)}
			for row in self.get(field):
				if row.name and row.name not in own and not row.is_new():
					row.name = None
					row.set("__islocal", True)

	def refuse_links_of_others(self) -> None:
		"""Raise ValidationError where it links to a card, recharge … of another account; tells nothing of that one."""
		anchor = records.anchor(self.doctype)
		if not anchor or anchor[0] != records.ACCOUNT:
			return
		account = self.get(anchor[1])
		for doc in (self, *self.get_all_children()):
			for field, doctype in records.links_within(doc.doctype).items():
				linked = doc.get(field)
				found = isinstance(linked, str) and frappe.db.get_value(
					doctype, linked, ["name", records.OF_AN_ACCOUNT[doctype]]
				)
				# One that is not there is refused for that.
				if found and found[1] != account:
					frappe.throw(
						_("{0} {1} belongs to another account. Choose one of {2}.").format(
							_(doc.meta.get_label(field)), escape_html(str(linked)), escape_html(str(account))
						),
						title=_("Of another account"),
					)

	def refuse_by_hand(self) -> None:
		"""Raise PermissionError; a DocType may say it in words of its own."""
		frappe.throw(
			_("{0} records are written by the system; they cannot be entered by hand.").format(
				_(self.doctype)
			),
			frappe.PermissionError,
			title=_("Written by the system"),
		)


class Row(AsShipped):
	"""A row of a table: it is written, and checked, with the document it stands in, and never by itself.

	Saving the document does not come by here; saving or deleting a row by itself does.
	"""

	def has_permission(self, permtype="read", *args, **kwargs):
		# Frappe asks for the parent's DocType alone, and for the parent that was sent.
		if not self.flags.ignore_permissions and not self._parent_allows(permtype, kwargs.get("user")):
			return False
		return super().has_permission(permtype, *args, **kwargs)

	def _parent_allows(self, permtype: str, user: str | None) -> bool:
		place = ["parenttype", "parent"]
		stored = frappe.db.get_value(self.doctype, self.name, place) if self.name else None
		parenttype, parent = stored or (self.parenttype, self.parent)
		if parenttype != records.ROWS.get(self.doctype, parenttype):
			return False
		return bool(parent and frappe.has_permission(parenttype, permtype, doc=parent, user=user))

	def insert(self, *args, **kwargs):
		self._refuse_from_outside()
		return super().insert(*args, **kwargs)

	def _save(self, *args, **kwargs):
		self._refuse_from_outside()
		return super()._save(*args, **kwargs)

	def on_trash(self):
		self._refuse_from_outside()

	@frappe.whitelist()
	@intake
	def rename(self, name: str, merge: bool = False, force: bool = False, validate_rename: bool = True):
		"""Refused."""
		self.refuse_alone()

	def _refuse_from_outside(self) -> None:
		if not self.flags.by_machine:
			self.refuse_alone()

	def refuse_alone(self) -> None:
		"""Raise PermissionError, saying where it is changed."""
		frappe.throw(
			_("A row is changed with its document: open the {0} it stands in.").format(
				_(records.ROWS.get(self.doctype, self.parenttype or ""))
			),
			frappe.PermissionError,
			title=_("Change the document"),
		)
