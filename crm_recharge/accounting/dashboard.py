"""Connections shown on ERPNext's own forms."""

from frappe import _

from crm_recharge.accounting.custom_fields import RECHARGE


def with_recharge(data: dict) -> dict:
	"""Add the recharge to a form's connections (override_doctype_dashboards)."""
	data.setdefault("internal_links", {})["Recharge"] = RECHARGE
	data.setdefault("transactions", []).append({"label": _("Credits"), "items": ["Recharge"]})
	return data
