"""The site over HTTP, for tests: the server that is there (CRM_RECHARGE_URL), or one of the tests' own."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

import frappe
import requests

SERVE = "import sys, frappe.app; frappe.app.serve(port=int(sys.argv[1]), site=sys.argv[2], no_reload=True)"


def die_with_parent():
	"""In the new child: end when the tests end, however they end (Linux)."""
	ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


class Web:
	"""`start()` … `stop()`; `user(...)` makes clients."""

	def __init__(self):
		self.url, self._server = os.environ.get("CRM_RECHARGE_URL"), None

	def start(self, seconds: float = 60) -> "Web":
		"""Serve this site on a free port, unless somebody does. Raises RuntimeError when it does not come up."""
		if not self.url:
			with socket.socket() as probe:
				probe.bind(("127.0.0.1", 0))
				port = probe.getsockname()[1]
			self.url = f"http://127.0.0.1:{port}"
			self._server = subprocess.Popen(
				[sys.executable, "-c", SERVE, str(port), frappe.local.site],
				cwd=os.path.abspath(frappe.local.sites_path),
				stdin=subprocess.DEVNULL,
				stdout=subprocess.DEVNULL,
				stderr=subprocess.DEVNULL,
				preexec_fn=die_with_parent,
			)
		deadline = time.monotonic() + seconds
		while not self._pings():
			if time.monotonic() > deadline or (self._server and self._server.poll() is not None):
				self.stop()
				raise RuntimeError(f"{frappe.local.site} is not served at {self.url}")
			time.sleep(0.1)
		return self

	def stop(self):
		"""End the server, if it is the tests' own."""
		if self._server:
			self._server.terminate()
			self._server.wait(20)
			self._server = None

	def _pings(self) -> bool:
		try:
			return b"pong" in requests.get(f"{self.url}/api/method/ping", timeout=20).content
		except requests.ConnectionError:
			return False

	def client(self, user: str) -> "Client":
		"""A client that comes with the API token of `user`, which is made here and committed."""
		doc = frappe.get_doc("User", user)
		doc.api_key, doc.api_secret = frappe.generate_hash(length=15), frappe.generate_hash(length=15)
		token = f"token {doc.api_key}:{doc.api_secret}"
		doc.save(ignore_permissions=True)
		frappe.db.commit()
		return Client(self.url, token)


class Client:
	"""REST calls of one user; `token` None is a guest."""

	def __init__(self, url: str, token: str | None = None):
		self._url, self._session = url, requests.Session()
		self._session.trust_env = False
		self._session.headers["Accept"] = "application/json"
		if token:
			self._session.headers["Authorization"] = token

	def post(self, method: str, as_form: bool = False, **arguments) -> requests.Response:
		"""Call a method of this app, such as `credits.charge`, with JSON or as a form."""
		body = {"data": arguments} if as_form else {"json": arguments}
		return self._session.post(f"{self._url}/api/method/crm_recharge.api.{method}", timeout=120, **body)

	def post_raw(self, method: str, body: str) -> requests.Response:
		"""Call a method of this app with a body that is JSON only nearly."""
		url = f"{self._url}/api/method/crm_recharge.api.{method}"
		return self._session.post(
			url, data=body.encode(), headers={"Content-Type": "application/json"}, timeout=120
		)

	def get(self, method: str, **arguments) -> requests.Response:
		"""GET a method of this app."""
		return self._session.get(
			f"{self._url}/api/method/crm_recharge.api.{method}", params=arguments, timeout=120
		)

	def call(self, verb: str, path: str, **arguments) -> requests.Response:
		"""Any other call, such as `call("PUT", "/api/resource/Credit Ledger/x", note="n")`."""
		return self._session.request(verb, f"{self._url}{path}", json=arguments or None, timeout=120)
