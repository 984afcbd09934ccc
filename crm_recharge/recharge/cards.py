"""Saving cards: from a Stripe payment method to a Recharge Card. No number ever comes here."""

import frappe
from frappe import _

from crm_recharge.clock import now_datetime
from crm_recharge.domain import fit
from crm_recharge.domain.answers import SavedCard
from crm_recharge.domain.cards import ACTIVE, REMOVED, UNUSABLE
from crm_recharge.doors.guard import by_machine
from crm_recharge.gateway import home
from crm_recharge.gateway.errors import CustomerGone, GatewayError
from crm_recharge.gateway.stripe_gateway import connect


def stripe_customer(account: str, after: str = "") -> str:
	"""The account's customer at Stripe; made there when there is none yet. Raises frappe.ValidationError.

	`after` is one that is gone: Stripe would give it again for the request that made it.
	"""
	doc = frappe.get_doc("Credit Account", account)
	if doc.stripe_customer:
		return doc.stripe_customer
	created = _ask(
		lambda gateway: gateway.create_customer(
			key="-".join(filter(None, ("customer", home.site().id, account, str(doc.creation), after))),
			name=doc.customer_name or doc.customer,
			email=frappe.db.get_value("User", doc.account_owner, "email") if doc.account_owner else None,
			metadata={"account": account, **home.marks()},
		)
	)
	frappe.db.set_value("Credit Account", account, "stripe_customer", created, update_modified=False)
	return created


def with_customer(account: str, call):
	"""What `call` (of gateway and customer) returns for the account's customer at Stripe.

	One that Stripe does not have, because it was deleted there or made under other keys, is replaced: what is saved
	under it can be charged no more. Commits then. Raises frappe.ValidationError.
	"""
	customer = stripe_customer(account)
	try:
		return _ask(lambda gateway: call(gateway, customer), let_through=CustomerGone)
	except CustomerGone:
		customer = _replace_customer(account, customer)
	return _ask(lambda gateway: call(gateway, customer))


def _replace_customer(account: str, gone: str) -> str:
	current = frappe.db.sql(
		"SELECT `stripe_customer` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", account
	)[0][0]
	if current == gone:
		frappe.db.set_value("Credit Account", account, "stripe_customer", None, update_modified=False)
		for card in frappe.get_all(
			"Recharge Card", {"credit_account": account, "status": ["!=", REMOVED]}, pluck="name"
		):
			mark_unusable(card)
	# Stripe is not asked while rows are locked.
	frappe.db.commit()
	customer = stripe_customer(account, after=gone)
	frappe.db.commit()
	return customer


def mark_unusable(card: str) -> None:
	"""A card whose customer Stripe does not have: it stays in the list, with the reason. The caller commits."""
	reason = _("Stripe no longer has the customer it was saved for. Enter it again.")
	frappe.db.set_value("Recharge Card", card, {"status": UNUSABLE, "status_reason": reason})
	frappe.db.set_value("Auto-Recharge Card", {"card": card}, "card_status", UNUSABLE)


def start_setup(account: str) -> dict:
	"""A SetupIntent for a new card: its id and the client secret for Stripe's own form. Stores nothing."""
	key = f"setup-{frappe.generate_hash(length=20)}"
	setup_intent, secret = with_customer(
		account,
		lambda gateway, customer: gateway.create_setup_intent(
			# Of another customer it is another request.
			customer,
			key=f"{key}-{customer}",
			metadata={"account": account, **home.marks()},
		),
	)
	return {"setup_intent": setup_intent, "client_secret": secret}


def finish_setup(account: str, setup_intent: str) -> str:
	"""Save the card of a completed SetupIntent. Returns the Recharge Card's name.

	Raises frappe.ValidationError when it is not completed, PermissionError when it is another customer's.
	"""
	answer = _ask(lambda gateway: gateway.retrieve_setup_intent(setup_intent))
	if not answer.customer or answer.customer != stripe_customer(account):
		_refuse_strange()
	if not answer.succeeded or not answer.payment_method:
		frappe.throw(
			_("The card was not confirmed ({0}). Enter it again.").format(answer.status),
			title=_("Card not saved"),
		)
	return save(account, answer.payment_method)


def save(account: str, payment_method: str) -> str:
	"""Save `payment_method` (pm_…) as a Recharge Card of `account`, once. Returns its name.

	It must be a card and belong to the account's customer at Stripe; one without a customer is attached.
	Raises frappe.ValidationError.
	"""
	known = _known(account, payment_method)
	if known and frappe.db.get_value("Recharge Card", known, "status") != UNUSABLE:
		return known
	card = _ask(lambda gateway: gateway.retrieve_card(payment_method))
	if card.kind != "card":
		frappe.throw(
			_("This is not a card but a {0}. Only cards can be charged automatically.").format(card.kind),
			title=_("Cards only"),
		)
	if card.customer and card.customer != stripe_customer(account):
		_refuse_strange()
	if not card.customer:
		card = with_customer(account, lambda gateway, customer: gateway.attach(payment_method, customer))
	return _usable_again(known) if known else _insert(account, card)


def _usable_again(card: str) -> str:
	"""Stripe has the card, and its customer is the account's."""
	frappe.db.set_value("Recharge Card", card, {"status": ACTIVE, "status_reason": None})
	frappe.db.set_value("Auto-Recharge Card", {"card": card}, "card_status", ACTIVE)
	return card


def _known(account: str, payment_method: str, for_update: bool = False) -> str | None:
	"""The card that is saved already. Raises frappe.ValidationError for a removed one, or another account's."""
	known = frappe.db.get_value(
		"Recharge Card",
		{"payment_method": payment_method},
		["name", "credit_account", "status", "last4"],
		as_dict=True,
		for_update=for_update,
	)
	if not known:
		return None
	if known.credit_account != account:
		_refuse_strange()
	if known.status == "Removed":
		frappe.throw(
			_("Card •••• {0} has been removed. Enter it again to save it anew.").format(known.last4),
			title=_("Card not saved"),
		)
	return known.name


def _refuse_strange():
	frappe.throw(
		_("This card belongs to another customer."), frappe.PermissionError, title=_("Card not saved")
	)


def _insert(account: str, card: SavedCard) -> str:
	doc = frappe.get_doc(
		{
			"doctype": "Recharge Card",
			"credit_account": account,
			"status": "Active",
			"kind": card.kind,
			"brand": card.brand,
			"last4": card.last4,
			"exp_month": card.exp_month,
			"exp_year": card.exp_year,
			"funding": card.funding,
			"country": card.country,
			"fingerprint": card.fingerprint,
			"payment_method": card.payment_method,
			"saved_by": frappe.session.user,
			"saved_at": now_datetime(),
		}
	)
	try:
		return by_machine(doc).insert(ignore_permissions=True).name
	except frappe.UniqueValidationError:
		# The page and the webhook save the same card at once: the other one has.
		frappe.clear_last_message()
		return _known(account, card.payment_method, for_update=True)


def remove(card: str) -> None:
	"""Take a card out of use: off every list here, committed, then detached at Stripe.

	Once more for a card that is removed already detaches it at Stripe if that failed. One that is unusable is not
	detached: Stripe does not have it, or it is another site's. Raises
	frappe.ValidationError when it is the last usable card of an enabled setting.
	"""
	doc = frappe.get_doc("Recharge Card", card)
	is_ours = doc.status != UNUSABLE
	for setting in frappe.get_all("Auto-Recharge Card", {"card": card}, pluck="parent"):
		parent = frappe.get_doc("Auto-Recharge Setting", setting)
		parent.set("cards", [row for row in parent.cards if row.card != card])
		parent.save(ignore_permissions=True)
	if doc.status != "Removed":
		doc.db_set({"status": "Removed", "status_reason": _("Removed by {0}").format(frappe.session.user)})
	# Stripe is not asked while rows are locked, and what it answers takes nothing of this back.
	frappe.db.commit()
	if is_ours:
		_ask(lambda gateway: gateway.detach(doc.payment_method))


def follow_setup(setup_intent: str) -> str:
	"""A SetupIntent succeeded at Stripe: save its card, should the page that asked for it have died.

	Returns a word for the event's outcome.
	"""
	answer = connect().retrieve_setup_intent(setup_intent)
	if fit.names_another(answer.metadata, home.site()):
		return "of another site"
	account = frappe.db.get_value("Credit Account", {"stripe_customer": answer.customer or "-"})
	if not account:
		return "not ours"
	if not answer.succeeded or not answer.payment_method:
		return answer.status
	if frappe.db.exists("Recharge Card", {"payment_method": answer.payment_method}):
		return "known"
	return save(account, answer.payment_method)


def follow_card(payment_method: str) -> str:
	"""A saved card changed at Stripe (new expiry, new number) or was detached: take over what it is now."""
	name = frappe.db.get_value("Recharge Card", {"payment_method": payment_method})
	if not name:
		return "not ours"
	try:
		card = connect().retrieve_card(payment_method)
	except GatewayError as error:
		if error.retryable:
			raise
		return _detached(name)
	if not card.customer:
		return _detached(name)
	doc = frappe.get_doc("Recharge Card", name)
	renewed = (card.exp_year, card.exp_month) > (doc.exp_year, doc.exp_month) or card.last4 != doc.last4
	values = {
		"brand": card.brand,
		"last4": card.last4,
		"exp_month": card.exp_month,
		"exp_year": card.exp_year,
		"fingerprint": card.fingerprint,
		"funding": card.funding,
	}
	if renewed and doc.status in ("Expired", "Permanently Declined"):
		values |= {"status": "Active", "status_reason": _("The bank has sent new details")}
	doc.db_set(values)
	listed = {"brand": card.brand, "last4": card.last4, "card_status": values.get("status", doc.status)}
	frappe.db.set_value("Auto-Recharge Card", {"card": name}, listed)
	return "updated"


def _detached(name: str) -> str:
	if frappe.db.get_value("Recharge Card", name, "status") != "Removed":
		frappe.db.set_value(
			"Recharge Card", name, {"status": "Removed", "status_reason": _("Removed at Stripe")}
		)
		frappe.db.set_value("Auto-Recharge Card", {"card": name}, "card_status", "Removed")
	return "removed"


def _ask(call, let_through: type[GatewayError] | tuple = ()):
	try:
		return call(connect())
	except GatewayError as error:
		if isinstance(error, let_through):
			raise
		frappe.throw(
			_("The payment gateway does not answer. Try again in a minute.")
			if error.retryable
			else _("The payment gateway refused: {0}").format(frappe.utils.escape_html(error.message)),
			title=_("Payment gateway"),
		)
