"""A MariaDB of the tests' own, holding a copy of this site's database: one that may be killed."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import frappe

from crm_recharge.gateway import home
from crm_recharge.tests.support.node import LOCALHOST, CannotRun, Service, answers, free_port

ROOM, PREFIX = 1 << 30, "crm-recharge-db-"
SERVERS, CLIENTS, DUMPS = ("mariadbd", "mysqld"), ("mariadb", "mysql"), ("mariadb-dump", "mysqldump")
# Nothing here need outlive the machine, only the process: what was written before a SIGKILL stays written.
OPTIONS = (
	"--innodb-flush-method=nosync",
	"--innodb-buffer-pool-size=128M",
	"--innodb-log-file-size=32M",
	"--skip-log-bin",
	"--skip-name-resolve",
	"--character-set-server=utf8mb4",
	"--collation-server=utf8mb4_unicode_ci",
)


def program(*names: str) -> str:
	"""The path of the first of these programs. Raises CannotRun."""
	path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
	found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
	if not found:
		raise CannotRun(f"there is no {names[0]} on this machine")
	return found


class OwnDatabase:
	"""`start()`, `copy_site()`, `kill()`, `start()` …, `remove()`. Any of them may raise CannotRun."""

	def __init__(self):
		if frappe.conf.db_type != "mariadb":
			raise CannotRun(f"this site's database is {frappe.conf.db_type}, not MariaDB")
		if os.geteuid() == 0:
			raise CannotRun("MariaDB is not run as root")
		self._server, self._client, self._dump = program(*SERVERS), program(*CLIENTS), program(*DUMPS)
		self._install = program("mariadb-install-db", "mysql_install_db")
		place = _roomy_place()
		_clear_left_behind(place)
		self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
		self.port, self.service = free_port(), None
		self._socket = self.folder / "s"

	@property
	def conf(self) -> dict:
		"""What a site's configuration says to use it."""
		return {"db_host": LOCALHOST, "db_port": self.port, "db_socket": ""}

	def start(self) -> "OwnDatabase":
		"""Start the server, on an empty folder or on what it has; waits until it has recovered."""
		data = self.folder / "data"
		if not data.exists():
			self._run(
				self._install,
				"--no-defaults",
				f"--datadir={data}",
				"--auth-root-authentication-method=normal",
				"--skip-test-db",
			)
		self.service = Service(
			[
				self._server,
				"--no-defaults",
				f"--datadir={data}",
				f"--socket={self._socket}",
				f"--port={self.port}",
				f"--bind-address={LOCALHOST}",
				f"--pid-file={self.folder / 'pid'}",
				*OPTIONS,
			],
			self.folder / "server.log",
			self.folder,
		)
		self.service.wait_for(lambda: answers(self.port), 120)
		return self

	def copy_site(self):
		"""Bring the site's database here as it is now, with its user."""
		conf = frappe.conf
		name, password = conf.db_name, conf.db_password
		self._sql(
			f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;"
			f" CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'; GRANT ALL ON `{name}`.* TO '{name}'@'%';"
		)
		if conf.db_socket:
			where = [f"--socket={conf.db_socket}"]
		else:
			where = [f"--host={conf.db_host}", f"--port={conf.db_port}"]
		dump = self.folder / "site.sql"
		options = ["--single-transaction", "--no-tablespaces", "--skip-lock-tables", f"--result-file={dump}"]
		self._run(self._dump, "--no-defaults", *where, f"--user={name}", *options, name, password=password)
		with dump.open("rb") as content:
			self._run(*self._as_root(), name, stdin=content)
		dump.unlink()
		# Where the site stands now is said anew: here the server is killed, not a site copied.
		self._sql(f"DELETE FROM `{name}`.`tabDefaultValue` WHERE `defkey` = '{home.KEY}'")

	def kill(self):
		"""SIGKILL: no shutdown, no last word."""
		self.service.kill()

	def remove(self):
		"""End it and take its files away."""
		if self.service:
			self.service.kill()
		shutil.rmtree(self.folder, ignore_errors=True)

	def _as_root(self) -> list[str]:
		return [self._client, "--no-defaults", f"--socket={self._socket}", "--user=root"]

	def _sql(self, statements: str):
		self._run(*self._as_root(), "-e", statements)

	def _run(self, *command, password: str = "", stdin=subprocess.DEVNULL):
		done = subprocess.run(
			[str(part) for part in command],
			env=os.environ | {"MYSQL_PWD": password},
			stdin=stdin,
			stdout=subprocess.DEVNULL,
			stderr=subprocess.PIPE,
			text=True,
		)
		if done.returncode:
			raise CannotRun(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")


def _roomy_place() -> str:
	"""Memory rather than disk, where there is enough: a thousand tables are written."""
	for place in ("/dev/shm", tempfile.gettempdir()):
		if os.access(place, os.W_OK) and shutil.disk_usage(place).free > ROOM:
			return place
	raise CannotRun("there is not 1 GB of free room for a second database")


def _clear_left_behind(place: str):
	"""Take away what runs left that were killed: nobody's database lives for an hour here."""
	for folder in Path(place).glob(f"{PREFIX}*"):
		if folder.stat().st_uid == os.geteuid() and time.time() - folder.stat().st_mtime > 3600:
			shutil.rmtree(folder, ignore_errors=True)
