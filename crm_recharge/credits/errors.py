"""From a rule's code to an error people and programs understand.

The HTTP answer carries the exception's name (`exc_type`), the text, and `error`: code and figures.
"""

import functools
from typing import NoReturn

import frappe
from frappe import _

from crm_recharge.domain import errors


class CreditError(frappe.ValidationError):
	"""A request that a rule of this app refuses; nothing has been changed."""

	http_status_code = 422
	code = "refused"
	figures: dict = {}


class InvalidRequestError(CreditError):
	http_status_code = 422


class InsufficientCreditsError(CreditError):
	http_status_code = 402


class IdempotencyConflictError(CreditError):
	http_status_code = 409


class AccountClosedError(CreditError):
	http_status_code = 403


class UnknownAccountError(CreditError):
	http_status_code = 404


class OutdatedError(CreditError):
	"""What the request was made on has changed; it may be made again on what is there now."""

	http_status_code = 409


EXCEPTIONS = {
	errors.InvalidRequest: InvalidRequestError,
	errors.InsufficientCredits: InsufficientCreditsError,
	errors.IdempotencyConflict: IdempotencyConflictError,
	errors.AccountClosed: AccountClosedError,
	errors.Outdated: OutdatedError,
}


def messages() -> dict[str, str]:
	"""Text for every code, with the names of its figures in braces."""
	return {
		"unknown_parameter": _("Unknown parameter: {parameters}. Known are: {known}."),
		"missing_parameter": _("Missing: {parameters}."),
		"value_missing": _("{field} is missing."),
		"parameter_twice": _("{parameter} is given twice."),
		"unknown_time_zone": _("{field}: {value} is no time zone. Give one such as Europe/Berlin."),
		"bad_day": _("{field}: {value} is not a day. Give ISO 8601, such as 2026-03-01."),
		"out_of_range": _("{field}: {value} is not between {least} and {most}."),
		"bad_url": _("{value} is no address to send to. Give one such as https://example.com/hooks/credits."),
		"secret_too_short": _("{field}: a secret has at least {least} characters."),
		"not_one_of": _("{field}: {value} is none of {known}."),
		"unknown_record": _("{field}: there is no {doctype} {value}."),
		"period_too_long": _(
			"The period has {count} bars; a chart shows at most {limit}. Choose a shorter period, or a longer interval."
		),
		"bad_moment": _(
			"{field}: {value} is not a time. Give one of the site's clock, such as 2026-03-01 12:00:00."
		),
		"bad_time_of_day": _("{field}: {value} is not a time of day. Give one such as 12:00:00."),
		"not_rows": _("{field}: {value} is not a list of rows."),
		"not_json": _("{field} is not JSON that can be read."),
		"not_an_id": _("{field}: {value} is not an id of the payment gateway."),
		"not_a_bool": _("{field}: {value} is neither yes nor no. Give true or false."),
		"not_a_list": _("{field}: {value} is not a list."),
		"not_an_object": _("{field}: {value} is not an object with names and values."),
		"not_a_number": _("{what}: {value} is not a number. Give digits such as 12.50."),
		"not_finite": _("{what}: {value} is not an amount. Give digits such as 12.50."),
		"too_many_decimals": _("{what}: {value} has more than {places} decimals. Round it first."),
		"not_whole": _("{what}: {value} is not a whole number."),
		"too_many_digits": _(
			"{what}: {value} has more than {digits} digits, which a JSON number does not carry exactly. Send it as text."
		),
		"period_backwards": _("The period ends ({end}) before it begins ({start})."),
		"too_large": _("{what}: {value} is too large. It must stay below {limit}."),
		"not_positive": _("{what}: {value} is not above zero."),
		"unknown_field": _("Unknown field: {fields}. Known are: {known}."),
		"missing_key": _(
			"idempotency_key is missing. Send a value that is unique to this usage, so that a repeat is not charged twice."
		),
		"key_too_long": _(
			"idempotency_key has {length} characters or unprintable ones. It takes 1 to {limit} printable characters."
		),
		"amount_or_quantity": _("Give either an amount, or a quantity with its category."),
		"amount_and_quantity": _("Give an amount or a quantity, not both."),
		"quantity_without_category": _("A quantity needs its category, which knows the unit price."),
		"in_the_future": _("occurred_at: {value} is in the future (it is {now} now)."),
		"bad_time": _("{field}: {value} is not a time. Give ISO 8601, such as 2026-03-01T12:00:00+00:00."),
		"not_text": _("{field}: {value} is not a text."),
		"unreadable_text": _(
			"{field} holds control characters or broken Unicode. Send plain text; tabs and line ends are kept."
		),
		"separator_in_text": _("A text holds the unit separator (U+001F), which is not kept. Take it out."),
		"markup": _("{field} holds markup (<…>). Send plain text."),
		"text_too_long": _("{field} has {length} characters. At most {limit} are kept."),
		"wrong_currency": _("The currency {given} is not the account's, which is {currency}."),
		"category_currency": _(
			"Usage category {category} is priced in {given}, the account is kept in {currency}. Use a category priced in {currency}, or give an amount."
		),
		"category_disabled": _("Usage category {category} is disabled."),
		"unknown_category": _("There is no usage category {category}."),
		"unknown_team": _("There is no team {team} on account {account}."),
		"team_disabled": _("Team {team} is disabled."),
		"unknown_account": _("There is no credit account {account}."),
		"idempotency_conflict": _(
			"The idempotency key {key} was used before with other content. First: {first}. Now: {now}. Use a new key for a new usage."
		),
		"insufficient_credits": _(
			"Not enough credits on {account}: the balance is {balance} {currency}, {amount} is needed, {shortfall} is missing. Add credits, or switch auto-recharge on."
		),
		"account_disabled": _("Credit account {account} is disabled. Ask its owner or your Credit Manager."),
		"balance_too_large": _("The balance would be {balance}. It must stay below {limit}."),
		"more_than_taken": _("{amount} cannot be given back: {taken} was taken for this payment."),
		"expired_already": _("expires_at: {value} has passed (it is {now} now)."),
		"priority_out_of_range": _("priority: {value} is not a whole number from {lowest} to {highest}."),
		"batch_empty": _("The batch holds no events."),
		"batch_not_a_list": _("events must be a list of objects."),
		"batch_too_large": _("The batch holds {count} events; at most {limit} are taken at once."),
		"batch_event": _("Event {index} ({key}): {message}"),
		"threshold_negative": _("Falls Below is {falls_below}. It cannot be below zero."),
		"target_not_above_threshold": _(
			"Recharge Up To ({recharge_up_to}) must be above Falls Below ({falls_below})."
		),
		"would_leave_debt": _(
			"{amount} {currency} would leave {left}, a debt. Check the amount; if the debt is meant, say so (allow_debt)."
		),
		"gap_below_minimum": _(
			"Between Falls Below ({falls_below}) and Recharge Up To ({recharge_up_to}) lie {gap} {currency}. A payment takes at least {minimum}: raise Recharge Up To."
		),
		"gap_above_maximum": _(
			"Recharge Up To is {recharge_up_to} {currency}, but one payment takes at most {maximum}: an empty account could not be refilled. Lower it, or raise the limit in CRM Recharge Settings."
		),
		"cap_negative": _("A limit cannot be below zero."),
		"cap_below_target": _(
			"The limit ({cap}) is {limit} {currency}, less than Recharge Up To ({recharge_up_to}): an empty account could not be refilled. Raise the limit, or lower Recharge Up To."
		),
		"payment_below_minimum": _("{amount} {currency} is too little: a payment takes at least {minimum}."),
		"payment_above_maximum": _(
			"{amount} {currency} is too much at once: a payment takes at most {maximum}. Make several payments of it."
		),
		"payment_capped": _(
			"{amount} {currency} would go past the account's limit ({cap}) of {limit}: {used} is used. {frees}"
		),
		"payment_too_fine": _("{amount} {currency} is finer than the smallest coin of that currency."),
		"nothing_to_adjust": _("The amount is zero: there is nothing to adjust."),
		"note_missing": _("Say why, in the note: it stays on record."),
		"nothing_to_reverse": _("Ledger row {entry} is a {entry_type} and cannot be reversed."),
		"already_reversed": _("Ledger row {entry} has been reversed already, by {by}."),
		"recharge_open": _(
			"Recharge {recharge} of this account is still under way. Wait for it, or cancel it first."
		),
		"site_is_home": _("This site stands where it stood: there is nothing to confirm."),
		"cannot_cancel": _(
			"Recharge {recharge} is {status}: it cannot be cancelled. Wait until it has ended; a paid one is refunded."
		),
		"already_decided": _("Somebody has decided about {payment} already."),
		"only_dismissed": _(
			"Difference {difference} can only be dismissed: put right what it says, then dismiss it with a note."
		),
		"not_captured": _(
			"Payment {payment} has brought no money (the gateway says: {state}). Dismiss the difference."
		),
		"held_already_used": _(
			"Recharge {recharge} is paid already; {payment} cannot be used for it any more."
		),
		"held_not_creditable": _(
			"{amount} {currency} cannot be credited for recharge {recharge}: besides the amount, this does not agree: {what}. Refund it, or dismiss the difference."
		),
		"unknown_recharge": _("There is no recharge {recharge}."),
		"reason_missing": _("Say why, in the reason: it stays on record."),
		"not_paid": _("Recharge {recharge} is {status}: there is no payment to refund."),
		"recharge_disputed": _(
			"Recharge {recharge} is disputed. The bank decides about the money; a refund would pay it twice."
		),
		"nothing_to_refund": _("Nothing of recharge {recharge} is unused, so there is nothing to refund."),
		"refund_too_fine": _("{amount} {currency} is finer than the smallest coin of that currency."),
		"more_than_unused": _(
			"{amount} {currency} is more than is unused of recharge {recharge}: at most {unused} {currency} can be refunded."
		),
		"no_card": _("Account {account} has no usable card. Add one first."),
		"amount_missing": _("{what} is empty. Give an amount; 0 is one too."),
		"amount_unclear": _("{what}: {value} can be read in more than one way. Give {readings}."),
		"no_usable_card": _(
			"Auto recharge needs at least one usable card. Add a card, or replace the expired ones."
		),
		"too_many_cards": _("At most {most} cards can be listed."),
		"unknown_card": _("There is no card {card}."),
		"cards_only": _(
			"Row {row}: {card} is not a card but a {kind}. Auto recharge takes cards only; bank accounts (ACH) settle too slowly."
		),
		"card_of_another_account": _("Card {card} belongs to another account. Choose one of {account}."),
		"card_removed": _("Row {row}: card •••• {last4} has been removed. Take it off the list."),
		"card_twice": _("Row {row}: card •••• {last4} is already in row {first}. List each card once."),
		"card_not_usable": _("Card •••• {last4} cannot be charged: {status}."),
		"card_gone": _("Card •••• {last4} has been removed. Enter it again to save it anew."),
		"card_not_confirmed": _("The card was not confirmed ({status}). Enter it again."),
		"not_a_card": _("This is not a card but a {kind}. Only cards can be charged automatically."),
		"gateway_silent": _("The payment gateway does not answer. Try again in a minute."),
		"gateway_not_set_up": "{message}",
		"payments_rest": "{message}",
		"gateway_refused": _("The payment gateway refused: {message}"),
		"cards_not_set_up": _(
			"Cards cannot be entered yet: the publishable key (pk_…) is missing in CRM Recharge Settings."
		),
		"changed_meanwhile": _(
			"Auto-recharge was changed meanwhile, by somebody else or by itself. Look at it again, then save."
		),
		"charge_not_agreed": _(
			"The balance of {balance} {currency} is at or below {falls_below}: this charges {card} with {amount} {currency} at once. Open the setting, save it there and agree."
		),
		"nothing_to_charge": _(
			"Nothing would be charged now; {agreed} was agreed to. Look at the balance, then resume without a charge."
		),
		"on_hold": _("Auto-recharge is on hold: {because}. A person with the role Credit Manager lifts it."),
		"dispute_open": _(
			"Dispute {dispute} is still open. Auto recharge stays on hold until the bank has decided."
		),
		"nothing_to_confirm": _("This payment waits no more: it is {status}."),
	}


def text_of(error: errors.RuleError) -> str:
	"""The translated text of a rule's error."""
	shown = {key: _shown(value) for key, value in error.figures.items()}
	if "reason" in error.figures:
		shown["message"] = _fill(error.figures["reason"], shown)
	return _fill(error.code, shown)


def _fill(code: str, shown: dict) -> str:
	template = messages().get(code)
	return template.format_map(_Figures(shown)) if template else f"{code}: {shown}"


class _Figures(dict):
	"""A figure that a rule has left out is no reason to say nothing."""

	def __missing__(self, key: str) -> str:
		return "—"


def _shown(value) -> str:
	if isinstance(value, dict):
		value = ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
	if isinstance(value, list):
		value = (" " + _("or") + " ").join(str(part) for part in value)
	return frappe.utils.escape_html(str(value))


def raise_for_people(error: errors.RuleError) -> NoReturn:
	"""Raise the frappe exception that matches `error`; the HTTP answer gets its code and figures."""
	exception = EXCEPTIONS.get(type(error), CreditError)
	refuse(exception, error.code, text_of(error), error.figures)


def refuse(exception: type[CreditError], code: str, message: str, figures: dict) -> NoReturn:
	"""Raise `exception` with machine-readable `code` and `figures` beside the text."""
	# What a rule refuses is nobody's fault to be traced.
	frappe.local.flags.disable_traceback = True
	# Half a character is no text that could be answered.
	message = message.encode("utf-8", "replace").decode()
	if getattr(frappe.local, "response", None) is not None:
		frappe.local.response["error"] = {"code": code, **figures}
	raised = exception(message)
	raised.code, raised.figures = code, figures
	frappe.throw(message, raised, title=_("Not possible"))


def for_people(function):
	"""Decorator: let a rule's error out as the frappe exception with a text."""

	@functools.wraps(function)
	def wrapper(*args, **kwargs):
		try:
			return function(*args, **kwargs)
		except errors.RuleError as error:
			raise_for_people(error)

	return wrapper
