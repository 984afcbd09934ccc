import secrets
from datetime import timedelta

import frappe
from frappe import _

from crm_recharge import clock
from crm_recharge.domain import credit_events
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.reach import read_url
from crm_recharge.doors import sight
from crm_recharge.doors.guard import GuardedDocument, by_machine
from crm_recharge.outbox import http, webhooks

BOTH_SIGN = timedelta(days=1)
"""How long the secret before goes on signing, beside the new one."""
SHORTEST_SECRET = 16


class CreditWebhook(GuardedDocument):
	"""Where Credit Events are posted to, and what they are signed with."""

	def validate(self):
		self.url = (self.url or "").strip()
		target = read_url(self.url)
		if self.is_new() or self.has_value_changed("url"):
			try:
				http.addresses(target)
			except http.NotReached:
				# A name that is not known yet may be so tomorrow.
				frappe.msgprint(_("The name {0} is not known at present.").format(target.host), alert=True)
		self.check_events()
		self.check_whose()
		self.check_secret()
		if self.enabled and self.has_value_changed("enabled"):
			self.disabled_because = self.failing_since = self.rests_until = None

	def check_events(self):
		lines = webhooks.patterns(self.events)
		if wrong := credit_events.unknown(lines):
			raise InvalidRequest(
				"not_one_of", field="events", value=wrong[0], known=", ".join((*credit_events.TYPES, "*"))
			)
		if not lines:
			raise InvalidRequest("value_missing", field="events")
		self.events = "\n".join(dict.fromkeys(lines))

	def check_whose(self):
		"""Who is confined to some accounts has no webhook of all of them."""
		if not self.credit_account and not self.flags.by_machine and sight.accounts():
			frappe.throw(
				_("Choose a Credit Account: you may not work with all of them."),
				frappe.PermissionError,
				title=_("Not permitted"),
			)

	def check_secret(self):
		if not self.secret:
			kept = None if self.is_new() else self.get_password("secret", raise_exception=False)
			self.secret = kept or new_secret()
		if set(self.secret or "") != {"*"} and len(self.secret or "") < SHORTEST_SECRET:
			raise InvalidRequest("secret_too_short", field="secret", least=SHORTEST_SECRET)

	def change_secret(self) -> str:
		"""Sign with a new secret from now on; for a day the old one signs as well. Returns the new one."""
		old, new = self.get_password("secret", raise_exception=False), new_secret()
		self.secret, self.previous_secret = new, old
		self.previous_secret_until = clock.later(BOTH_SIGN)
		by_machine(self).save(ignore_permissions=True)
		return new

	def on_trash(self):
		frappe.db.delete(webhooks.DELIVERY, {"webhook": self.name})


def new_secret() -> str:
	"""A secret that nobody guesses."""
	return "whsec_" + secrets.token_urlsafe(32)
