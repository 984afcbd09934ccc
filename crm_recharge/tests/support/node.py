"""Another node of this site, for tests that break one: a configuration, a Redis, workers and web server of its own.

A node is a sites folder in a temporary place. The site's database is shared, unless the configuration names
another. Nothing that is broken here is the bench's own.
"""

import json
import os
import pickle
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import frappe
import redis
import requests
from frappe.utils import background_jobs
from frappe.utils.password import get_encryption_key

from crm_recharge.gateway import home
from crm_recharge.tests.support.web import die_with_parent

BENCH_COMMAND = [sys.executable, "-m", "frappe.utils.bench_helper", "frappe"]
LOCALHOST = "127.0.0.1"
# A forked child must not close what its parent still uses: what it inherits stays here until it ends.
_inherited = []


class CannotRun(Exception):
	"""This machine lacks what a test needs; the text says what."""


class Killed(Exception):
	"""A child was ended by a signal."""


class Raised(Exception):
	"""A child ended with an exception; the text is its traceback."""


def free_port() -> int:
	"""A port of this machine that nobody listens on."""
	with socket.socket() as probe:
		probe.bind((LOCALHOST, 0))
		return probe.getsockname()[1]


def wait_until(is_so, seconds: float = 30, what: str = "it"):
	"""Wait for `is_so()` to be true and return what it is. Raises TimeoutError, naming `what`."""
	deadline = time.monotonic() + seconds
	while not (found := is_so()):
		if time.monotonic() > deadline:
			raise TimeoutError(f"{what} did not come about in {seconds} seconds")
		time.sleep(0.02)
	return found


class Service:
	"""A process with a log of its own, that ends with the tests."""

	def __init__(self, command: list, log: Path, cwd: Path, environment: dict | None = None):
		self.log = log
		with log.open("ab") as output:
			self.process = subprocess.Popen(
				[str(part) for part in command],
				cwd=cwd,
				env=environment,
				stdin=subprocess.DEVNULL,
				stdout=output,
				stderr=subprocess.STDOUT,
				preexec_fn=die_with_parent,
			)

	def wait_for(self, is_up, seconds: float = 60):
		"""Wait until `is_up()`. Raises CannotRun with the end of the log."""
		deadline = time.monotonic() + seconds
		while not is_up():
			if self.process.poll() is not None or time.monotonic() > deadline:
				self.kill()
				tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
				raise CannotRun(f"{self.process.args[0]} did not come up: {tail}")
			time.sleep(0.05)

	@property
	def runs(self) -> bool:
		return self.process.poll() is None

	def kill(self, number: int = signal.SIGKILL):
		"""End it and every process it has begun, at once: as when the machine loses power."""
		for pid in [*reversed(descendants(self.process.pid)), self.process.pid]:
			try:
				os.kill(pid, number)
			except ProcessLookupError:
				pass
		self.process.wait(30)

	def stop(self):
		"""End it, asking first."""
		if self.runs:
			self.process.terminate()
			try:
				self.process.wait(10)
			except subprocess.TimeoutExpired:
				pass
		self.kill()


def descendants(pid: int) -> list[int]:
	"""All processes begun by `pid`, oldest first (Linux)."""
	found = []
	for task in Path(f"/proc/{pid}/task").glob("*/children"):
		try:
			children = [int(each) for each in task.read_text().split()]
		except OSError:
			continue
		for child in children:
			found += [child, *descendants(child)]
	return found


def answers(port: int) -> bool:
	"""Whether somebody listens on a port of this machine."""
	with socket.socket() as probe:
		probe.settimeout(1)
		return probe.connect_ex((LOCALHOST, port)) == 0


class Node:
	"""`conf` goes over the site's own configuration. `start()` … `stop()`."""

	def __init__(self, **conf):
		self.site, self.conf = frappe.local.site, conf
		self.folder = Path(tempfile.mkdtemp(prefix="crm-recharge-node-"))
		self.sites, self.logs = self.folder / "sites", self.folder / "logs"
		self.redis_port, self.redis, self.services = free_port(), None, []

	def start(self) -> "Node":
		"""Write the configuration and start the Redis. Raises CannotRun."""
		if not shutil.which("redis-server"):
			raise CannotRun("there is no redis-server")
		self._write_configuration()
		self.start_redis()
		return self

	def stop(self):
		"""End all of it."""
		for service in reversed(self.services):
			service.stop()
		shutil.rmtree(self.folder, ignore_errors=True)

	def _write_configuration(self):
		get_encryption_key()  # makes one where there is none, in the site's own file
		here, there = Path(frappe.local.sites_path).resolve(), self.sites
		for folder in ("public/files", "private/files", "private/backups", "logs", "locks"):
			(there / self.site / folder).mkdir(parents=True)
		self.logs.mkdir()
		for name in ("apps.txt", "apps.json"):
			if (here / name).exists():
				shutil.copy(here / name, there / name)
		(there / "assets").symlink_to(here / "assets")
		own = dict.fromkeys(("redis_cache", "redis_queue", "redis_socketio"), self.redis_url)
		common = frappe.get_common_site_config(str(here)) | own
		site = json.loads((here / self.site / "site_config.json").read_text())
		(there / "common_site_config.json").write_text(json.dumps(common))
		(there / self.site / "site_config.json").write_text(json.dumps(site | self.conf | own))
		# The nodes of a site share its folder: it is the same place, and no copy of the site.
		(there / self.site / home.MARK_FILE).write_text(home._mark())

	@property
	def redis_url(self) -> str:
		return f"redis://{LOCALHOST}:{self.redis_port}"

	@property
	def environment(self) -> dict:
		"""For this node's processes: what the tests' own environment says of Redis does not hold here."""
		own = {"FRAPPE_REDIS_QUEUE": self.redis_url, "FRAPPE_REDIS_CACHE": self.redis_url}
		database = {
			f"FRAPPE_{key.upper()}": str(value) for key, value in self.conf.items() if key.startswith("db_")
		}
		# CI would make every job believe that it is a test.
		return {k: v for k, v in os.environ.items() if k not in ("CI", "FRAPPE_DB_SOCKET")} | own | database

	# -- services ------------------------------------------------------------------------------------------

	def service(self, name: str, *command, cwd: Path | None = None) -> Service:
		"""Start a process on this node."""
		started = Service(list(command), self.logs / f"{name}.log", cwd or self.sites, self.environment)
		self.services.append(started)
		return started

	def start_redis(self):
		"""Start the node's Redis, empty: job queue and cache in one."""
		options = f"--bind {LOCALHOST} --port {self.redis_port} --appendonly no".split()
		self.redis = self.service("redis", "redis-server", *options, "--save", "", cwd=self.folder)
		self.redis.wait_for(lambda: answers(self.redis_port))

	def flush_redis(self):
		"""Empty the node's Redis."""
		with socket.create_connection((LOCALHOST, self.redis_port), timeout=10) as connection:
			connection.sendall(b"FLUSHALL\r\n")
			if not connection.recv(64).startswith(b"+OK"):
				raise RuntimeError("Redis was not emptied")

	def start_worker(self, queues: str = "short") -> Service:
		"""Start a worker as `bench worker` does, and wait until it takes jobs."""
		before = self.workers()
		worker = self.service("worker", *BENCH_COMMAND, "worker", "--queue", queues, "--quiet")
		worker.wait_for(lambda: self.workers() - before)
		return worker

	def workers(self) -> set:
		"""The workers that have told Redis of themselves, dead ones among them."""
		return redis.Redis(LOCALHOST, self.redis_port).smembers("rq:workers")

	def start_web(self) -> str:
		"""Start gunicorn with the site; returns its address. Requests name the site in their Host header."""
		port = free_port()
		options = f"--bind {LOCALHOST}:{port} --workers 2 --threads 8 --timeout 120".split()
		web = self.service("web", sys.executable, "-m", "gunicorn", *options, "frappe.app:application")
		url = f"http://{LOCALHOST}:{port}"
		web.wait_for(lambda: answers(port) and self._pings(url))
		return url

	def _pings(self, url: str) -> bool:
		session = self.session()
		try:
			return b"pong" in session.get(f"{url}/api/method/ping", timeout=20).content
		except requests.RequestException:
			return False

	def session(self) -> requests.Session:
		"""A client of the node's web server."""
		session = requests.Session()
		session.trust_env = False
		session.headers["Host"] = self.site
		return session

	# -- children ------------------------------------------------------------------------------------------

	def call(self, function, *args, seconds: float = 60):
		"""Run `function` in a process of this node and return what it returns. Raises Raised, Killed."""
		return self.fork(function, *args).result(seconds)

	def fork(self, function, *args) -> "Child":
		"""Begin `function` in a process of this node: forked, as a worker forks for each job."""
		return Child(self, function, args)

	def enter(self):
		"""Make this process, just forked, one of the node."""
		log = os.open(self.logs / "children.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
		os.dup2(log, 1)
		os.dup2(log, 2)
		_inherited.append((frappe.local.db, frappe.cache, background_jobs._redis_queue_conn))
		for name in ("CI", "FRAPPE_DB_SOCKET"):
			os.environ.pop(name, None)
		os.environ.update(self.environment)
		os.chdir(self.sites)
		frappe.cache = background_jobs._redis_queue_conn = None
		getattr(frappe.local, "request_cache", {}).clear()
		frappe.init(self.site, sites_path=".", force=True)
		frappe.connect()


class Child:
	"""A forked process of a node."""

	def __init__(self, node: Node, function, args):
		read, write = os.pipe()
		sys.stdout.flush()
		sys.stderr.flush()
		self.pid = os.fork()
		if self.pid == 0:
			os.close(read)
			_live(node, function, args, write)
		os.close(write)
		self._read = read
		self.status = None

	def result(self, seconds: float = 60):
		"""Wait for its end and return what the function returned. Raises Raised, Killed, TimeoutError."""
		data, deadline = b"", time.monotonic() + seconds
		while True:
			ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
			if not ready:
				self.kill()
				raise TimeoutError(f"a child did not end in {seconds} seconds")
			chunk = os.read(self._read, 1 << 16)
			if not chunk:
				break
			data += chunk
		self._end()
		if os.WIFSIGNALED(self.status):
			raise Killed(f"signal {os.WTERMSIG(self.status)}")
		good, value = pickle.loads(data)
		if not good:
			raise Raised(value)
		return value

	def kill(self):
		"""End it at once."""
		if self.status is None:
			os.kill(self.pid, signal.SIGKILL)
			self._end()

	def _end(self):
		os.close(self._read)
		self.status = os.waitpid(self.pid, 0)[1]


def _live(node: Node, function, args, write: int):
	"""The whole life of a child; never returns."""
	try:
		die_with_parent()
		try:
			node.enter()
			said = (True, function(*args))
		except BaseException:
			said = (False, traceback.format_exc())
		data = pickle.dumps(said)
		while data:
			data = data[os.write(write, data) :]
	finally:
		os._exit(0)
