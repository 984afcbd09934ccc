"""The fields on Customer that show the next purchase; `crm_recharge.install` makes them."""

from crm_recharge.setup.titles import N_

FROM, ON, TO = (f"crm_recharge_next_purchase_{end}" for end in ("from", "on", "to"))


def _day(fieldname: str, label: str, insert_after: str, **values) -> dict:
	return {
		"fieldname": fieldname,
		"label": label,
		"fieldtype": "Date",
		"insert_after": insert_after,
		"read_only": 1,
		"no_copy": 1,
		"print_hide": 1,
		"module": "Reorder",
		**values,
	}


CUSTOM_FIELDS = {
	"Customer": [
		_day(
			ON,
			N_("Next Purchase"),
			"customer_group",
			in_list_view=1,
			description=N_("Most likely; see Reorder Customer"),
		),
		_day(FROM, N_("Next Purchase From"), ON, depends_on=f"eval:doc.{FROM}"),
		_day(TO, N_("Next Purchase To"), FROM, depends_on=f"eval:doc.{TO}"),
	]
}
