"""A site whose database was copied or moved: what rests meanwhile, who is told, and what a person says about it.

While it is not confirmed (gateway/home.py) the gateway is asked for nothing: no card is charged, nothing refunded or
closed, no event worked on. Usage goes on, and what it starts waits.
"""

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.domain import cards, payment, takeback
from crm_recharge.gateway import home, inbox
from crm_recharge.outbox import changes
from crm_recharge.recharge import notices

TOLD = "crm_recharge_away_told"
SETTINGS = "CRM Recharge Settings"


def due() -> list[str]:
	"""Remembers a site that has not been used yet. Whom to tell that payments rest: the settings' managers, if any."""
	home.settle_in()
	return [] if home.is_home() or frappe.db.get_global(TOLD) == _place() else [SETTINGS]


def tell(settings: str | None = None) -> bool:
	"""Tell the managers, once for each place the site is found at, that payments rest. Commits. Whether it did."""
	now_here = _place()
	if home.is_home() or frappe.db.get_global(TOLD) == now_here:
		return False
	frappe.db.set_global(TOLD, now_here)
	frappe.log_error(title=_("Payments rest on this site"), message=home.in_words())
	notices.alert(
		_("Payments rest on this site"),
		home.in_words(),
		about=(SETTINGS, SETTINGS),
		accounts=[],
	)
	transactions.commit()
	return True


def _place() -> str:
	return frappe.as_json(home.here(), indent=None)


def moved() -> None:
	"""A person says: this is the site itself, at another place. Everything goes on. The caller commits."""
	home.remember()
	_note(_("{0} confirmed that the site has been moved. Payments go on."))


def copied() -> dict:
	"""A person says: this is a copy, the original goes on elsewhere. What the copy holds of the original's payments is
	the original's: from here on the copy touches none of it, and charges no card that it came with.

	Returns how many recharges, refunds and events were set aside, cards are to be entered again, and settings were
	switched off. The caller commits.
	"""
	counts = {
		"recharges": _set_aside_recharges(),
		"refunds": _set_aside_refunds(),
		"events": _set_aside_events(),
		"cards": _forget_cards(),
		"settings": _switch_off(),
	}
	home.remember(home.new_id())
	_note(
		_("{0} confirmed that this site is a copy. The payments and cards it came with are the original's.")
	)
	return counts


def _note(text: str) -> None:
	frappe.get_doc(SETTINGS).add_comment("Info", text.format(frappe.session.user))


def _set_aside_recharges() -> int:
	names = frappe.get_all("Recharge", {"status": ["in", payment.IN_FLIGHT]}, ["name", "credit_account"])
	for row in names:
		frappe.db.sql(
			"SELECT `name` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", row.credit_account
		)
		values = {
			"status": payment.CANCELLED,
			"docstatus": 2,
			"failure_reason": _("It is the original site's payment."),
			"ended_at": clock.now_datetime(),
			"lease_owner": None,
			"lease_until": None,
			"next_try_at": None,
		}
		changes.write("Recharge", row.name, values)
		frappe.db.set_value("Credit Account", row.credit_account, "open_recharge", None)
	frappe.db.sql("UPDATE `tabRecharge` SET `next_try_at` = NULL WHERE `next_try_at` IS NOT NULL")
	return len(names)


def _set_aside_refunds() -> int:
	refunds = frappe.get_all("Recharge Refund", {"status": ["in", takeback.OPEN_REFUND]}, pluck="name")
	for name in refunds:
		values = {
			"status": takeback.FAILED,
			"message": _("It is the original site's refund."),
			"ended_at": clock.now_datetime(),
			"next_ask_at": None,
		}
		changes.write("Recharge Refund", name, values)
	return len(refunds)


def _set_aside_events() -> int:
	waiting = {"status": ["in", (inbox.RECEIVED, inbox.FAILED)]}
	count = frappe.db.count("Gateway Event", waiting)
	frappe.db.set_value(
		"Gateway Event", waiting, {"status": inbox.IGNORED, "outcome": "received by the original site"}
	)
	return count


def _forget_cards() -> int:
	usable = {"status": ["not in", (cards.REMOVED, cards.UNUSABLE)]}
	count = frappe.db.count("Recharge Card", usable)
	reason = _("It is saved for the original site. Enter it again.")
	frappe.db.set_value("Recharge Card", usable, {"status": cards.UNUSABLE, "status_reason": reason})
	frappe.db.sql("UPDATE `tabAuto-Recharge Card` SET `card_status` = %s", cards.UNUSABLE)
	frappe.db.sql("UPDATE `tabCredit Account` SET `gateway_customer` = NULL")
	return count


def _switch_off() -> int:
	from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import switch_off

	accounts = frappe.get_all("Auto-Recharge Setting", {"enabled": 1}, pluck="credit_account")
	for account in accounts:
		switch_off(account, _("This site is a copy of another one."))
	return len(accounts)
