"""How fast a webhook is accepted, as a ratio to Frappe's ping, measured in one run.

Run by `dev/benchmark webhook [--rounds N]` on the benchmark site, with its web server and a worker that takes the
jobs. Each figure is a median of rounds in which the candidates take turns over one open connection each, as a
guest: (a) ping (b) a new event, verified, kept, committed and queued (c) the same event once more.
"""

import argparse
import json
import os
import statistics
import sys
import time
from contextlib import contextmanager

import frappe
import requests
from charge import SITE, connect, ratio, say, take_turns

REQUESTS = 25
SETTINGS, SECRET_FIELD = "CRM Recharge Settings", "stripe_webhook_secret"
SECRET = "whsec_benchmark"
# As large as Stripe's own: a payment with its charge is some 4 kB.
PAYMENT = {
	"id": "pi_benchmark",
	"object": "payment_intent",
	"amount": 45000,
	"currency": "usd",
	"status": "succeeded",
	"metadata": {f"key {number}": "x" * 100 for number in range(30)},
}


@contextmanager
def secret():
	"""The endpoint's signing secret, in the settings as in life, for as long as the block lasts."""
	from frappe.utils.password import (
		get_decrypted_password,
		remove_encrypted_password,
		set_encrypted_password,
	)

	before = get_decrypted_password(SETTINGS, SETTINGS, SECRET_FIELD, raise_exception=False)
	set_encrypted_password(SETTINGS, SETTINGS, SECRET, SECRET_FIELD)
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()
	try:
		yield
	finally:
		if before:
			set_encrypted_password(SETTINGS, SETTINGS, before, SECRET_FIELD)
		else:
			remove_encrypted_password(SETTINGS, SETTINGS, SECRET_FIELD)
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()


def event() -> bytes:
	"""A new event about something this app does not act on: what is measured is the taking in."""
	return json.dumps(
		{
			"id": f"evt_{frappe.generate_hash(length=24)}",
			"object": "event",
			"type": "payment_intent.created",
			"created": int(time.time()),
			"livemode": False,
			"api_version": "2024-06-20",
			"data": {"object": PAYMENT},
		},
		indent=2,
	).encode()


class Http:
	"""One keep-alive connection to the site's web server, as a guest."""

	def __init__(self):
		self.url = f"{os.environ['CRM_RECHARGE_URL']}/api/method/"
		self.session = requests.Session()
		self.session.trust_env = False
		self.session.headers.update({"Host": SITE, "Accept": "application/json"})
		self.last = event()

	def ping(self, count: int) -> float:
		return self._time("frappe.ping", [(b"{}", {})] * count)

	def webhook(self, count: int) -> float:
		events = [event() for _ in range(count)]
		self.last = events[-1]
		return self._time("crm_recharge.api.gateway.webhook", [(each, signed(each)) for each in events])

	def webhook_again(self, count: int) -> float:
		return self._time("crm_recharge.api.gateway.webhook", [(self.last, signed(self.last))] * count)

	def _time(self, method: str, sent: list) -> float:
		started = time.perf_counter()
		for body, headers in sent:
			headers = {"Content-Type": "application/json"} | headers
			response = self.session.post(self.url + method, data=body, headers=headers, timeout=30)
			response.raise_for_status()
		return (time.perf_counter() - started) / len(sent)


def signed(payload: bytes) -> dict:
	"""The header with which Stripe signs `payload`."""
	from crm_recharge.tests.support.stripe_webhooks import sign

	return {"Stripe-Signature": sign(payload, SECRET)}


def kept() -> int:
	"""How many events of this benchmark the inbox holds."""
	frappe.db.rollback()
	return frappe.db.count("Gateway Event", {"object_id": PAYMENT["id"]})


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--rounds", type=int, default=31)
	options = parser.parse_args()
	connect()
	with secret():
		http, before = Http(), kept()
		candidates = {
			"ping": (http.ping, REQUESTS),
			"webhook": (http.webhook, REQUESTS),
			"webhook again": (http.webhook_again, REQUESTS),
		}
		taken = take_turns(candidates, options.rounds)
	expected = max(1, REQUESTS // 10) + REQUESTS * options.rounds
	if kept() - before != expected:
		sys.exit(f"{expected} events were accepted, {kept() - before} are kept")
	for name, seconds in taken.items():
		best, middle, worst = min(seconds), statistics.median(seconds), max(seconds)
		say(f"{name:<16} {1e3 * middle:>8.2f} ms a request   ({1e3 * best:.2f} to {1e3 * worst:.2f})")
	print(
		json.dumps(
			{
				"webhook_vs_ping": round(1 / ratio(taken, "ping", "webhook"), 3),
				"webhook_again_vs_ping": round(1 / ratio(taken, "ping", "webhook again"), 3),
			}
		)
	)


if __name__ == "__main__":
	main()
