"""Deliver the stand-in's events to an address, signed as Stripe signs, and as unreliably as ordered."""

import hashlib
import heapq
import hmac
import http.client
import itertools
import json
import threading
import time
from urllib.parse import urlsplit

MODES = ("once", "twice", "late", "out_of_order", "never")
TIMEOUT = 20


def sign(payload: bytes, secret: str, when: int | None = None) -> str:
	"""The Stripe-Signature header of `payload`."""
	when = int(time.time()) if when is None else when
	mac = hmac.new(secret.encode(), f"{when}.".encode() + payload, hashlib.sha256)
	return f"t={when},v1={mac.hexdigest()}"


class Webhooks:
	"""One endpoint, and a thread that delivers to it."""

	def __init__(self):
		self._wake, self._tie = threading.Condition(), itertools.count()
		self._queue: list = []
		self._held: list = []
		self._busy = 0
		self.target: dict | None = None
		self.deliveries: list[dict] = []
		threading.Thread(target=self._run, daemon=True, name="webhooks").start()

	def configure(self, target: dict | None):
		"""Deliver to `target`: url, secret, mode, seconds (delay or window), host, events (types), retries."""
		if target:
			target = {"mode": "once", "seconds": 0.5, "host": None, "events": None, "retries": 3} | target
			if target["mode"] not in MODES:
				raise ValueError(f"Unknown mode {target['mode']!r}; there are: {', '.join(MODES)}")
			if not target.get("url") or not target.get("secret"):
				raise ValueError("A webhook needs url and secret")
		with self._wake:
			self.target = target

	def publish(self, event: dict):
		"""An event has happened."""
		with self._wake:
			target = self.target
			if not target or target["mode"] == "never":
				return
			if target["events"] and event["type"] not in target["events"]:
				return
			now = time.time()
			if target["mode"] == "out_of_order":
				if not self._held:
					self._push(now + target["seconds"], None, 0)
				self._held.append(event)
			else:
				self._push(now + (target["seconds"] if target["mode"] == "late" else 0), event, 0)
				if target["mode"] == "twice":
					self._push(now + 0.05, event, 0)

	def deliver(self, event: dict):
		"""Send an event (again) now."""
		with self._wake:
			self._push(time.time(), event, 0)

	def idle(self, timeout: float) -> bool:
		"""Wait until nothing is left to deliver. False when the time is over first."""
		end = time.time() + timeout
		with self._wake:
			while self._queue or self._held or self._busy:
				if not self._wake.wait(max(0.0, min(0.1, end - time.time()))) and time.time() >= end:
					return False
		return True

	def _push(self, when: float, event: dict | None, tries: int):
		heapq.heappush(self._queue, (when, next(self._tie), event, tries))
		self._wake.notify_all()

	def _run(self):
		while True:
			with self._wake:
				while not self._queue or self._queue[0][0] > time.time():
					self._wake.wait(self._queue[0][0] - time.time() if self._queue else None)
				_, _, event, tries = heapq.heappop(self._queue)
				if event is None:
					held, self._held = self._held, []
					for each in reversed(held):
						self._push(time.time(), each, 0)
					continue
				target = self.target
				self._busy += 1
			try:
				if target:
					self._send(target, event, tries)
			finally:
				with self._wake:
					self._busy -= 1
					self._wake.notify_all()

	def _send(self, target: dict, event: dict, tries: int):
		payload = json.dumps(event).encode()
		started, status = time.time(), None
		try:
			status = _post(target["url"], payload, target["host"], sign(payload, target["secret"]))
		except OSError as error:
			status = type(error).__name__
		except http.client.HTTPException as error:
			status = type(error).__name__
		self.deliveries.append(
			{
				"event": event["id"],
				"type": event["type"],
				"status": status,
				"seconds": round(time.time() - started, 4),
			}
		)
		if not (isinstance(status, int) and 200 <= status < 300) and tries < target["retries"]:
			with self._wake:
				self._push(time.time() + 2**tries, event, tries + 1)


def _post(url: str, payload: bytes, host: str | None, signature: str) -> int:
	parts = urlsplit(url)
	kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
	connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
	headers = {
		"Content-Type": "application/json; charset=utf-8",
		"Stripe-Signature": signature,
		"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
	} | ({"Host": host} if host else {})
	try:
		connection.request(
			"POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), payload, headers
		)
		return connection.getresponse().status
	finally:
		connection.close()
