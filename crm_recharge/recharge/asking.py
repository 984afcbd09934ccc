"""Asking the gateway, for whoever performs a machine's effect: never inside a transaction."""

from collections.abc import Callable
from typing import Any

import frappe

from crm_recharge.gateway import registry


def ask(name: str, call: Callable, answer: Callable, not_set_up: Any, not_possible: Any):
	"""`call(gateway)`, of the gateway of that name, with the transaction that read the parameters ended: it may take seconds.

	A gateway that is not set up, or a request that cannot be made, is an answer too, for nothing was asked then:
	`answer(outcome, code=…, message=…)` with one of the two outcomes.
	"""
	try:
		gateway = registry.connect(name)
	except frappe.ValidationError as error:
		frappe.clear_messages()
		return answer(not_set_up, code="gateway_not_set_up", message=str(error))
	finally:
		frappe.db.rollback()
	try:
		return call(gateway)
	except (TypeError, ValueError) as error:
		return answer(not_possible, code="request_not_possible", message=str(error))
