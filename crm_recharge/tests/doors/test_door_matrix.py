"""The door matrix: what stands in table.py is what the site does, whoever asks and whatever the way in."""

import frappe

from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.doors import found, people, table
from crm_recharge.tests.doors.matrix import Judge
from crm_recharge.tests.doors.over_http import differences
from crm_recharge.tests.doors.probes import Matrix
from crm_recharge.tests.doors.runner import Door
from crm_recharge.tests.doors.world import World
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.stripe_stand_in import PUBLISHABLE_KEY, SECRET_KEY, StandIn

LEAST_PROBES = 10_000
LONGEST_SECONDS = 180
OVER_HTTP = 300

# Where a line is missing → what to do about it.
ADD = {
	"methods": "name it in table.METHODS: who may call it, and on what",
	"document methods": "name it in table.DOCUMENT_METHODS with the right it asks for",
	"DocTypes": "add a line of rights to CREDITS or REORDERS (a row: to CHILDREN), say in HANGS_ON whose it is,"
	" and make a record of it in records.py",
	"reports": "name it in table.REPORTS with who may run it",
	"cards": "name it in table.CARDS with the DocType whose readers see it",
	"charts": "name it in table.CHARTS with the DocType or report whose readers see it",
	"chart sources": "name it in table.CHART_SOURCES with the method behind it",
	"pages": "name it in table.PAGES, and try it in probes.Matrix.of_pages",
}


class TestTheTable(BenchTestCase):
	"""Nothing of the app is outside of the table, and nothing stands in it that is not there."""

	def assert_same(self, what: str, there, named, add: str | None = None):
		missing, gone = sorted(set(there) - set(named)), sorted(set(named) - set(there))
		self.assertFalse(missing, f"{what} that the table does not name: {missing}. {add or ADD[what]}.")
		self.assertFalse(gone, f"{what} in the table that are not there any more: take them out.")

	def test_every_way_in_stands_in_the_table(self):
		self.assert_same("methods", found.methods(), table.METHODS)
		self.assert_same("document methods", found.document_methods(), table.DOCUMENT_METHODS)
		self.assert_same("DocTypes", found.doctypes(), table.DOCTYPES)
		self.assert_same("reports", found.named("Report"), table.REPORTS)
		self.assert_same("cards", found.named("Number Card"), table.CARDS)
		self.assert_same("charts", found.named("Dashboard Chart"), table.CHARTS)
		self.assert_same("chart sources", found.named("Dashboard Chart Source"), table.CHART_SOURCES)
		self.assert_same("pages", found.pages(), table.PAGES)

	def test_what_only_arranges_is_named_too(self):
		for doctype, names in table.ARRANGED.items():
			self.assert_same(f"{doctype}s", found.named(doctype), names, "Name it in table.ARRANGED")

	def test_every_doctype_says_whose_it_is(self):
		self.assert_same(
			"DocTypes", {*table.CREDITS, *table.REORDERS}, table.HANGS_ON, "Say in table.HANGS_ON whose it is"
		)

	def test_every_role_has_what_the_table_says_and_no_more(self):
		wrong = []
		for role in people.STAFF:
			user = make_user(role)
			for doctype in (*table.CREDITS, *table.REORDERS):
				has = {right for right in table.RIGHTS if frappe.has_permission(doctype, right, user=user)}
				for right in sorted(has ^ table.rights_of(doctype, role)):
					wrong.append(f"{role} {'has' if right in has else 'lacks'} {right} on {doctype}")
		self.assertEqual(wrong, [])

	def test_other_users_and_visitors_have_nothing(self):
		for user in (make_user(), make_user("Customer"), "Guest"):
			has = [
				f"{right} on {doctype}"
				for doctype in table.DOCTYPES
				for right in table.RIGHTS
				if frappe.has_permission(doctype, right, user=user)
			]
			self.assertEqual(has, [], user)

	def test_no_role_but_these_has_rights(self):
		named = frappe.get_all("DocPerm", {"parent": ["in", table.DOCTYPES]}, pluck="role", distinct=True)
		self.assertEqual(set(named) - set(people.STAFF), set())

	def test_visitors_are_let_in_only_where_a_token_or_a_signature_speaks(self):
		methods = found.methods()
		open_ones = {name for name, function in methods.items() if function in frappe.guest_methods}
		self.assertEqual(open_ones, {n for n, entry in table.METHODS.items() if table.EVERYBODY in entry.who})

	def test_what_changes_something_cannot_be_fetched(self):
		allowed = frappe.allowed_http_methods_for_whitelisted_func
		fetched = {name for name, function in found.methods().items() if "GET" in allowed[function]}
		reading = {name for name, entry in table.METHODS.items() if entry.reads}
		self.assertEqual(fetched - reading, table.FETCHED_TO_BE_READ)


class TestTheDoors(BenchTestCase):
	"""Everybody tries every door."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		stripe = StandIn().start()
		cls.addClassCleanup(stripe.stop)
		for key, value in (
			("crm_recharge_stripe_secret_key", SECRET_KEY),
			("crm_recharge_stripe_publishable_key", PUBLISHABLE_KEY),
			("crm_recharge_stripe_api_base", stripe.api_base),
		):
			cls.addClassCleanup(frappe.local.conf.update, {key: frappe.local.conf.get(key)})
			frappe.local.conf[key] = value
		cls.world = World(stripe)
		cls.addClassCleanup(cls.world.remove)
		cls.probes = list(Matrix(cls.world))

	def test_each_is_let_in_or_refused_as_the_table_says(self):
		self.world.remember()
		with Door() as door:
			outcome = Judge(self.world, door).run(self.probes)
		print(outcome.report(), flush=True)
		self.assertEqual(len(outcome.failures), 0, outcome.summary())
		self.assertGreaterEqual(sum(outcome.tried.values()), LEAST_PROBES)
		self.assertLess(outcome.processor_seconds, LONGEST_SECONDS)

	def test_over_http_it_is_the_same(self):
		tried, differing = differences(self.world, self.probes, OVER_HTTP)
		self.assertEqual(differing, [])
		self.assertGreaterEqual(tried, OVER_HTTP)
