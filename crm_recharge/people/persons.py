"""For which customers a user speaks: one answer for pages, methods, mails and requests for one's data.

Who is put down by name (see `named`), and the login of a contact that counts as the customer's own (see `vouching`).
That a Contact is merely linked to a Customer proves nothing: Frappe lets everybody make such links.
"""

import frappe

from crm_recharge.people.contacts import contact_of, customers_with_login
from crm_recharge.people.named import NOBODY, named_customers


def customers_of(user: str) -> dict[str, str | None]:
	"""Customer → the Contact that `user` is there (None: without one); disabled customers are left out."""
	if not user or user in NOBODY:
		return {}
	found = customers_with_login(user)
	found |= {name: contact_of(user, name) for name in named_customers(user) if name not in found}
	enabled = set(
		frappe.get_all("Customer", {"name": ["in", [*found, ""]], "disabled": 0}, pluck="name", order_by=None)
	)
	return {customer: contact for customer, contact in found.items() if customer in enabled}
