"""Sends requests through Frappe's own handling in this process, and sees what they showed and changed.

As `frappe.app.application` does it, without what costs time and has no part in permissions: a connection and a
session of its own for each request. The user is set as a session would set it. What a request commits is held
back, so that it can be looked at and then undone.
"""

import io
import json
import re
import zipfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

import frappe
import frappe.api
import frappe.app
import frappe.utils.response
from frappe.auth import CookieManager
from frappe.utils import CallbackManager
from frappe.website.serve import get_response
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

# What Frappe notes down of requests and errors, whoever sends them and whatever comes of it.
LOGS = frozenset(
	{
		"Access Log",
		"Activity Log",
		"Error Log",
		"Integration Request",
		"Route History",
		"Scheduled Job Log",
		"Sessions",
		"View Log",
		"__UserSettings",
		"Series",
	}
)
WRITES = re.compile(
	r"\s*(?:insert(?:\s+ignore)?\s+into|replace\s+into|update|delete\s+from)\s+(?:`(?:tab)?([^`]+)`|(\w+))",
	re.IGNORECASE,
)


@dataclass(frozen=True)
class Ask:
	"""One request. `args` go as a query, a form (as the desk sends them) or, with `as_json`, as a body."""

	verb: str
	path: str
	args: dict = field(default_factory=dict)
	as_json: bool = False
	upload: bytes | None = None

	@property
	def sent(self) -> str:
		"""All that it says, as text."""
		return f"{self.path} {json.dumps(self.args, default=str)}"

	@property
	def fields(self) -> dict[str, str]:
		"""`args` as a form or a query carries them."""
		return {
			key: value if isinstance(value, str) else json.dumps(value, default=str)
			for key, value in self.args.items()
			if value is not None
		}

	def environ(self) -> dict:
		"""As a server hands it over."""
		headers = {"Accept": "application/json"}
		if self.verb == "GET":
			body = {"query_string": self.fields}
		elif self.as_json:
			body = {"data": json.dumps(self.args, default=str), "content_type": "application/json"}
		else:
			body = {"data": dict(self.fields)}
			if self.upload is not None:
				body["data"]["file"] = (io.BytesIO(self.upload), "door.txt")
		return EnvironBuilder(
			self.path, method=self.verb, headers=headers, base_url=f"http://{frappe.local.site}", **body
		).get_environ()


@dataclass
class Answer:
	"""What came back, and which DocTypes' tables were written and not taken back."""

	status: int
	text: str
	written: frozenset[str] = frozenset()

	@property
	def refused(self) -> bool:
		"""Refused for want of rights, or answered as if there were no such thing."""
		return self.status in (401, 403, 404, 410)


class Door:
	"""Sends requests in this process. Used as a context; what is sent in it is undone by `undo`."""

	def __init__(self):
		self._user = None
		self._written: set[str] = set()
		self._at_rest = False

	def __enter__(self):
		self._db = frappe.local.db
		self._kept = {name: getattr(frappe.local, name, None) for name in ("flags", "request", "form_dict")}
		self._kept_session = frappe.session.user
		self._rollback = self._db.rollback
		self._db.sql = self._watching(self._db.sql)
		self._db.commit, self._db.rollback = self._hold, self._take_back
		return self

	def __exit__(self, *exception):
		self.undo()
		for name in ("sql", "commit", "rollback"):
			delattr(self._db, name)
		frappe.set_user(self._kept_session)
		for name, value in self._kept.items():
			setattr(frappe.local, name, value)

	# -- the database ------------------------------------------------------------------------------------

	def _watching(self, sql):
		def watched(query, *args, **kwargs):
			if found := WRITES.match(str(query)):
				self._written.add(found[1] or found[2])
			self._at_rest = False
			return sql(query, *args, **kwargs)

		return watched

	def _hold(self):
		"""A commit: what others would see from now on is seen here; nothing is queued for a worker."""
		db = self._db
		db.before_rollback.reset()
		db.after_rollback.reset()
		db.before_commit.run()
		db.after_commit.reset()
		db.transaction_writes = 0

	def _take_back(self, *, save_point=None):
		self._rollback(save_point=save_point)
		if not save_point:
			self._written.clear()
			self._at_rest = True

	def undo(self) -> None:
		"""Back to where the probes began."""
		written = self._written - LOGS
		if not self._at_rest:
			self._take_back()
		if written:
			forget(written)

	# -- a request ---------------------------------------------------------------------------------------

	def send(self, user: str, ask: Ask) -> Answer:
		"""What `user` gets for `ask`. What it changed stays until `undo`."""
		self._be(user)
		with request_scope(Request(ask.environ())) as request:
			response = self._handle(request)
		response.direct_passthrough = False
		text = text_of(response.get_data(), " ".join(value for _name, value in response.headers.items()))
		return Answer(response.status_code, text, frozenset(self._written - LOGS))

	def _be(self, user: str) -> None:
		# Setting the user forgets all that is cached for this request: not needed for the same user again.
		if user != self._user or frappe.session.user != user:
			frappe.set_user(user)
			self._user = user
		frappe.session.data = frappe._dict(csrf_token="door")

	def _handle(self, request: Request):
		try:
			frappe.app.make_form_dict(request)
			for task in frappe.get_hooks("before_request"):
				frappe.call(task)
			response = self._dispatch(request)
		except HTTPException as error:
			response = error.get_response(request.environ)
		except Exception as error:
			# Frappe prints a traceback where nobody is served.
			with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
				response = frappe.app.handle_exception(error)
			self._db.rollback()
		else:
			if request.method in ("POST", "PUT", "DELETE", "PATCH"):
				self._db.commit()
			elif not frappe.local.flags.commit:
				self._db.rollback()
		for task in frappe.get_hooks("after_request"):
			frappe.call(task, response=response, request=request)
		return response

	def _dispatch(self, request: Request):
		if request.path.startswith("/api/"):
			return frappe.api.handle(request)
		if request.path.startswith("/private/files/"):
			return frappe.utils.response.download_private_file(request.path)
		return get_response()


@contextmanager
def request_scope(request: Request):
	"""What Frappe keeps for one request, fresh, as its `init` makes it; the connection and the user stay.

	The flags are those of a request and not of a test: `frappe.only_for` lets everybody in while tests run.
	"""
	local = frappe.local
	before = {name: getattr(local, name, None) for name in OF_A_REQUEST}
	request.after_response = CallbackManager()
	local.request, local.is_ajax = request, False
	local.response, local.form_dict = frappe._dict({"docs": []}), frappe._dict()
	local.error_log, local.message_log, local.debug_log = [], [], []
	local.flags = frappe._dict(currently_saving=[], redirect_location="", mute_emails=True)
	local.lang, local.request_ip = "en", "127.0.0.1"
	local.cookie_manager = CookieManager()
	try:
		yield request
	finally:
		for name, value in before.items():
			setattr(local, name, value)


OF_A_REQUEST = ("flags", "request", "response", "form_dict", "error_log", "message_log", "debug_log", "lang")


def forget(doctypes) -> None:
	"""Empty the caches of documents that a request may have filled with what is undone."""
	for key in [key for key in frappe.local.cache if "document_cache" in str(key)]:
		del frappe.local.cache[key]
	for doctype in doctypes | {"CRM Recharge Settings", "Reorder Settings"}:
		frappe.cache.delete_keys(f"document_cache::{doctype}")


def text_of(data: bytes, headers: str) -> str:
	"""All that an answer shows, also inside a spreadsheet."""
	if data[:4] == b"PK\x03\x04":
		with zipfile.ZipFile(io.BytesIO(data)) as archive:
			data = b"\n".join(archive.read(name) for name in archive.namelist())
	text = f"{headers} {data.decode(errors='replace')}"
	return text.replace("\\/", "/")
