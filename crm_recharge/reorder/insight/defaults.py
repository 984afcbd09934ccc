"""What the Reorder Rules say of items and item groups, for reports."""

import frappe

from crm_recharge.reorder import rules


def default_intervals(items: list[str]) -> dict[str, tuple[str | None, int | None]]:
	"""item → (rule, its usual interval in days); None where no rule applies or it names none."""
	if not items:
		return {}
	return {item: (rule.name, rule.default_interval or None) for item, rule in rules.of_items(items).items()}


def default_intervals_of_groups(groups: list[str]) -> dict[str, tuple[str | None, int | None]]:
	"""item group → (rule, its usual interval): the rule of the group, else of the nearest above, else of all items."""
	found = frappe.get_all(
		"Reorder Rule",
		{"enabled": 1, "applies_to": ["in", ["Item Group", "All Items"]]},
		["name", "applies_to", "item_group", "default_interval"],
	)
	of_group = {row.item_group: row for row in found if row.applies_to == "Item Group"}
	of_all = next((row for row in found if row.applies_to == "All Items"), None)
	parents = dict(frappe.get_all("Item Group", fields=["name", "parent_item_group"], as_list=True))
	result = {}
	for group in groups:
		at, seen = group, set()
		while at and at not in of_group and at not in seen:
			seen.add(at)
			at = parents.get(at)
		rule = of_group.get(at) or of_all
		result[group] = (rule.name, rule.default_interval or None) if rule else (None, None)
	return result
