"""Who tries the doors."""

from dataclasses import dataclass, field

import frappe

from crm_recharge.tests.doors import table
from crm_recharge.tests.doors.records import OWN, raw
from crm_recharge.tests.factories import make_user

# Roles that exist for the app, or that somebody who works beside it has.
STAFF = tuple(dict.fromkeys((*table.CREDIT_ROLES, *table.REORDER_ROLES)))
COMBINED = ("Credit Manager & Sales User", "Reorder User & Sales User", "Credit Manager & Reorder Manager")
CONFINEMENTS = ("Customer", "Company", "Credit Account")


@dataclass(eq=False)
class Person:
	"""Somebody with `roles`; `confined`: the DocType of whose records a User Permission leaves one, the own side's.

	`owns`, `portal`: the side whose account or customer is theirs.
	"""

	title: str
	roles: tuple[str, ...] = ()
	confined: str | None = None
	owns: str | None = None
	portal: str | None = None
	user: str = field(default="")

	def has(self, doctype: str, right: str) -> bool:
		"""Whether a role of theirs has `right` on `doctype`."""
		return any(right in table.rights_of(doctype, role) for role in self.roles)

	def is_one_of(self, who: tuple[str, ...]) -> bool:
		"""Whether their roles are among `who`."""
		return any(set(entry.split(" & ")) <= set(self.roles) for entry in who)

	def reaches(self, side: str, confined_by: tuple[str, ...]) -> bool:
		"""Whether records of `side` are left to them, where User Permissions on `confined_by` narrow."""
		return side == OWN or self.confined not in confined_by

	@property
	def kind(self) -> str:
		"""How Frappe tells people apart: who comes into the desk, who has a login, who has none."""
		if self.user == "Guest":
			return "guest"
		return "staff" if set(self.roles) & set(STAFF) else "website"


def everybody() -> list[Person]:
	"""All who try, not yet made."""
	people = [Person(roles, tuple(roles.split(" & "))) for roles in (*STAFF, *COMBINED)]
	people += [
		Person(f"{roles}, confined to one {confined}", tuple(roles.split(" & ")), confined)
		for confined in CONFINEMENTS
		for roles in (*STAFF, *COMBINED)
	]
	people += [
		Person("owner of the account", owns=OWN),
		Person("owner of another account", owns="elsewhere"),
		Person("portal user of the customer", ("Customer",), portal=OWN),
		Person("portal user of another customer", ("Customer",), portal="elsewhere"),
		Person("website user with the role Customer", ("Customer",)),
		Person("website user without roles"),
		Person("Guest", user="Guest"),
	]
	return people


def make(person: Person) -> None:
	"""Make the user of `person`."""
	person.user = person.user or make_user(*person.roles, first_name="Door")


def confine(person: Person, values: dict[str, str]) -> None:
	"""Leave `person` only the record `values[person.confined]` of that DocType."""
	if person.confined:
		value = values[person.confined]
		raw(
			"User Permission",
			user=person.user,
			allow=person.confined,
			for_value=value,
			apply_to_all_doctypes=1,
		)
		frappe.clear_cache(user=person.user)
