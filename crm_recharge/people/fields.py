"""The field on Contact and Address that says for which customers they count."""

from crm_recharge.people.vouching import FIELD, PRIMARY, take_up
from crm_recharge.setup.titles import N_

CUSTOM_FIELDS = {
	doctype: [
		{
			"fieldname": FIELD,
			"label": N_("Counts For"),
			"fieldtype": "Long Text",
			"insert_after": "links",
			"hidden": 1,
			"read_only": 1,
			"no_copy": 1,
			"print_hide": 1,
			"report_hide": 1,
			"module": "Credits",
		}
	]
	for doctype in PRIMARY
}


# Each save of a contact asks whose primary one it is.
INDEXES = {"Customer": list(PRIMARY.values())}


def after_migrate() -> None:
	"""Fill the field where it is empty; safe to run again."""
	take_up()
