"""Why a reminder was held back, in words for people."""

from datetime import date

from frappe import _

from crm_recharge.domain.reorder.due import HeldBack
from crm_recharge.reorder import words

NOBODY = "nobody_to_tell"
"""Due for the sales team, and there is nobody."""


def sentence(reason: HeldBack) -> str:
	"""The whole reason, with its figures."""
	f = reason.figures
	match reason.code:
		case "customer_disabled":
			return _("The customer is disabled or frozen.")
		case "outside_hours":
			return _("It is outside the hours in which mails may go out.")
		case "no_consent":
			return _("No contact who wants reminders can be reached by e-mail.")
		case "held_out":
			return _("The customer belongs to those who are not reminded, for comparison.")
		case "snoozed":
			return _("The customer asked for none before {0}.").format(_day(f["until"]))
		case "too_soon":
			return _("The last mail was on {0}; there is at most one in {1}.").format(
				_day(f["last"]), words.days(f["days"])
			)
		case "rule_off":
			return _("No Reorder Rule has this item reminded of.")
		case "item_disabled":
			return _("The item is disabled or no longer sold.")
		case "stopped":
			return _("The customer wants no reminders of this item.")
		case "not_due":
			return _("It is due on {0}.").format(_day(f["on"])) if f else _("It is not due.")
		case "bought_meanwhile":
			return _("It was bought again on {0}, or is being delivered or invoiced.").format(_day(f["on"]))
		case "replaced":
			return _("{0} was bought in its place on {1}.").format(f["by"], _day(f["on"]))
		case "already_reminded":
			return _("It was reminded of on {0} and not bought since.").format(_day(f["on"]))
		case "too_few_purchases":
			return _("It was bought on {0}; at least {1} are asked for.").format(
				words.days(f["days"]), words.number(f["least"])
			)
		case "probably_stopped":
			return _("The customer still buys it with a probability of {0} %; {1} % are asked for.").format(
				round(f["p_alive"] * 100), round(f["least"] * 100)
			)
		case "range_too_wide":
			return _("The expected range is {0} × the usual interval wide; {1} × is allowed.").format(
				words.rounded(f["intervals"], 1), words.rounded(f["widest"], 1)
			)
		case "open_order":
			return _("It is on {0}, which is open.").format(f["order"])
		case "subscription":
			return _("Subscription {0} delivers it.").format(f["subscription"])
		case "out_of_stock":
			return _("It is out of stock.")
	raise ValueError(f"unknown reason: {reason.code}")


def short(code: str) -> str:
	"""A few words for a count."""
	return {
		"customer_disabled": _("customer disabled"),
		"outside_hours": _("outside the hours"),
		"no_consent": _("no consent"),
		"held_out": _("held out for comparison"),
		"snoozed": _("snoozed"),
		"too_soon": _("mailed too recently"),
		"rule_off": _("no rule"),
		"item_disabled": _("item disabled"),
		"stopped": _("stopped by the customer"),
		"not_due": _("not due"),
		"bought_meanwhile": _("bought meanwhile"),
		"replaced": _("something else bought in its place"),
		"already_reminded": _("already reminded"),
		"too_few_purchases": _("too few purchases"),
		"probably_stopped": _("probably stopped buying"),
		"range_too_wide": _("range too wide"),
		"open_order": _("on an open order"),
		"subscription": _("in a subscription"),
		"out_of_stock": _("out of stock"),
		NOBODY: _("nobody to tell"),
	}[code]


def nobody_to_tell() -> str:
	"""Why the sales team was not told."""
	return _("The customer has no account manager, and Reorder Settings no user to stand in.")


def _day(ordinal: int) -> str:
	return words.day(date.fromordinal(ordinal))
