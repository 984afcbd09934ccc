"""Rules are checked when they are saved, and the most specific one holds."""

from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge.reorder import rules
from crm_recharge.tests.support.reorder_case import ReorderCase, make_group, make_item

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = [
	"Brand",
	"Email Account",
	"Email Template",
	"Item",
	"Item Group",
	"Warehouse",
]


def make_rule(**values):
	rule = frappe.new_doc("Reorder Rule")
	rule.update({"applies_to": "All Items", **values})
	return rule.insert()


def make_brand() -> str:
	return (
		frappe.get_doc({"doctype": "Brand", "brand": f"Brand {frappe.generate_hash(length=8)}"}).insert().name
	)


class TestReorderRule(ReorderCase):
	def setUp(self):
		super().setUp()
		frappe.db.delete("Reorder Rule")
		enqueue = patch("frappe.enqueue")
		self.enqueued = enqueue.start()
		self.addCleanup(enqueue.stop)
		self.addCleanup(frappe.db.rollback)

	def test_a_warehouse_that_nothing_is_sold_from_is_refused(self):
		company = frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0]
		warehouse = frappe.get_all("Warehouse", {"company": company, "is_group": 0}, pluck="name", limit=1)[0]
		frappe.db.set_single_value("Reorder Settings", "company", company)
		rule = frappe.get_doc({"doctype": "Reorder Rule", "applies_to": "All Items", "warehouse": warehouse})
		name = rule.insert().name
		for values, words in (
			({"disabled": 1}, "is disabled"),
			({"company": "Another Company"}, "belongs to"),
		):
			before = frappe.db.get_value("Warehouse", warehouse, list(values), as_dict=True)
			frappe.db.set_value("Warehouse", warehouse, values)
			with self.assertRaisesRegex(frappe.ValidationError, f"Warehouse.*{words}"):
				frappe.get_doc("Reorder Rule", name).save()
			frappe.db.set_value("Warehouse", warehouse, dict(before))
		frappe.get_doc("Reorder Rule", name).save()

	def test_what_makes_no_sense_is_refused_with_the_field_and_the_remedy(self):
		item = make_item(max_discount=10)
		for values, words in (
			({"minimum_interval": 30, "maximum_interval": 20}, "Shortest interval.*30 days is more than.*20"),
			({"default_interval": 10, "minimum_interval": 20}, "Usual interval.*10 days is less than.*20"),
			({"default_interval": 40, "maximum_interval": 30}, "Usual interval.*40 days is more than.*30"),
			({"default_interval": -1}, "Usual interval|negative"),
			({"default_interval": 99999}, "Usual interval.*from 0 to 36,500 days"),
			({"timing": "Age of the item"}, "Age"),
			({"discount_percent": 101}, "Discount.*from 0 to 100"),
			({"discount_percent": -1}, "Discount.*from 0 to 100"),
			({"discount_percent": 5, "offer_days": 0}, "Offer ends.*needed"),
			(
				{"applies_to": "Item", "item_code": item, "discount_percent": 20},
				"20 % is more than the 10 % that Item",
			),
			({"applies_to": "Item"}, "Item"),
			({"applies_to": "Brand"}, "Brand"),
			({"applies_to": "Planet"}, "Applies To"),
			({"own_elasticity": 1, "elasticity": 3}, "Quantity elasticity.*from 0 to 2"),
			({"loyalty_bonus": -5}, "Loyalty|negative"),
		):
			with self.assertRaisesRegex(frappe.ValidationError, words, msg=str(values)):
				make_rule(**values)
		self.assertEqual(frappe.db.count("Reorder Rule"), 0)

	def test_the_edges_are_allowed(self):
		make_rule(
			minimum_interval=20, default_interval=20, maximum_interval=20, discount_percent=100, lead_time=0
		)

	def test_too_long_a_lead_is_warned_of(self):
		frappe.clear_messages()
		make_rule(default_interval=10, lead_time=10)
		self.assertIn("Choose fewer days ahead", str(frappe.message_log))

	def test_one_rule_for_each(self):
		item = make_item()
		first = make_rule(applies_to="Item", item_code=item)
		self.assertEqual((first.title, first.scope_key), (f"Item: {item}", f"Item:{item}"))
		with self.assertRaisesRegex(frappe.DuplicateEntryError, "has a rule already"):
			make_rule(applies_to="Item", item_code=item)
		make_rule()
		with self.assertRaises(frappe.DuplicateEntryError):
			make_rule(enabled=0)

	def test_only_its_own_subject_is_kept(self):
		rule = make_rule(
			applies_to="Item", item_code=make_item(), brand=make_brand(), item_group=make_group()
		)
		self.assertFalse(rule.brand or rule.item_group)

	def scopes(self) -> list | None:
		"""The scopes of the last job that was enqueued for them."""
		calls = [call.kwargs for call in self.enqueued.call_args_list if "scopes" in call.kwargs]
		return calls[-1]["scopes"] if calls else None

	def test_a_change_has_its_pairs_foretold_anew(self):
		rule = make_rule(default_interval=20)
		self.assertEqual(self.scopes(), [["All Items", None]])
		self.assertTrue(self.enqueued.call_args.kwargs["enqueue_after_commit"])
		self.enqueued.reset_mock()
		rule.discount_percent = 5
		rule.save()
		self.enqueued.assert_not_called()
		rule.lead_time = 3
		rule.save()
		self.enqueued.assert_called_once()
		item = make_item()
		rule.update({"applies_to": "Item", "item_code": item})
		rule.save()
		self.assertEqual(self.scopes(), [["Item", item], ["All Items", None]])
		self.enqueued.reset_mock()
		rule.delete()
		self.assertEqual(self.scopes(), [["Item", item]])

	def test_a_renamed_item_keeps_its_rule(self):
		item = make_item()
		rule = make_rule(applies_to="Item", item_code=item)
		frappe.rename_doc("Item", item, f"{item} new", force=True)
		rule.reload()
		self.assertEqual((rule.item_code, rule.scope_key), (f"{item} new", f"Item:{item} new"))

	def test_of_two_merged_groups_one_rule_stays(self):
		one, other = make_group(), make_group()
		kept, gone = (make_rule(applies_to="Item Group", item_group=group) for group in (one, other))
		frappe.rename_doc("Item Group", other, one, merge=True, force=True)
		self.assertEqual(frappe.get_all("Reorder Rule", pluck="name"), [kept.name])
		self.assertFalse(frappe.db.exists("Reorder Rule", gone.name))


class TestWhichRuleHolds(ReorderCase):
	def setUp(self):
		super().setUp()
		frappe.db.delete("Reorder Rule")
		for target in ("frappe.enqueue",):
			patcher = patch(target)
			patcher.start()
			self.addCleanup(patcher.stop)
		self.addCleanup(frappe.db.rollback)

	def test_the_most_specific_one(self):
		above = make_group(is_group=1)
		group = make_group(parent_item_group=above)
		brand = make_brand()
		template = make_item(
			price=None,
			has_variants=1,
			attributes=[{"attribute": self.attribute()}],
			item_group=group,
			brand=brand,
		)
		variant = make_item(
			variant_of=template,
			item_group=group,
			brand=brand,
			attributes=[{"attribute": self.attribute(), "attribute_value": "One"}],
		)
		expected = None
		for scope in (
			{},
			{"applies_to": "Item Group", "item_group": above},
			{"applies_to": "Item Group", "item_group": group},
			{"applies_to": "Brand", "brand": brand},
			{"applies_to": "Item", "item_code": template},
			{"applies_to": "Item", "item_code": variant},
		):
			self.assertEqual(rules.of_item(variant).name, expected, scope)
			expected = make_rule(**scope).name
			self.assertEqual(rules.of_item(variant).name, expected, scope)
			# One that is switched off is as none; the next wider one holds.
		frappe.db.set_value("Reorder Rule", expected, "enabled", 0)
		self.assertEqual(
			rules.of_item(variant).name, frappe.db.get_value("Reorder Rule", {"item_code": template})
		)

	def attribute(self) -> str:
		name = "Reorder Test Attribute"
		if not frappe.db.exists("Item Attribute", name):
			frappe.get_doc(
				{
					"doctype": "Item Attribute",
					"attribute_name": name,
					"item_attribute_values": [{"attribute_value": "One", "abbr": "ONE"}],
				}
			).insert()
		return name

	def test_where_no_rule_holds_the_settings_do(self):
		settings = frappe.get_doc("Reorder Settings")
		settings.update({"without_rule": 0, "default_lead_time": 9})
		settings.save()
		item = make_item()
		rule = rules.of_items([item, "No such item"])
		self.assertEqual((rule[item].name, rule[item].remind, rule[item].lead_time), (None, False, 9))
		self.assertEqual(rule["No such item"], rule[item])
		settings.without_rule = 1
		settings.save()
		self.assertTrue(rules.of_item(item).remind)

	def test_what_a_rule_says(self):
		item = make_item()
		name = make_rule(
			applies_to="Item",
			item_code=item,
			default_interval=30,
			minimum_interval=10,
			maximum_interval=60,
			lead_time=7,
			own_elasticity=1,
			elasticity=0.25,
			discount_percent="12.5",
			free_shipping=1,
			loyalty_bonus=50,
			offer_days=10,
			channel="Email and Sales Team",
		).name
		rule = rules.of_item(item)
		self.assertEqual(rule.name, name)
		self.assertEqual((rule.default_interval, rule.minimum_interval, rule.maximum_interval), (30, 10, 60))
		self.assertEqual((rule.lead_time, rule.elasticity, rule.discount_percent), (7, 0.25, Decimal("12.5")))
		self.assertEqual((rule.free_shipping, rule.loyalty_bonus, rule.offer_days), (True, 50, 10))
		self.assertEqual(rule.channel, rules.BOTH)
		self.assertFalse(rule.by_age)

	def test_by_age_no_rhythm_counts(self):
		item = make_item()
		make_rule(
			applies_to="Item", item_code=item, timing="Age of the item", age_days=180, default_interval=30
		)
		rule = rules.of_item(item)
		self.assertEqual((rule.by_age, rule.age_days, rule.default_interval), (True, 180, None))
		self.assertEqual((rule.for_domain.by_age, rule.for_domain.age), (True, 180))

	def test_as_many_queries_for_many_items_as_for_one(self):
		make_rule(applies_to="Item Group", item_group=make_group())
		items = [make_item(price=None) for _number in range(30)]

		def queries(codes) -> int:
			count, execute = 0, frappe.db.sql

			def sql(*args, **kwargs):
				nonlocal count
				count += 1
				return execute(*args, **kwargs)

			with patch.object(frappe.db, "sql", sql):
				rules.of_items(codes)
			return count

		queries(items[:1])
		self.assertEqual(queries(items), queries(items[:1]))
		self.assertLessEqual(queries(items), 5)
		self.assertEqual(rules.of_items([]), {})

	def test_forecasting_anew_reaches_every_pair_and_one_failure_stops_none(self):
		from crm_recharge.tests.support.reorder_case import make_buyer

		group = make_group()
		inside, outside = make_item(item_group=group), make_item()
		customers = sorted(make_buyer()[0] for _number in range(3))
		for customer in customers:
			for item in (inside, outside):
				frappe.get_doc(
					{"doctype": "Reorder Reminder", "customer": customer, "item_code": item}
				).db_insert()
		done = []

		def refresh(customer, items):
			done.append((customer, items))
			if customer == customers[1]:
				raise ZeroDivisionError

		with (
			patch("crm_recharge.reorder.learning.pairs.refresh", refresh),
			patch.object(rules, "PAGE", 2),
			patch.object(frappe.db, "commit"),
			patch.object(frappe.db, "rollback"),
		):
			rules.forecast_anew([["Item Group", group]])
		self.assertEqual(done, [(customer, [inside]) for customer in customers])
