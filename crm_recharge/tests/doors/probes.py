"""Single requests with what is expected of each: the table × people × records × doors."""

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import frappe
from frappe.utils import add_days, nowdate

from crm_recharge.tests.doors import doors, found, table
from crm_recharge.tests.doors.doors import Target, get, post
from crm_recharge.tests.doors.people import Person
from crm_recharge.tests.doors.records import ELSEWHERE, FOREIGN, OWN, Side
from crm_recharge.tests.doors.runner import Ask
from crm_recharge.tests.doors.world import World

DISGUISED, TAKEN = "foreign, sent as one's own", "foreign, moved to one's own account"

ONLY = os.environ.get("DOORS", "")
"""For whoever works on one thing: only what holds this text in its name, such as `DOORS="Credit Team"`."""
EVERYBODY_EVERYWHERE = os.environ.get("DOOR_MATRIX") == "full"
"""Else each door of a DocType is tried by one person of each kind, in turn: see `_in_turn`."""


@dataclass
class Probe:
	"""One request of `person`. What of the sides' records may be seen in the answer, and whether it may act."""

	person: Person
	what: str
	whose: str
	kind: str
	ask: Callable[[], Ask]
	allowed: bool
	writes: bool = False
	quiet: bool = False
	breaks: bool = False
	asks_more: bool = False
	# Sides whose records must not be seen; and one of which must be, if any.
	hidden: tuple[str, ...] = ()
	shown: str | None = None
	# The DocType that is written if it is allowed; None: not looked at.
	changes: str | None = None
	# What is tried before, to get at it; and words, beside the marks of the sides, that must not be seen.
	before: Callable[[], Ask] | None = None
	secrets: tuple[str, ...] = ()
	# How many records are counted.
	counts: int | None = None
	# The same is answered without these sides' records.
	without: tuple[str, ...] = ()

	@property
	def line(self) -> str:
		return f"{self.person.title} · {self.what} · {self.whose}"


# -- DocTypes ----------------------------------------------------------------------------------------------

# What a person who may write would change.
EDITS = {
	"Auto-Recharge Setting": {"cap_count_day": 7},
	"Credit Account": {"status_reason": "looked at"},
	"Credit Team": {"monthly_limit": 5},
	"Credit Webhook": {"events": "refund.*"},
	"CRM Recharge Settings": {"stripe_timeout": 21},
	"Gateway Difference": {"resolution": "looked at"},
	"Recharge": {"amount": 25},
	"Recharge Card": {"status_reason": "looked at"},
	"Recharge Refund": {"message": "looked at"},
	"Reorder Consent Change": {"wording": "another"},
	"Reorder Message Item": {"item_name": "another"},
	"Reorder Preference": {"frequency_days": 30},
	"Reorder Reminder": {"snoozed_until": lambda: str(add_days(nowdate(), 9))},
	"Reorder Rule": {"lead_time": 3},
	"Reorder Settings": {"max_items": 4},
	"Usage Category": {"unit": "call"},
}
# What a new record has beside what it copies.
FRESH = {
	"Credit Account": {"currency": "EUR"},
	"Credit Team": {"team_name": lambda: frappe.generate_hash(length=8)},
	"Reorder Preference": {"opted_in": 0, "opted_in_at": None, "wording": None, "history": []},
	"Reorder Rule": {"applies_to": "All Items", "item_code": None},
	"Usage Category": {"category_name": lambda: frappe.generate_hash(length=8)},
}
TEXTS = ("Data", "Small Text", "Long Text", "Code")


def _made(values: dict) -> dict:
	return {key: value() if callable(value) else value for key, value in values.items()}


class Matrix:
	"""All probes of a world."""

	def __init__(self, world: World):
		self.world = world
		self.turn = 0
		self.stranger = next(p.user for p in world.people if p.title == "website user without roles")
		self.targets = {
			(doctype, side): self._target(doctype, side)
			for doctype in table.DOCTYPES
			for side in (OWN, FOREIGN)
			if self._is_there(doctype)
		}

	def __iter__(self) -> Iterator[Probe]:
		"""Person by person: setting a user forgets what is cached."""
		probes = [
			*self.of_doctypes(),
			*self.of_methods(),
			*self.of_what_is_looked_at(),
			*self.of_pages(),
			*self.of_links(),
			*self.of_tricks(),
		]
		probes = [probe for probe in probes if any(part in probe.what for part in ONLY.split("|"))]
		return iter(sorted(probes, key=lambda probe: self.world.people.index(probe.person)))

	# -- targets -----------------------------------------------------------------------------------------

	def _is_there(self, doctype: str) -> bool:
		return (
			doctype in self.world.shared
			or any(doctype in side.names for side in self.world.sides.values())
			or not frappe.get_meta(doctype).istable
		)

	def _target(self, doctype: str, key: str) -> Target:
		side, other = self.world.sides[key], self.world.sides[OWN if key == FOREIGN else FOREIGN]
		name = self.world.one(doctype, key)
		edit = _made(EDITS.get(doctype, {})) or self._some_edit(doctype)
		if doctype == "Auto-Recharge Card":
			edit = {"card": side.names["Recharge Card"][1]}
		target = Target(doctype, name, edit, recipient=self.stranger, word=side.word, tag=self.world.tag)
		target.among = [n for s in self.world.sides.values() for n in s.names.get(doctype, ())] or [name]
		target.file = side.files.get(doctype, "")
		if target.meta.is_submittable:
			target.draft, target.submitted = side.names[doctype][0], side.names[doctype][2]
		target.new = self._new(target)
		target.others = self._as_of(doctype, other)
		return target

	def _some_edit(self, doctype: str) -> dict:
		df = next((df for df in frappe.get_meta(doctype).fields if df.fieldtype in TEXTS), None)
		return {df.fieldname: "x"} if df else {"docstatus": 0}

	def _new(self, target: Target) -> dict:
		"""A record like this one."""
		if target.meta.issingle:
			return {}
		doc = frappe.get_doc(target.doctype, target.name)
		new = frappe.copy_doc(doc).as_dict(
			no_nulls=True, convert_dates_to_str=True, no_private_properties=True
		)
		for fieldname in (
			"name",
			"docstatus",
			"doctype",
			"owner",
			"creation",
			"modified",
			"modified_by",
			"idx",
		):
			new.pop(fieldname, None)
		if target.meta.istable:
			new |= {key: doc.get(key) for key in ("parent", "parenttype", "parentfield")}
		return new | _made(FRESH.get(target.doctype, {}))

	def _as_of(self, doctype: str, side: Side) -> dict:
		"""The links of a record as if it hung on `side`."""
		meta = frappe.get_meta(doctype)
		links = {"customer": side.customer, "company": side.company, "credit_account": side.account}
		return {key: value for key, value in links.items() if meta.has_field(key)}

	# -- people ------------------------------------------------------------------------------------------

	def _in_turn(self, doctype: str, right: str, row_alone: bool = False) -> list[Person]:
		"""One of each kind of people that the table tells apart here, another one each time.

		Whoever lacks the right is not tried with a User Permission on top: that only takes away.
		"""

		def tells_apart(person: Person) -> tuple:
			may = self._may(person, doctype, right, row_alone)
			return may, may or person.has(doctype, "read")

		return self._one_of_each(tells_apart)

	def _one_of_each(self, tells_apart: Callable[[Person], tuple]) -> list[Person]:
		"""One of each kind, another one each time. `tells_apart`: first whether the person has the right at all."""
		kinds: dict[tuple, list[Person]] = {}
		for person in self.world.people:
			told = tells_apart(person)
			if EVERYBODY_EVERYWHERE:
				kinds[person.title,] = [person]
			elif told[0] or not person.confined:
				kinds.setdefault((person.kind, person.confined, *told), []).append(person)
		self.turn += 1
		return [group[self.turn % len(group)] for group in kinds.values()]

	def _may(self, person: Person, doctype: str, right: str, row_alone: bool = False) -> bool:
		if right == "password":
			return "System Manager" in person.roles
		if doctype in table.CHILDREN and right in ("create", "delete"):
			right = "write"
		if right == "export" and "System Manager" in person.roles:
			right = "read"  # Frappe lets a System Manager export whatever there is
		if row_alone and doctype in table.CHILDREN:
			return False
		return person.has(doctype, right) and right not in table.NOT_BY_HAND.get(doctype, "").split()

	def _reaches(self, person: Person, doctype: str, side: str, right: str = "read") -> bool:
		if right == "create" and person.confined == doctype:
			return False  # to one that is there already
		if table.hangs_on(doctype) == table.ALL:
			return person.confined not in table.confined_by(doctype)
		return person.reaches(side, table.confined_by(doctype))

	# -- probes of DocTypes ------------------------------------------------------------------------------

	def of_doctypes(self) -> Iterator[Probe]:
		for doctype in table.DOCTYPES:
			if (doctype, OWN) not in self.targets:
				continue
			for door in doors.READING:
				yield from self._of_records("read", doctype, door)
			for door in doors.LISTING:
				yield from self._of_lists(doctype, door)
			for door in doors.COUNTING:
				yield from self._of_counts(doctype, door)
			for kind, some in self._writing(doctype):
				for door in some:
					yield from self._of_records(kind, doctype, door)

	def _writing(self, doctype: str):
		meta = frappe.get_meta(doctype)
		yield "change", doors.CHANGING
		if meta.is_submittable:
			yield "submit", doors.SUBMITTING
			yield "cancel", doors.CANCELLING
		if meta.istable:
			yield "create", doors.ROWS
		elif not meta.issingle:
			yield "create", doors.CREATING
			yield "rename", doors.RENAMING
		yield "delete", doors.DELETING
		if not meta.istable:
			yield "beside", doors.BESIDE

	def _sides(self, doctype: str) -> tuple[str, ...]:
		return (OWN,) if table.hangs_on(doctype) in (table.NOBODY, table.ALL) else (OWN, FOREIGN)

	def _of_records(self, kind: str, doctype: str, door) -> Iterator[Probe]:
		for side in self._sides(doctype):
			target = self.targets[doctype, side]
			if not self._asks(door, target):
				continue
			alone = kind != "read" and not door.with_parent
			for person in self._in_turn(doctype, door.right, alone):
				may = self._may(person, doctype, door.right, alone)
				reaches = self._reaches(person, doctype, side, door.right)
				yield self._of_record(kind, door, person, target, side, may and reaches)
				if kind not in ("read", "beside") and may and not reaches and side == FOREIGN:
					for whose, disguised in self._disguises(target, kind):
						yield self._of_record(kind, door, person, disguised, whose, False)

	def _asks(self, door, target: Target) -> bool:
		frappe.local.form_dict = frappe._dict()
		return door.ask(target) is not None

	def _disguises(self, target: Target, kind: str = "change") -> Iterator[tuple[str, Target]]:
		"""The same with the customer and company of somebody else, and with the account as well.

		A new record is of that account or customer which it names: with all of them exchanged it is one's own.
		"""
		account = "credit_account" in target.others
		if account or kind != "create":
			sent = {key: value for key, value in target.others.items() if key != "credit_account"}
			if sent:
				yield DISGUISED, replace(target, disguise=sent)
		if account and kind != "create":
			yield TAKEN, replace(target, disguise=target.others)

	def _of_record(self, kind, door, person, target: Target, whose: str, allowed: bool) -> Probe:
		nobodys = table.hangs_on(target.doctype) in (table.NOBODY, table.ALL)
		side = whose if whose in (OWN, FOREIGN) else FOREIGN
		return Probe(
			person,
			f"{target.doctype}: {door.name}",
			"nobody's" if nobodys else whose,
			kind,
			lambda: door.ask(target),
			allowed,
			writes=kind != "read",
			quiet=door.quiet or whose in (DISGUISED, TAKEN),
			breaks=bool(door.breaks),
			asks_more=bool(door.asks_more),
			hidden=() if allowed or nobodys else (side,),
			shown=side if allowed and kind == "read" and door.shows and not nobodys else None,
			changes=target.doctype if kind in ("change", "create") and target.doctype in EDITS else None,
		)

	def _of_lists(self, doctype: str, door) -> Iterator[Probe]:
		target = self.targets[doctype, OWN]
		if not self._asks(door, target):
			return
		for person in self._in_turn(doctype, door.right):
			may = self._may(person, doctype, door.right)
			sides = self._sides(doctype) if len(self._sides(doctype)) > 1 else ()
			seen = [side for side in sides if may and self._reaches(person, doctype, side)]
			yield Probe(
				person,
				f"{doctype}: {door.name}",
				"all",
				"list",
				lambda: door.ask(target),
				may,
				quiet=door.quiet,
				hidden=tuple(side for side in sides if side not in seen),
				shown=OWN if OWN in seen and door.shows else None,
			)

	def _of_counts(self, doctype: str, door) -> Iterator[Probe]:
		target = self.targets[doctype, OWN]
		if not self._asks(door, target):
			return
		for person in self._in_turn(doctype, door.right):
			may = self._may(person, doctype, door.right)
			counts = len(self._seen(person, doctype)) if may else None
			yield Probe(
				person,
				f"{doctype}: {door.name}",
				"all",
				"count",
				lambda: door.ask(target),
				may,
				counts=counts,
			)

	def _seen(self, person: Person, doctype: str) -> list[str]:
		sides = [s for s in (OWN, FOREIGN, ELSEWHERE) if self._reaches(person, doctype, s)]
		if doctype in self.world.shared:
			return [self.world.shared[doctype]] if sides else []
		return [n for s in sides for n in self.world.sides[s].names.get(doctype, ())]

	# -- probes of methods -------------------------------------------------------------------------------

	def of_methods(self) -> Iterator[Probe]:
		methods = found.methods()
		for name, entry in table.METHODS.items():
			if name in methods:
				for side in (OWN, FOREIGN) if entry.on not in (table.NOBODY, *table.OF_EVERYBODY) else (OWN,):
					for person in self._one_of_each(
						lambda person: (self._may_call(person, entry.who, side),)
					):
						yield self._of_method(name, entry, methods[name], person, side)
		for name, right in ((n, r) for n, r in table.DOCUMENT_METHODS.items() if not n.startswith("*")):
			for side in (OWN, FOREIGN):
				for person in self._in_turn(name.split(".")[0], right):
					yield from self._of_document_method(name, right, person, side)

	def _may_call(self, person: Person, who: tuple[str, ...], side: str) -> bool:
		return (
			person.is_one_of(who)
			or (table.OWNER in who and person.owns == side)
			or (table.PORTAL in who and person.portal == side)
		)

	def _of_method(self, name: str, entry, function, person: Person, side: str) -> Probe:
		confined_by = table.CONFINED_BY[entry.on]
		reaches = (
			person.confined not in confined_by
			if entry.on in table.OF_EVERYBODY
			else person.reaches(side, confined_by)
		)
		allowed = self._may_call(person, entry.who, side) and reaches
		by_token = table.EVERYBODY in entry.who
		return Probe(
			person,
			name,
			"nobody's" if entry.on == table.NOBODY else side,
			"method",
			lambda: self._call(name, function, entry.args or {}, self.world.sides[side]),
			allowed,
			writes=not entry.reads,
			quiet=by_token or entry.quiet,
			hidden=()
			if allowed and side == FOREIGN
			else (FOREIGN,)
			if allowed and person.confined
			else (side,)
			if not allowed
			else (),
		)

	def _call(self, name: str, function, args: dict, side: Side) -> Ask:
		given = {}
		# What a method takes is said by the function behind its intake.
		for parameter in inspect.signature(getattr(function, "function", function)).parameters.values():
			key = parameter.name
			wanted = args.get(key)
			if key in args and wanted is not True:
				given[key] = side.one(wanted) if key in ("name", "docname") else wanted
			elif wanted or parameter.default is inspect.Parameter.empty or key in ALWAYS:
				if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
					given[key] = self.argument(key, side)
		verbs = frappe.allowed_http_methods_for_whitelisted_func[function]
		return Ask("GET" if "GET" in verbs else "POST", f"/api/method/crm_recharge.{name}", given)

	def argument(self, parameter: str, side: Side):
		"""What a parameter of that name is given, for `side`."""
		if parameter in NAMED:
			doctype, number = NAMED[parameter]
			return side.names[doctype][number]
		if parameter in SAID:
			return SAID[parameter]
		return {
			"account": side.account,
			"company": side.company,
			"idempotency_key": frappe.generate_hash(length=12),
			"cards": side.names["Recharge Card"][:1],
			"events": [{"amount": "1", "idempotency_key": frappe.generate_hash(length=12)}],
			"setting": {
				"credit_account": side.account,
				"falls_below": 20,
				"recharge_up_to": 600,
				"cards": [{"card": side.names["Recharge Card"][0]}],
			},
			"rule": self.world.shared["Reorder Rule"],
		}[parameter]

	def _of_document_method(self, name: str, right: str, person: Person, side: str) -> Iterator[Probe]:
		doctype, method = name.split(".")
		target = self.targets[doctype, side]
		allowed = person.has(doctype, right) and self._reaches(person, doctype, side)
		args = {"how": "by telephone"}
		ways = {
			"by name": lambda t: post("run_doc_method", dt=doctype, dn=t.name, method=method, args=args),
			"sent in": lambda t: post("run_doc_method", docs=t.document(), method=method, args=args),
			"?run_method": lambda t: Ask(
				"POST", f"/api/resource/{doctype}/{t.name}", {"run_method": method, **args}
			),
			"v2": lambda t: Ask("POST", f"/api/v2/document/{doctype}/{t.name}/method/{method}", args),
			"v2, sent in": lambda t: Ask(
				"POST",
				"/api/v2/method/run_doc_method",
				{"document": t.document(), "method": method, "kwargs": args},
				as_json=True,
			),
		}
		for way, ask in ways.items():
			others = (
				self._disguises(target)
				if side == FOREIGN and not allowed and person.has(doctype, right)
				else ()
			)
			for whose, about in ((side, target), *others):
				yield Probe(
					person, f"{name}, {way}", whose, "method", lambda ask=ask, about=about: ask(about), allowed,
					writes=True, quiet=whose != side, hidden=() if allowed else (side,),
				)  # fmt: skip

	# -- probes of reports, cards, charts ----------------------------------------------------------------

	def of_what_is_looked_at(self) -> Iterator[Probe]:
		for report, who in table.REPORTS.items():
			doctype = frappe.db.get_value("Report", report, "ref_doctype")
			run, export = _report(report)
			yield from self._figures(f"report {report}", doctype, lambda p: p.is_one_of(who), run)
			may = lambda p: p.is_one_of(who) and p.has(doctype, "export")  # noqa: E731
			yield from self._figures(f"report {report}, exported", doctype, may, export)
		for card, doctype in table.CARDS.items():
			yield from self._figures(f"card {card}", doctype, lambda p: p.has(doctype, "read"), _card(card))
		for chart, shows in table.CHARTS.items():
			doctype = frappe.db.get_value("Report", shows, "ref_doctype") or shows
			who = table.REPORTS.get(shows)
			may = lambda p: p.is_one_of(who) if who else p.has(doctype, "read")  # noqa: E731
			yield from self._figures(f"chart {chart}", doctype, may, _chart(chart))

	def _figures(self, what: str, doctype: str, may, ask: Ask) -> Iterator[Probe]:
		for person in self._one_of_each(lambda p: (may(p),)):
			seen = [
				side
				for side in (OWN, FOREIGN, ELSEWHERE)
				if may(person) and self._reaches(person, doctype, side)
			]
			hidden = tuple(side for side in (OWN, FOREIGN, ELSEWHERE) if side not in seen)
			yield Probe(
				person,
				what,
				"all",
				"figures",
				lambda: ask,
				may(person),
				hidden=hidden,
				without=hidden if seen else (),
			)

	# -- probes of pages ---------------------------------------------------------------------------------

	def of_pages(self) -> Iterator[Probe]:
		# A page takes long to be made: some look at it, and others another time.
		for side in (OWN, FOREIGN):
			for person in self._one_of_each(lambda p: (p.owns == side or p.portal == side, p.owns, p.portal)):
				their = self.world.sides[side]
				owner, portal = person.owns == side, person.portal == side
				staff = person.has("Auto-Recharge Setting", "read") and self._reaches(
					person, "Credit Account", side
				)
				for what, ask, may in (
					("/credits", Ask("GET", "/credits", {"account": their.account}), owner or staff),
					("/reorders", Ask("GET", "/reorders", {"customer": their.customer}), portal or owner),
					(
						"/reorder",
						Ask("GET", "/reorder", {"do": "reorder", "token": their.one("Reorder Message")}),
						False,
					),
					(
						"/recharge-confirm",
						Ask("GET", "/recharge-confirm", {"token": their.one("Recharge")}),
						False,
					),
				):
					yield Probe(
						person, f"page {what}", side, "page", lambda ask=ask: ask, may, quiet=True,
						hidden=() if may else (side,), shown=side if may else None,
					)  # fmt: skip

	# -- probes of links, and of what people try before ---------------------------------------------------

	def of_links(self) -> Iterator[Probe]:
		"""A record that one may read leads to one that one may not: the card of a recharge, to who keeps the books."""
		card = self.world.sides[OWN].names["Recharge Card"][0]
		secret = frappe.db.get_value("Recharge Card", card, "payment_method")
		fields = ["name", "card.payment_method as secret"]
		for doctype in ("Recharge", "Recharge Attempt", "Auto-Recharge Card"):
			target = self.targets[doctype, OWN]
			filters = {"name": target.name}
			for way, ask in {
				"client.get_list through a link": get(
					"frappe.client.get_list", doctype=doctype, fields=fields, filters=filters,
					parent=table.CHILDREN.get(doctype),
				),
				"reportview.get through a link": post(
					"frappe.desk.reportview.get", doctype=doctype, fields=fields, filters=filters
				),
				"GET /api/resource list expanded": Ask(
					"GET", f"/api/resource/{doctype}", {"fields": ["*"], "filters": filters, "expand": ["card"]}
				),
				"client.get_list expanded": get(
					"frappe.client.get_list", doctype=doctype, fields=["*"], filters=filters, expand=["card"],
					parent=table.CHILDREN.get(doctype),
				),
				"GET /api/resource expanded": Ask(
					"GET", f"/api/resource/{doctype}/{target.name}", {"expand_links": "1"}
				),
			}.items():  # fmt: skip
				for person in self._in_turn("Recharge Card", "read"):
					if not person.has("Recharge Card", "read"):
						yield Probe(
							person, f"{doctype}: {way}", OWN, "link", lambda ask=ask: ask, False, quiet=True,
							secrets=(secret,),
						)  # fmt: skip

	def of_tricks(self) -> Iterator[Probe]:
		"""What people who have no right to it do first to get at another's account or customer."""
		their = self.world.sides[FOREIGN]
		for trick in TRICKS:
			for person in self._one_of_each(
				lambda p: (p.is_one_of(("Credit User",)), p.is_one_of(("Reorder User",)))
			):
				if "System Manager" in person.roles or (person.kind == "staff" and not person.confined):
					continue
				for what, ask in {
					"api.credits.balance": get("crm_recharge.api.credits.balance", account=their.account),
					"api.portal.overview": get("crm_recharge.api.portal.overview", account=their.account),
					"api.reorder.due": get("crm_recharge.api.reorder.due", customer=their.customer),
					"GET /api/resource": Ask("GET", f"/api/resource/Credit Account/{their.account}"),
					"GET /api/resource list": Ask("GET", "/api/resource/Credit Account", {"fields": ["*"]}),
				}.items():
					yield Probe(
						person, f"{what}, after {trick}", FOREIGN, "trick", lambda ask=ask: ask, False, quiet=True,
						hidden=(FOREIGN,), before=lambda trick=trick, person=person: TRICKS[trick](person.user, their),
					)  # fmt: skip


def _insert(doctype: str, **values) -> Ask:
	return post("frappe.client.insert", doc={"doctype": doctype, **values})


def _links(side: Side) -> list[dict]:
	return [{"link_doctype": "Customer", "link_name": side.customer}]


TRICKS = {
	"making a contact of the customer": lambda user, their: _insert(
		"Contact",
		first_name="x",
		user=user,
		links=_links(their),
		email_ids=[{"email_id": user, "is_primary": 1}],
	),
	"making an address of the customer": lambda user, their: _insert(
		"Address", address_title="x", address_line1="x", city="x", country="Germany", links=_links(their)
	),
	"entering oneself as portal user": lambda user, their: _insert(
		"Portal User", parent=their.customer, parenttype="Customer", parentfield="portal_users", user=user
	),
	"entering oneself as owner": lambda user, their: post(
		"frappe.client.set_value",
		doctype="Credit Account",
		name=their.account,
		fieldname="account_owner",
		value=user,
	),
	"sharing with oneself": lambda user, their: _insert(
		"DocShare", user=user, share_doctype="Credit Account", share_name=their.account, read=1
	),
	"assigning to oneself": lambda user, their: _insert(
		"ToDo",
		allocated_to=user,
		reference_type="Credit Account",
		reference_name=their.account,
		description="x",
	),
	"permitting oneself": lambda user, their: _insert(
		"User Permission", user=user, allow="Customer", for_value=their.customer
	),
	"giving oneself a role": lambda user, their: _insert(
		"Has Role", parent=user, parenttype="User", parentfield="roles", role="Credit Manager"
	),
}

ALWAYS = ("amount", "idempotency_key", "note", "reason")
# Parameter → the record of the side that it names.
NAMED = {
	"card": ("Recharge Card", 1),
	"contact": ("Contact", 0),
	"customer": ("Customer", 0),
	"delivery": ("Credit Webhook Delivery", 0),
	"difference": ("Gateway Difference", 0),
	"entry": ("Credit Ledger", 0),
	"event": ("Gateway Event", 0),
	"listener": ("Outbox Delivery", 0),
	"recharge": ("Recharge", 1),
	"reminder": ("Reorder Reminder", 0),
	"webhook": ("Credit Webhook", 0),
}
# Parameter → what is said.
SAID = {
	"amount": "5",
	"decision": "dismiss",
	"enabled": 0,
	"falls_below": "20",
	"note": "because",
	"payment_method": "pm_none",
	"quantity": "1",
	"reason": "because",
	"recharge_up_to": "600",
	"setup_intent": "seti_none",
	"token": "none",
	"what": "moved",
	"wording": "Yes, remind me.",
}


def _report(name: str) -> list[Ask]:
	return [
		get("frappe.desk.query_report.run", report_name=name, filters={}, ignore_prepared_report="1"),
		post(
			"frappe.desk.query_report.export_query", report_name=name, filters={}, file_format_type="CSV",
			visible_idx=list(range(200)), csv_delimiter=",", csv_quoting="2",
		),
	]  # fmt: skip


def _card(name: str) -> Ask:
	card = frappe.get_doc("Number Card", name)
	if card.type == "Custom":
		return get(card.method, filters=card.filters_json or "[]")
	return post(
		"frappe.desk.doctype.number_card.number_card.get_result",
		doc=card.as_json(),
		filters=card.filters_json or "[]",
	)


def _chart(name: str) -> Ask:
	chart = frappe.get_doc("Dashboard Chart", name)
	if chart.chart_type == "Report":
		return get(
			"frappe.desk.query_report.run", report_name=chart.report_name, filters=chart.filters_json or "{}"
		)
	method = "crm_recharge.api.insight.credits_by_day" if chart.chart_type == "Custom" else (
		"frappe.desk.doctype.dashboard_chart.dashboard_chart.get"
	)  # fmt: skip
	return post(method, chart_name=name, refresh="1")
