"""Saving cards: from a payment method of the gateway to a Recharge Card. No number ever comes here."""

from datetime import date

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.clock import now_datetime
from crm_recharge.credits.errors import for_people, raise_for_people
from crm_recharge.credits.store import lock_row
from crm_recharge.domain import cards as rules
from crm_recharge.domain import fit
from crm_recharge.domain.answers import SavedCard
from crm_recharge.domain.cards import ACTIVE, REMOVED, UNUSABLE
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.doors.guard import new
from crm_recharge.gateway import home
from crm_recharge.gateway.errors import CustomerGone, GatewayError
from crm_recharge.gateway.registry import chosen, connect, of_account


def gateway_customer(account: str, after: str = "") -> str:
	"""The account's customer at the gateway; made there when there is none yet. Raises frappe.ValidationError.

	`after` is one that is gone: the gateway would give it again for the request that made it.
	"""
	doc = frappe.get_doc("Credit Account", account)
	if doc.gateway_customer:
		return doc.gateway_customer
	name = of_account(account)
	created = _ask(
		name,
		lambda gateway: gateway.create_customer(
			key="-".join(filter(None, ("customer", home.site().id, account, str(doc.creation), after))),
			name=doc.customer_name or doc.customer,
			email=frappe.db.get_value("User", doc.account_owner, "email") if doc.account_owner else None,
			metadata={"account": account, **home.marks()},
		),
	)
	values = {"gateway": name, "gateway_customer": created}
	frappe.db.set_value("Credit Account", account, values, update_modified=False)
	return created


def with_customer(account: str, call):
	"""What `call` (of gateway and customer) returns for the account's customer at the gateway.

	One that the gateway does not have, because it was deleted there or made under other keys, is replaced: what is saved
	under it can be charged no more. Commits then. Raises frappe.ValidationError.
	"""
	customer = gateway_customer(account)
	try:
		return _ask(of_account(account), lambda gateway: call(gateway, customer), let_through=CustomerGone)
	except CustomerGone:
		customer = _replace_customer(account, customer)
	return _ask(of_account(account), lambda gateway: call(gateway, customer))


def _replace_customer(account: str, gone: str) -> str:
	current = frappe.db.sql(
		"SELECT `gateway_customer` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", account
	)[0][0]
	if current == gone:
		frappe.db.set_value("Credit Account", account, "gateway_customer", None, update_modified=False)
		for card in frappe.get_all(
			"Recharge Card", {"credit_account": account, "status": ["!=", REMOVED]}, pluck="name"
		):
			mark_unusable(card)
	# The gateway is not asked while rows are locked.
	transactions.commit()
	customer = gateway_customer(account, after=gone)
	transactions.commit()
	return customer


def today_of(account: str) -> date:
	"""The day it is where the account is: a card is good until the last day of its month there."""
	return clock.today(frappe.db.get_value("Credit Account", account, "time_zone"))


def mark_unusable(card: str) -> None:
	"""A card whose customer the gateway does not have: it stays in the list, with the reason. The caller commits."""
	reason = _("The gateway no longer has the customer it was saved for. Enter it again.")
	frappe.db.set_value("Recharge Card", card, {"status": UNUSABLE, "status_reason": reason})
	frappe.db.set_value("Auto-Recharge Card", {"card": card}, "card_status", UNUSABLE)


def start_setup(account: str) -> dict:
	"""A card set-up for a new card: its id and the client secret for the gateway's own form. Stores nothing."""
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


@for_people
def finish_setup(account: str, setup_intent: str) -> str:
	"""Save the card of a completed card set-up. Returns the Recharge Card's name.

	Raises frappe.ValidationError when it is not completed, PermissionError when it is another customer's.
	"""
	answer = _ask(of_account(account), lambda gateway: gateway.retrieve_setup_intent(setup_intent))
	if not answer.customer or answer.customer != gateway_customer(account):
		_refuse_strange()
	if not answer.succeeded or not answer.payment_method:
		raise InvalidRequest("card_not_confirmed", status=answer.status)
	return _of_setup(account, answer.payment_method)


def _of_setup(account: str, payment_method: str) -> str:
	"""Save the card that a card set-up has attached; asked again, it may be a spare that was detached since."""
	card = _ask(of_account(account), lambda gateway: gateway.retrieve_card(payment_method))
	same = None if card.customer else _same_card(account, card)
	return same.name if same else save(account, payment_method)


@for_people
def save(account: str, payment_method: str) -> str:
	"""Save `payment_method` (pm_…) as a Recharge Card of `account`, once. Returns its name.

	It must be a card and belong to the account's customer at the gateway; one without a customer is attached. A card
	that is saved already is known by its fingerprint: it stays one card, with the newer details, and of its two
	payment methods one is detached at the gateway. Raises frappe.ValidationError.
	"""
	known = _known(account, payment_method)
	if known and frappe.db.get_value("Recharge Card", known, "status") != UNUSABLE:
		return known
	card = _ask(of_account(account), lambda gateway: gateway.retrieve_card(payment_method))
	if card.kind != "card":
		raise InvalidRequest("not_a_card", kind=card.kind)
	if card.customer and card.customer != gateway_customer(account):
		_refuse_strange()
	if not card.customer:
		card = with_customer(account, lambda gateway, customer: gateway.attach(payment_method, customer))
	return _usable_again(known) if known else _keep(account, card)


def _usable_again(card: str) -> str:
	"""The gateway has the card, and its customer is the account's."""
	frappe.db.set_value("Recharge Card", card, {"status": ACTIVE, "status_reason": None})
	frappe.db.set_value("Auto-Recharge Card", {"card": card}, "card_status", ACTIVE)
	return card


def _keep(account: str, card: SavedCard) -> str:
	"""Write the card down, or take it for the one it is. Returns its name."""
	# Two tabs that save the same card at once meet here: the second finds the first one's.
	lock_row(account)
	if known := _known(account, card.payment_method, for_update=True):
		return known
	same = _same_card(account, card)
	if not same:
		return _insert(account, card)
	spare = card.payment_method
	if rules.takes_over(_as_rule(card), _as_rule(same)):
		spare = same.payment_method
		_renew(same, card)
	# The gateway is not asked while rows are locked; should it not answer, the spare stays there, out of use here.
	transactions.commit()
	_detach_spare(of_account(account), spare, same.name)
	return same.name


def _same_card(account: str, card: SavedCard) -> dict | None:
	"""The saved card of `account` with the same number, which the gateway tells by its fingerprint."""
	if not card.fingerprint:
		return None
	return frappe.db.get_value(
		"Recharge Card",
		{"credit_account": account, "fingerprint": card.fingerprint, "status": ["!=", REMOVED]},
		["name", "payment_method", "exp_month", "exp_year", "status"],
		as_dict=True,
		order_by="creation",
		for_update=True,
	)


def _as_rule(card) -> rules.Card:
	status = getattr(card, "status", None) or ACTIVE
	return rules.Card("", status=status, exp_month=card.exp_month, exp_year=card.exp_year)


def _renew(kept: dict, card: SavedCard) -> None:
	"""The bank has just confirmed the card anew: it can be charged again, with the details of now."""
	values = _details(card) | {"payment_method": card.payment_method, "saved_by": frappe.session.user}
	if kept.status != ACTIVE:
		values |= {"status_reason": _("Entered again by {0}").format(frappe.session.user)}
	frappe.db.set_value("Recharge Card", kept.name, values | {"status": ACTIVE, "saved_at": now_datetime()})
	frappe.db.set_value("Auto-Recharge Card", {"card": kept.name}, "card_status", ACTIVE)


def _detach_spare(gateway: str, payment_method: str, card: str) -> None:
	try:
		connect(gateway).detach(payment_method)
	except (GatewayError, frappe.ValidationError):
		frappe.clear_messages()
		frappe.log_error(
			title=f"Payment method {payment_method} of a card that was saved twice is still attached",
			reference_doctype="Recharge Card",
			reference_name=card,
		)


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
		raise InvalidRequest("card_gone", last4=known.last4)
	return known.name


def _refuse_strange():
	frappe.throw(
		_("This card belongs to another customer."), frappe.PermissionError, title=_("Card not saved")
	)


def _insert(account: str, card: SavedCard) -> str:
	doc = new(
		"Recharge Card",
		{
			"credit_account": account,
			"status": ACTIVE,
			"kind": card.kind,
			**_details(card),
			"country": card.country,
			"payment_method": card.payment_method,
			"saved_by": frappe.session.user,
			"saved_at": now_datetime(),
		},
	)
	try:
		return doc.insert(ignore_permissions=True).name
	except frappe.UniqueValidationError:
		# The page and the webhook save the same card at once: the other one has.
		frappe.clear_last_message()
		return _known(account, card.payment_method, for_update=True)


def _details(card: SavedCard) -> dict:
	"""What the gateway says of a card, and may say anew."""
	fields = ("brand", "last4", "exp_month", "exp_year", "fingerprint", "funding")
	return {field: getattr(card, field) for field in fields}


def remove(card: str) -> None:
	"""Take a card out of use: off every list here, committed, then detached at the gateway.

	Once more for a card that is removed already detaches it at the gateway if that failed. One that is unusable is not
	detached: the gateway does not have it, or it is another site's. Raises
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
	# The gateway is not asked while rows are locked, and what it answers takes nothing of this back.
	transactions.commit()
	if is_ours:
		_ask(of_account(doc.credit_account), lambda gateway: gateway.detach(doc.payment_method))


def follow_setup(setup_intent: str, gateway: str | None = None) -> str:
	"""A card set-up succeeded at the gateway: save its card, should the page that asked for it have died.

	Returns a word for the event's outcome.
	"""
	answer = connect(gateway).retrieve_setup_intent(setup_intent)
	if fit.names_another(answer.metadata, home.site()):
		return "of another site"
	account = frappe.db.get_value(
		"Credit Account", {"gateway_customer": answer.customer or "-", "gateway": gateway or chosen()}
	)
	if not account:
		return "not ours"
	if not answer.succeeded or not answer.payment_method:
		return answer.status
	if frappe.db.exists("Recharge Card", {"payment_method": answer.payment_method}):
		return "known"
	return _of_setup(account, answer.payment_method)


def follow_card(payment_method: str, gateway: str | None = None) -> str:
	"""A saved card changed at the gateway (new expiry, new number) or was detached: take over what it is now."""
	name = frappe.db.get_value("Recharge Card", {"payment_method": payment_method})
	if not name:
		return "not ours"
	try:
		card = connect(gateway).retrieve_card(payment_method)
	except GatewayError as error:
		if error.retryable:
			raise
		return _detached(name)
	if not card.customer:
		return _detached(name)
	doc = frappe.get_doc("Recharge Card", name)
	renewed = (card.exp_year, card.exp_month) > (doc.exp_year, doc.exp_month) or card.last4 != doc.last4
	values = _details(card)
	if renewed and doc.status in ("Expired", "Permanently Declined"):
		values |= {"status": "Active", "status_reason": _("The bank has sent new details")}
	doc.db_set(values)
	listed = {"brand": card.brand, "last4": card.last4, "card_status": values.get("status", doc.status)}
	frappe.db.set_value("Auto-Recharge Card", {"card": name}, listed)
	return "updated"


def _detached(name: str) -> str:
	if frappe.db.get_value("Recharge Card", name, "status") != "Removed":
		frappe.db.set_value(
			"Recharge Card", name, {"status": "Removed", "status_reason": _("Removed at the gateway")}
		)
		frappe.db.set_value("Auto-Recharge Card", {"card": name}, "card_status", "Removed")
	return "removed"


def _ask(name: str, call, let_through: type[GatewayError] | tuple = ()):
	"""What the gateway of that name answers. Raises InvalidRequestError: gateway_silent, gateway_refused, gateway_not_set_up,
	payments_rest."""
	try:
		gateway = connect(name)
	except frappe.ValidationError as error:
		frappe.clear_last_message()
		code = "payments_rest" if isinstance(error, home.SiteAway) else "gateway_not_set_up"
		raise_for_people(InvalidRequest(code, message=str(error)))
	try:
		return call(gateway)
	except GatewayError as error:
		if isinstance(error, let_through):
			raise
		code = "gateway_silent" if error.retryable else "gateway_refused"
		raise_for_people(InvalidRequest(code, message=error.message, gateway_code=error.code))
