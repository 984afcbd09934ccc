"""The site as the probes find it: people, two customers with their records, and what is nobody's."""

from collections import defaultdict

import frappe

from crm_recharge.tests.doors import people, records, table
from crm_recharge.tests.doors.records import ELSEWHERE, FOREIGN, OWN, Side
from crm_recharge.tests.support.reorder_case import make_item

SETTINGS, ROW, AWAY = "CRM Recharge Settings", "CRM Recharge Company", "set aside"


class World:
	"""Everything that the probes need, committed; `remove` takes it away. `stripe`: a stand-in for the gateway."""

	def __init__(self, stripe):
		frappe.set_user("Administrator")
		self.people = people.everybody()
		for person in self.people:
			people.make(person)
		# The first items of a new site: what a preview shows as samples is nobody's.
		self.item, self.sample = make_item(), make_item()
		first, twin = self._companies()
		companies = {OWN: first, FOREIGN: twin, ELSEWHERE: twin}
		self.sides = {key: Side(key, company, stripe) for key, company in companies.items()}
		for key, side in self.sides.items():
			owner, portal = (
				next((p.user for p in self.people if getattr(p, of) == key), None)
				for of in ("owns", "portal")
			)
			records.fill(side, owner, portal)
		self.tag = records.raw("Tag", frappe.generate_hash(length=8))
		self.shared = records.shared_records(first, self.item)
		own = self.sides[OWN]
		for person in self.people:
			people.confine(
				person, {"Customer": own.customer, "Company": own.company, "Credit Account": own.account}
			)
		frappe.db.commit()
		frappe.clear_cache()

	def _companies(self) -> tuple[str, str]:
		"""The site's first company, and a copy of it that has no books."""
		first = frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0]
		like = frappe.db.get_value("Company", first, ["default_currency", "country"], as_dict=True)
		# Who is confined to the first company may see the settings as long as they name no other.
		self.set_aside = frappe.get_all(ROW, {"company": ["!=", first]}, ["name", "parent"])
		self._move([row.name for row in self.set_aside], AWAY)
		self.twin = f"Doors {frappe.generate_hash(length=8)}"
		abbreviation = frappe.generate_hash(length=6)
		records.raw("Company", self.twin, company_name=self.twin, abbr=abbreviation, **like)
		return first, self.twin

	def _move(self, rows: list[str], parent: str) -> None:
		frappe.db.set_value(ROW, {"name": ["in", rows or [""]]}, "parent", parent, update_modified=False)

	def one(self, doctype: str, side: str) -> str:
		"""The usual record of `doctype` of that side, or the one that is nobody's; a Single is its own name."""
		if doctype in self.shared:
			return self.shared[doctype]
		return self.sides[side].one(doctype) if doctype in self.sides[side].names else doctype

	# -- looking at the database -------------------------------------------------------------------------

	def changed(self, doctypes, door) -> list[str]:
		"""Which of these tables differ from how the probes found them. Undoes what the probe did."""
		after = {doctype: checksum(doctype) for doctype in doctypes}
		door.undo()
		return sorted(doctype for doctype in doctypes if checksum(doctype) != after[doctype])

	def touched(self, side: str, doctypes) -> list[str]:
		"""In which of these tables records of `side` differ from how the probes found them."""
		known = [doctype for doctype in doctypes if (side, doctype) in self._before]
		return sorted(
			doctype for doctype in known if self._rows(side, doctype) != self._before[side, doctype]
		)

	def remember(self) -> None:
		"""How the records are before the first probe."""
		self._before = {
			(key, doctype): self._rows(key, doctype)
			for key, side in self.sides.items()
			for doctype in {*side.names, *table.DOCTYPES}
		}

	def _rows(self, key: str, doctype: str):
		"""The records of a side, and whatever else hangs on its account or customer."""
		side, meta = self.sides[key], frappe.get_meta(doctype)
		if meta.issingle:
			return ()
		found = frappe.qb.DocType(doctype)
		row = found.name.isin(side.names.get(doctype) or [""])
		for fieldname, value in (("credit_account", side.account), ("customer", side.customer)):
			if meta.has_field(fieldname):
				row = row | (found[fieldname] == value)
		return frappe.qb.from_(found).select("*").where(row).orderby(found.name).run()

	def take_away(self, keys) -> None:
		"""Delete all records of some sides, past all controllers."""
		for key in keys:
			for doctype in table.DOCTYPES:
				side, meta = self.sides[key], frappe.get_meta(doctype)
				if doctype in side.names:
					frappe.db.delete(doctype, {"name": ["in", side.names[doctype]]})
				if not meta.issingle and meta.has_field("credit_account"):
					frappe.db.delete(doctype, {"credit_account": side.account})

	def remove(self) -> None:
		"""Delete what was made, past all controllers: some records are made to stay."""
		frappe.db.rollback()
		frappe.set_user("Administrator")
		gone = defaultdict(
			list, {"Company": [self.twin], "Item": [self.item, self.sample], "Tag": [self.tag]}
		)
		for side in self.sides.values():
			for doctype, names in side.names.items():
				gone[doctype] += names
		self._move([row.name for row in self.set_aside], SETTINGS)
		self.shared.pop("CRM Recharge Company")  # the site's own
		for doctype, name in self.shared.items():
			gone[doctype].append(name)
		gone["User"] = [person.user for person in self.people if person.user != "Guest"]
		for name in gone.pop("File"):
			frappe.delete_doc("File", name, force=True)
		for doctype, names in gone.items():
			frappe.db.delete(doctype, {"name": ["in", names]})
			self._remove_rows(doctype, names)
		frappe.db.commit()
		frappe.clear_cache()

	def _remove_rows(self, doctype: str, names: list[str]) -> None:
		for df in frappe.get_meta(doctype).get_table_fields():
			frappe.db.delete(df.options, {"parenttype": doctype, "parent": ["in", names]})
		for other, fieldname in BESIDE.get(doctype, ()):
			frappe.db.delete(other, {fieldname: ["in", names]})


def checksum(doctype: str):
	"""Of a whole table."""
	name = doctype if doctype.startswith("__") or doctype in ("Singles", "Series") else None
	return frappe.db.sql(
		f"CHECKSUM TABLE `{(name and (name if name.startswith('__') else 'tab' + name)) or 'tab' + doctype}`"
	)[0][1]


# Rows that Frappe or ERPNext made beside ours.
BESIDE = {
	"User": (("User Permission", "user"), ("Contact", "user"), ("Notification Settings", "name")),
	"Item": (("Item Price", "item_code"),),
}
