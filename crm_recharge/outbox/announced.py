"""Documents of whose changes others are told after the commit: other apps, Notifications, Webhooks, whoever looks.

Frappe tells them within the transaction that saves, under every lock that it holds, and an error of theirs undoes it.
Here what happened is kept as a row of that transaction (`changes`), and they are told from it (`telling`).
"""

from typing import ClassVar

from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.outbox import changes

AFTERWARDS = ("after_insert", "on_update", "on_submit", "on_cancel", "on_update_after_submit", "on_change")
"""What is told afterwards. Before a document is saved (`validate`, `before_submit` …) others are asked at once, as ever."""


class AnnouncedDocument(GuardedDocument):
	"""A document whose changes are announced, however they are written: saved here, or by `changes.write`."""

	STATE: ClassVar[tuple[str, ...]] = ("status",)
	"""Columns whose change is announced where nothing but the database is written."""

	def run_method(self, method, *args, **kwargs):
		if method == "before_validate":
			# What a saving that failed had begun did not happen.
			self.flags.happened = None
		if method not in AFTERWARDS:
			return super().run_method(method, *args, **kwargs)
		flags = self.flags
		flags.happened = [*(flags.happened or ()), method]
		own = getattr(type(self), method, None)
		flags.within = (flags.within or 0) + 1
		try:
			answer = own(self, *args, **kwargs) if own else None
		finally:
			flags.within -= 1
		# What is written while it is saved belongs to the saving, whose last word comes yet.
		if method == "on_change" and not flags.within:
			happened, flags.happened = tuple(dict.fromkeys(flags.happened)), None
			changes.record_saved(self, happened)
		return answer
