"""Whom the draw holds out: kept on Reorder Customer, where reports and desk read it."""

import frappe

from crm_recharge.domain.reorder.hold_out import DIGITS, PREFIX, drawn, threshold


def share() -> float:
	"""The held-out share as in Reorder Settings, 0 to 1."""
	return min(max(float(frappe.get_cached_doc("Reorder Settings").hold_out_share or 0) / 100, 0.0), 1.0)


def is_held_out(reorder_customer: str) -> bool:
	"""Whether the customer of this Reorder Customer (its name, which no renaming changes) is held out."""
	return drawn(reorder_customer, share())


def redraw(percent: float) -> None:
	"""Write the draw under a share of `percent` on every Reorder Customer, in one statement.

	A larger share keeps who was held out already; a smaller one sets the last drawn free.
	"""
	frappe.db.sql(
		"UPDATE `tabReorder Customer`"
		" SET `held_out` = CONV(LEFT(SHA2(CONCAT(%(prefix)s, `name`), 256), %(digits)s), 16, 10) < %(threshold)s",
		{"prefix": PREFIX, "digits": DIGITS, "threshold": threshold(percent / 100)},
	)
