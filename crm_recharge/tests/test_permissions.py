"""Who may do what: every role on every DocType from one table, the API by role, and user permissions."""

import importlib
import pkgutil
from contextlib import suppress
from unittest.mock import patch

import frappe

import crm_recharge.api
from crm_recharge.api import credits, desk, insight, recharge, settings
from crm_recharge.doors.guard import by_machine
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import give, make_account, make_team, make_user

RIGHTS = "read write create delete submit cancel amend report import export print email share".split()
ROLES = ("System Manager", "Credit Manager", "Credit User", "Credit API", "Accounts User", "Accounts Manager")

SEE = "read report"
TAKE_OUT = "read report export"
FILE = "read report export print"
KEEP = "read write create delete report export print email share"

# DocType → rights by role, in the order of ROLES. What is not named is refused.
TABLE = {
	"Credit Account": (KEEP, KEEP, "read report print email", "read", FILE, FILE),
	# "create" is the right to post movements through the API; nobody may write a row by hand.
	"Credit Ledger": (f"{FILE} create", f"{FILE} create", "read report print", "read create", FILE, FILE),
	"Credit Lot": (FILE, FILE, "read report print", "read", FILE, FILE),
	"Credit Team": (KEEP, KEEP, "read report print email", "read", TAKE_OUT, TAKE_OUT),
	"Usage Category": (KEEP, KEEP, "read report print email", "read", TAKE_OUT, TAKE_OUT),
	"Ledger Checkpoint": (TAKE_OUT, TAKE_OUT, "read", "", FILE, FILE),
	"Auto-Recharge Setting": (KEEP, KEEP, SEE, "read", "", ""),
	"Recharge Card": (
		"read write create delete report export",
		"read write create delete report export",
		SEE,
		"read create",
		"",
		"",
	),
	"Recharge": (
		"read write create delete submit cancel report export print email",
		"read write create delete submit cancel report export print email",
		"read report print",
		"read create",
		FILE,
		FILE,
	),
	"Recharge Attempt": (TAKE_OUT, TAKE_OUT, SEE, "read", SEE, SEE),
	"Recharge Decision": (TAKE_OUT, TAKE_OUT, SEE, "", "", ""),
	"Recharge Refund": (FILE, FILE, SEE, "", FILE, FILE),
	"Recharge Dispute": (FILE, FILE, SEE, "", FILE, FILE),
	"Gateway Difference": (f"{TAKE_OUT} write", f"{TAKE_OUT} write", "", "", FILE, FILE),
	"CRM Recharge Settings": ("read write create delete", "read write", "", "", "", ""),
	"Stripe Event": (TAKE_OUT, SEE, "", "", "", ""),
}
MODULES = ("Credits", "Recharge", "Gateway")

MANAGERS = ("System Manager", "Credit Manager")
READERS = (*MANAGERS, "Credit User", "Credit API", "Accounts User", "Accounts Manager")
SETTING_READERS = (*MANAGERS, "Credit User", "Credit API")
CHARGERS = (*MANAGERS, "Credit API")

# What a visitor without a login may call, each guarded by a signature or a token of its own.
# Each asks for a signature or a signed token instead.
OPEN_TO_GUESTS = {
	"stripe.webhook",
	"recharge.confirm_start",
	"recharge.confirm_finish",
	"reorder.unsubscribe",
	"reorder.looked_at",
}
# What changes nothing and may therefore be fetched.
READING = {
	"credits.balance",
	"credits.statement",
	"credits.verify",
	"credits.export",
	"desk.account_overview",
	"desk.add_credits_form",
	"desk.ask_before_saving",
	"desk.charge_on_resume",
	"desk.recharge_story",
	"insight.prepaid_balance",
	"insight.credits_by_day",
	"portal.overview",
	"portal.status",
	"recharge.status",
	"reorder.due",
	# Refuses changes that do not come by POST.
	"reorder.preference",
	"recharge.saved_cards",
	"recharge.card_form",
	"recharge.auto_recharge",
	"settings.site",
	"settings.webhook",
}


def whitelisted():
	"""Every method of the API by its short name, such as credits.charge."""
	found = {}
	for module in pkgutil.iter_modules(crm_recharge.api.__path__):
		loaded = importlib.import_module(f"crm_recharge.api.{module.name}")
		for name, function in vars(loaded).items():
			if function in frappe.whitelisted and function.__module__ == loaded.__name__:
				found[f"{module.name}.{name}"] = function
	return found


class PermissionCase(BenchTestCase):
	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		self.addCleanup(self.leave_nothing)
		# A proof reads in a transaction of its own; here nothing is committed.
		snapshot = patch("crm_recharge.credits.proof._fresh_snapshot")
		snapshot.start()
		self.addCleanup(snapshot.stop)

	def card(self, account: str) -> str:
		"""A card of `account`, as the gateway would have told of it."""
		card = frappe.new_doc("Recharge Card")
		card.update({"credit_account": account, "payment_method": f"pm_{frappe.generate_hash(length=12)}"})
		card.update({"brand": "visa", "last4": "4242"})
		return by_machine(card).insert().name

	def leave_nothing(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		frappe.clear_messages()

	def is_refused(self, call) -> bool:
		"""Whether `call` is refused for want of rights; any other outcome means that it was let in."""
		frappe.db.savepoint("permission_case")
		# frappe.only_for lets everybody in while tests run.
		frappe.flags.in_test = False
		try:
			call()
		except frappe.PermissionError as error:
			# A closed account answers 403 too, but not for want of rights.
			return getattr(error, "code", None) is None
		except frappe.ValidationError:
			return False
		finally:
			frappe.flags.in_test = True
			frappe.db.rollback(save_point="permission_case")
			frappe.clear_messages()
		return False


class TestRolesOnDocTypes(PermissionCase):
	def test_every_role_has_what_the_table_says_and_no_more(self):
		wrong = []
		for number, role in enumerate(ROLES):
			user = make_user(role)
			for doctype, columns in TABLE.items():
				has = {right for right in RIGHTS if frappe.has_permission(doctype, right, user=user)}
				for right in sorted(has ^ set(columns[number].split())):
					wrong.append(f"{role} {'has' if right in has else 'lacks'} {right} on {doctype}")
		self.assertEqual(wrong, [])

	def test_other_users_and_visitors_have_nothing(self):
		for user in (make_user("Sales User"), make_user("Customer"), "Guest"):
			has = [
				f"{right} on {doctype}"
				for doctype in TABLE
				for right in RIGHTS
				if frappe.has_permission(doctype, right, user=user)
			]
			self.assertEqual(has, [], user)

	def test_the_table_covers_every_doctype_of_these_rooms(self):
		filters = {"module": ["in", MODULES], "istable": 0, "custom": 0}
		self.assertEqual(set(frappe.get_all("DocType", filters, pluck="name")), set(TABLE))

	def test_no_role_but_these_has_rights(self):
		named = frappe.get_all("DocPerm", {"parent": ["in", list(TABLE)]}, pluck="role", distinct=True)
		self.assertEqual(set(named) - set(ROLES), set())


class TestNobodyWritesTheBook(PermissionCase):
	def test_a_ledger_row_is_refused_to_every_role_in_every_way(self):
		account = make_account()
		entry = give(account, 10)["entry"]
		for role in (*MANAGERS, "Credit API"):
			with self.subTest(role=role):
				frappe.set_user("Administrator")
				frappe.set_user(make_user(role))
				row = frappe.get_doc("Credit Ledger", entry)
				row.amount = 1000
				self.assertTrue(self.is_refused(row.save))
				self.assertTrue(
					self.is_refused(lambda entry=entry: frappe.delete_doc("Credit Ledger", entry))
				)
				self.assertTrue(
					self.is_refused(lambda: frappe.client.set_value("Credit Ledger", entry, "note", "x"))
				)
				self.assertTrue(
					self.is_refused(
						lambda: frappe.client.insert(
							{
								"doctype": "Credit Ledger",
								"credit_account": account,
								"entry_type": "Grant",
								"amount": 5,
							}
						)
					)
				)

	def test_a_form_cannot_set_a_balance(self):
		account = make_account(balance=1000, sequence=7)
		self.assertEqual(frappe.db.get_value("Credit Account", account, ["balance", "sequence"]), (0, 0))
		give(account, 10)
		form = frappe.get_doc("Credit Account", account)
		give(account, 5)
		form.balance, form.status_reason = 9999, "changed by a form"
		form.save()
		self.assertEqual(frappe.db.get_value("Credit Account", account, "balance"), 15)
		self.assertEqual(form.balance, 15)
		self.assertEqual(form.status_reason, "changed by a form")

	def test_a_recharge_takes_status_and_payment_from_nobody(self):
		account = make_account()
		frappe.set_user(make_user("Credit Manager"))
		made = frappe.client.insert(
			{
				"doctype": "Recharge",
				"credit_account": account,
				"amount": 20,
				"status": "Queued",
				"settled_intent": "pi_forged",
			}
		)
		name = made["name"] if isinstance(made, dict) else made.name
		self.assertEqual(frappe.db.get_value("Recharge", name, ["status", "settled_intent"]), ("Draft", None))
		doc = frappe.get_doc("Recharge", name)
		doc.status, doc.settled_intent, doc.amount = "Queued", "pi_forged", 25
		doc.save()
		self.assertEqual(
			frappe.db.get_value("Recharge", name, ["status", "settled_intent", "amount"]), ("Draft", None, 25)
		)

	def test_a_submitted_recharge_cannot_be_declared_paid(self):
		name = self.submitted_recharge()
		fields = ["status", "settled_intent", "balance_after", "amount"]
		before = frappe.db.get_value("Recharge", name, fields)
		frappe.set_user(make_user("Credit Manager"))
		for field, value in zip(fields, ("Succeeded", "pi_forged", 1000, 1), strict=True):
			# Refused, or put back to what it was.
			with self.subTest(field=field), suppress(frappe.UpdateAfterSubmitError):
				frappe.client.set_value("Recharge", name, field, value)
			self.assertEqual(frappe.db.get_value("Recharge", name, fields), before)

	def submitted_recharge(self) -> str:
		account = make_account()
		doc = frappe.get_doc(
			{"doctype": "Recharge", "credit_account": account, "amount": 20, "card": self.card(account)}
		)
		doc.insert()
		doc.submit()
		return doc.name

	def test_a_card_is_not_saved_past_the_gateway(self):
		account = make_account()
		forged = {"doctype": "Recharge Card", "credit_account": account, "payment_method": "pm_forged"}
		for role in (*MANAGERS, "Credit API"):
			with self.subTest(role=role):
				frappe.set_user("Administrator")
				frappe.set_user(make_user(role))
				self.assertTrue(self.is_refused(lambda: frappe.client.insert(dict(forged))))


class TestRolesOnTheAPI(PermissionCase):
	def setUp(self):
		super().setUp()
		self.account = make_account()
		give(self.account, 100)
		self.entry = credits.charge(self.account, amount=1, idempotency_key="first")["entry"]

	def calls(self):
		"""Short name → (call, roles that are let in). A call that is let in may still fail for its content."""
		account = self.account
		return {
			"credits.charge": (lambda: credits.charge(account, amount=1, idempotency_key="k"), CHARGERS),
			"credits.charge_many": (lambda: credits.charge_many(account, []), CHARGERS),
			"credits.balance": (lambda: credits.balance(account), READERS),
			"credits.statement": (lambda: credits.statement(account), READERS),
			"credits.grant": (lambda: credits.grant(account, 5, "k"), MANAGERS),
			"credits.adjust": (lambda: credits.adjust(account, -1, "why", "k"), MANAGERS),
			"credits.reverse": (lambda: credits.reverse(self.entry, "why"), MANAGERS),
			"recharge.start": (lambda: recharge.start(account, 20, "k"), CHARGERS),
			"recharge.saved_cards": (lambda: recharge.saved_cards(account), SETTING_READERS),
			"recharge.refund": (lambda: recharge.refund("RC-none", "k", reason="why"), MANAGERS),
			"recharge.resume": (lambda: recharge.resume(account), MANAGERS),
			"credits.verify": (lambda: credits.verify(account), READERS),
			"credits.export": (lambda: credits.export(account), READERS),
			"recharge.card_form": (lambda: recharge.card_form(account), CHARGERS),
			"recharge.set_auto_recharge": (
				lambda: recharge.set_auto_recharge(account, falls_below=20),
				MANAGERS,
			),
			"recharge.auto_recharge": (lambda: recharge.auto_recharge(account), SETTING_READERS),
			"desk.account_overview": (lambda: desk.account_overview(account), READERS),
			"desk.add_credits_form": (lambda: desk.add_credits_form(account), CHARGERS),
			"insight.prepaid_balance": (insight.prepaid_balance, READERS),
			"insight.credits_by_day": (insight.credits_by_day, READERS),
			"settings.webhook": (settings.webhook, MANAGERS),
		}

	def test_each_method_lets_in_its_roles_and_no_other(self):
		calls = self.calls()
		for role in (*ROLES, "Sales User"):
			frappe.set_user("Administrator")
			frappe.set_user(make_user(role))
			for name, (call, roles) in calls.items():
				with self.subTest(role=role, method=name):
					self.assertEqual(self.is_refused(call), role not in roles)

	def test_visitors_are_refused_everywhere_but_where_a_token_speaks(self):
		methods = whitelisted()
		self.assertIn("credits.charge", methods)
		open_ones = {name for name, function in methods.items() if function in frappe.guest_methods}
		self.assertEqual(open_ones & set(methods), OPEN_TO_GUESTS & set(methods))
		frappe.set_user("Guest")
		for name, function in methods.items():
			if name not in OPEN_TO_GUESTS:
				with self.subTest(method=name), self.assertRaises(frappe.PermissionError):
					frappe.is_whitelisted(function)

	def test_visitors_are_refused_by_the_methods_themselves(self):
		calls = self.calls()
		frappe.set_user("Guest")
		for name, (call, _roles) in calls.items():
			with self.subTest(method=name):
				self.assertTrue(self.is_refused(call))

	def test_what_writes_cannot_be_fetched(self):
		allowed = frappe.allowed_http_methods_for_whitelisted_func
		fetched = {name for name, function in whitelisted().items() if "GET" in allowed[function]}
		self.assertEqual(fetched - READING, set())


class TestUserPermissions(PermissionCase):
	"""A user who may see one customer, or one company, sees that one's credits in lists and through the API."""

	OF_AN_ACCOUNT = tuple(
		name for name in TABLE if name not in ("Usage Category", "CRM Recharge Settings", "Stripe Event")
	)

	def setUp(self):
		super().setUp()
		self.mine = self.filled_account()
		# The other company is a name without books.
		with patch("crm_recharge.accounting.door.on_account"):
			self.theirs = self.filled_account(company=self.other_company())

	def other_company(self) -> str:
		company = frappe.get_all("Company", pluck="name", order_by="creation desc", limit=1)[0]
		if frappe.db.count("Company") > 1:
			return company
		twin = frappe.copy_doc(frappe.get_doc("Company", company))
		twin.company_name, twin.abbr = (
			f"Other {frappe.generate_hash(length=6)}",
			frappe.generate_hash(length=5),
		)
		twin.set_new_name()
		twin.db_insert()
		return twin.name

	def filled_account(self, **values) -> str:
		"""An account with a record of every DocType that belongs to one."""
		account = make_account(**values)
		entry = give(account, 100)["entry"]
		make_team(account)
		card = self.card(account)
		self.insert("Auto-Recharge Setting", credit_account=account, falls_below=50, recharge_up_to=500)
		paid = self.insert("Recharge", credit_account=account, amount=20, card=card)
		attempt = frappe.new_doc("Recharge Attempt")
		attempt.update({"recharge": paid, "number": 1, "status": "Declined", "card": card})
		by_machine(attempt).insert(set_name=f"{paid}-1")
		owner = frappe.db.get_value(
			"Credit Account", account, ["customer", "company", "currency"], as_dict=True
		)
		for doctype in (
			"Ledger Checkpoint",
			"Recharge Decision",
			"Recharge Refund",
			"Recharge Dispute",
			"Gateway Difference",
		):
			doc = frappe.new_doc(doctype)
			doc.update({"credit_account": account, "recharge": paid, **owner})
			doc.name = self.unique("test-")
			doc.db_insert()
		self.assertTrue(entry)
		return account

	def unique(self, prefix: str) -> str:
		return prefix + frappe.generate_hash(length=12)

	def insert(self, doctype: str, **values) -> str:
		return frappe.get_doc({"doctype": doctype, **values}).insert().name

	def only(self, allow: str, value: str, *roles: str) -> str:
		"""A user of `roles` who is confined to one customer or company."""
		user = make_user(*roles)
		frappe.get_doc(
			{"doctype": "User Permission", "user": user, "allow": allow, "for_value": value}
		).insert()
		frappe.clear_cache(user=user)
		return user

	def accounts_in(self, doctype: str) -> set[str]:
		if doctype == "Credit Account":
			return set(frappe.get_list(doctype, pluck="name", limit=0))
		return set(frappe.get_list(doctype, pluck="credit_account", limit=0))

	def one_of(self, doctype: str, account: str):
		if doctype == "Credit Account":
			return frappe.get_doc(doctype, account)
		return frappe.get_doc(doctype, {"credit_account": account})

	def confined(self):
		customer, company = frappe.db.get_value("Credit Account", self.mine, ["customer", "company"])
		yield self.only("Customer", customer, "Credit Manager", "Accounts User")
		yield self.only("Company", company, "Credit Manager", "Accounts User")
		yield self.only("Credit Account", self.mine, "Credit Manager", "Accounts User")

	def test_lists_and_records_are_confined(self):
		for user in list(self.confined()):
			for doctype in self.OF_AN_ACCOUNT:
				frappe.set_user("Administrator")
				with self.subTest(doctype=doctype, user=user):
					self.assertEqual(
						{self.mine, self.theirs} - self.accounts_in(doctype), set(), "the test's own records"
					)
					records = {name: self.one_of(doctype, name) for name in (self.mine, self.theirs)}
					frappe.set_user(user)
					seen = self.accounts_in(doctype)
					self.assertIn(self.mine, seen)
					self.assertNotIn(self.theirs, seen)
					self.assertTrue(records[self.mine].has_permission("read"))
					self.assertFalse(records[self.theirs].has_permission("read"))

	def test_the_api_is_confined(self):
		recharges = {
			name: frappe.db.get_value("Recharge", {"credit_account": name})
			for name in (self.mine, self.theirs)
		}
		entries = {
			name: frappe.db.get_value("Credit Ledger", {"credit_account": name})
			for name in (self.mine, self.theirs)
		}
		calls = {
			"credits.balance": credits.balance,
			"credits.statement": credits.statement,
			"credits.charge": lambda name: credits.charge(name, amount=1, idempotency_key="k"),
			"credits.grant": lambda name: credits.grant(name, 1, "k"),
			"credits.adjust": lambda name: credits.adjust(name, 1, "why", "k"),
			"credits.reverse": lambda name: credits.reverse(entries[name], "why"),
			"recharge.start": lambda name: recharge.start(name, 20, "k"),
			"recharge.status": lambda name: recharge.status(recharges[name]),
			"recharge.saved_cards": recharge.saved_cards,
			"recharge.set_auto_recharge": lambda name: recharge.set_auto_recharge(name, falls_below=10),
			"recharge.auto_recharge": recharge.auto_recharge,
			"recharge.resume": recharge.resume,
			"credits.verify": credits.verify,
			"credits.export": credits.export,
			"desk.account_overview": desk.account_overview,
			"desk.add_credits_form": desk.add_credits_form,
			"desk.recharge_story": lambda name: desk.recharge_story(recharges[name]),
		}
		for user in list(self.confined()):
			frappe.set_user(user)
			for name, call in calls.items():
				with self.subTest(method=name, user=user):
					self.assertFalse(self.is_refused(lambda call=call: call(self.mine)))
					self.assertTrue(self.is_refused(lambda call=call: call(self.theirs)))
			# Not tried on one's own: a refund ends the transaction that these records live in.
			self.assertTrue(
				self.is_refused(lambda: recharge.refund(recharges[self.theirs], "k", reason="why"))
			)
			frappe.set_user("Administrator")

	def test_sums_cover_what_may_be_seen(self):
		customer = frappe.db.get_value("Credit Account", self.mine, "customer")
		frappe.set_user(self.only("Customer", customer, "Credit User"))
		self.assertIn("100.00", insight.prepaid_balance())
		self.assertNotIn("·", insight.prepaid_balance())
		frappe.set_user("Administrator")
		credits.charge(self.mine, amount="2.5", idempotency_key="a")
		credits.charge(self.theirs, amount="40", idempotency_key="b")
		frappe.set_user(self.only("Customer", customer, "Credit User"))
		chart = insight.credits_by_day(time_interval="Daily", timespan="Last Week", refresh=1)
		self.assertEqual(sum(chart["datasets"][0]["values"]), 2.5)
