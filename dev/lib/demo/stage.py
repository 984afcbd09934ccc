"""What all parts of the demo share: the site it plays on, and how it speaks."""

import logging
import os
import sys
import warnings

for _kind in (DeprecationWarning, FutureWarning):
	warnings.filterwarnings("ignore", category=_kind)

import frappe
import requests

SITE, URL = os.environ["CRM_RECHARGE_SITE"], os.environ["CRM_RECHARGE_URL"]
COMPANY = "Acme Cloud"


def connect():
	"""Open the site as Administrator."""
	frappe.init(site=SITE, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	_quiet_styles()


def _quiet_styles():
	"""What inlines the styles of mails complains of colours it does not know."""
	import cssutils

	cssutils.log.setLevel(logging.CRITICAL)


def must(right: bool, what: str):
	"""End the demo with 1 when something that must hold does not."""
	if not right:
		sys.exit(f"this does not hold: {what}")


def count(doctype: str, filters: dict) -> int:
	"""How many records there are now."""
	frappe.db.rollback()
	return frappe.db.count(doctype, filters)


def browser() -> requests.Session:
	"""Somebody who opens pages of the site."""
	session = requests.Session()
	session.trust_env = False
	session.headers["Host"] = SITE
	return session
