"""The demo site's account to send from: to the mail sink that dev/demo runs, and nowhere else."""

import os
import time
from email.message import EmailMessage
from pathlib import Path

import frappe
from mail_sink import mails

ACCOUNT = "Demo Shop"


def set_up() -> None:
	"""Make the sink the site's default outgoing account, and commit."""
	port = int(os.environ["CRM_RECHARGE_MAIL_PORT"])
	if frappe.db.exists("Email Account", ACCOUNT):
		values = {"smtp_port": port, "enable_outgoing": 1, "default_outgoing": 1}
		frappe.db.set_value("Email Account", ACCOUNT, values)
	else:
		frappe.db.set_value("Email Account", {"default_outgoing": 1}, "default_outgoing", 0)
		frappe.get_doc(
			{
				"doctype": "Email Account",
				"email_account_name": ACCOUNT,
				"email_id": "shop@acme-cloud.example",
				"enable_outgoing": 1,
				"default_outgoing": 1,
				"smtp_server": "127.0.0.1",
				"smtp_port": port,
				"no_smtp_authentication": 1,
				"use_tls": 0,
				"use_ssl_for_outgoing": 0,
			}
		).insert()
	frappe.clear_cache(doctype="Email Account")
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def deliver(seconds: int = 60) -> None:
	"""Send what waits in Frappe's mail queue, as the scheduler does every few minutes, and wait until all has left.

	Ends the demo when something still waits after so many seconds.
	"""
	from frappe.email.queue import flush

	deadline = time.monotonic() + seconds
	waiting = {"status": ["in", ["Not Sent", "Sending", "Partially Sent"]]}
	while True:
		flush()
		# As it is now: a worker may be sending as well.
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		left = frappe.db.count("Email Queue", waiting)
		if not left:
			return
		if time.monotonic() > deadline:
			raise SystemExit(f"{left} mails have not left the Email Queue after {seconds} s")
		time.sleep(0.5)


def received() -> list[EmailMessage]:
	"""What the sink has received so far, the oldest first."""
	return mails(folder())


def folder() -> Path:
	"""Where the sink keeps its mails."""
	return Path(os.environ["CRM_RECHARGE_MAILS"])
