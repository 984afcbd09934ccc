"""Where the app ends a transaction by hand.

Frappe commits once, at the end of a request that may write and of a job. That is too late where what was written must
outlast what comes next:

- a payment: each step is committed before the gateway is asked, and each answer before the next step. No call to a
  network stands in a transaction that holds a lock or could roll back (docs/architecture.md, section 4);
- a sweep, a nightly run: one row's failure must not take back the rows before it;
- a mail or a booking: that it is being done, and that it was done, is known before and after, should its worker die.

A document's hooks never commit: what set them going may still fail as a whole.
"""

import frappe


def commit() -> None:
	"""Make what was written so far last, and let go of every lock."""
	frappe.db.commit()  # nosemgrep: frappe-manual-commit -- the only one; the reasons stand above
