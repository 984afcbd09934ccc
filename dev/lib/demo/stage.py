"""What all parts of the demo share: the site it plays on, and how it speaks."""

import logging
import os
import sys
import threading
import time
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


def say(text=""):
	"""A line for the reader, at once."""
	print(text, flush=True)


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


class Progress:
	"""Says every few seconds how far something is. Any thread may count."""

	SECONDS = 10

	def __init__(self, what: str, total: int):
		self.what, self.total, self.done = what, total, 0
		self.started = self.said = time.monotonic()
		self.lock = threading.Lock()

	def step(self, by: int = 1):
		"""`by` more are done."""
		with self.lock:
			self.done += by
			now = time.monotonic()
			if now - self.said >= self.SECONDS and self.done < self.total:
				self.said = now
				say(f"   ... {self.done:,} of {self.total:,} {self.what}, {self.seconds:.0f} s{self._left()}")

	def reach(self, done: int):
		"""So many are done."""
		self.step(done - self.done)

	def _left(self) -> str:
		left = self.seconds * (self.total - self.done) / self.done if self.done else 0
		return f", about {left:.0f} s left" if left >= 1 else ""

	@property
	def seconds(self) -> float:
		"""Since it began."""
		return time.monotonic() - self.started
