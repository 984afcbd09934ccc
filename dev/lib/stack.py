"""Run a command beside the services of one site, and end those services with it.

Usage, from a bench's sites folder, with the bench's Python:

	python stack.py --site SITE [--web] [--port N] [--host ADDRESS] [--workers N] [--scheduler] [--realtime]
		[--beside "NAME PORT COMMAND..."]... [--stay] -- COMMAND...

Job queue and cache are two Redis of this run's own: other workers on the bench take none of its jobs, it takes none of
theirs, hooks cached from another checkout are not seen, and a test may empty or kill either. The command finds CRM_RECHARGE_SITE and, with --web, CRM_RECHARGE_URL in its
environment. --beside starts a service of the caller's, waits until it listens on PORT of this machine, and ends it with
the others. Each service writes to its own file in the bench's logs folder. With --stay the services go on after a
command that succeeded, until interrupted. Exits with the command's status.
"""

import argparse
import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import bench_site

HERE = Path(__file__).resolve().parent
LOGS = Path("../logs").resolve()
FRAPPE = [sys.executable, "-m", "frappe.utils.bench_helper", "frappe"]
PR_SET_PDEATHSIG = 1
PARENT = os.getppid()


class NotUp(Exception):
	"""A service did not come up; the text says which, and where its log is."""


def free_port():
	"""Return a port on this machine that nobody listens on."""
	with socket.socket() as probe:
		probe.bind(("127.0.0.1", 0))
		return probe.getsockname()[1]


def die_with_parent():
	"""In a new child: a process group of its own, and an end with this process however it ends."""
	os.setsid()
	ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stack:
	"""The services of one run, in the order they were started."""

	def __init__(self, site):
		self.site = site
		self.children = []
		self.host_before = None
		self.folder = tempfile.mkdtemp(prefix="crm_recharge-")
		self.environment = {**os.environ, "CRM_RECHARGE_SITE": site, "FRAPPE_SITE": site}

	def start(self, name, command, cwd="."):
		"""Start a service with its output in the bench's logs folder."""
		log = LOGS / f"crm_recharge-{name}.log"
		with log.open("ab") as output:
			# nosemgrep: frappe-subprocess-exec -- a list that this file makes
			child = subprocess.Popen(
				command,
				cwd=cwd,
				env=self.environment,
				stdin=subprocess.DEVNULL,
				stdout=output,
				stderr=subprocess.STDOUT,
				preexec_fn=die_with_parent,
			)
		child.title, child.log = name, log
		self.children.append(child)
		return child

	def wait_until(self, child, is_up, seconds=90):
		"""Wait for a service to answer.

		Raises NotUp when it ended or did not answer in time.
		"""
		deadline = time.monotonic() + seconds
		while not is_up():
			if child.poll() is not None or time.monotonic() > deadline:
				tail = "\n".join(child.log.read_text(errors="replace").splitlines()[-15:])
				raise NotUp(f"{child.title} did not come up; the end of {child.log}:\n{tail}")
			time.sleep(0.1)

	def start_redis(self, name):
		"""Start a Redis of this run's own as Frappe's `cache` or `queue`."""
		port = free_port()
		command = f"redis-server --bind 127.0.0.1 --port {port} --dir {self.folder}".split()
		command += ["--save", ""]
		self.environment[f"FRAPPE_REDIS_{name.upper()}"] = f"redis://127.0.0.1:{port}"
		self.wait_until(self.start(name, command), lambda: answers(port))

	def start_web(self, host, port):
		"""Start gunicorn for the site and wait for its ping."""
		url = f"http://127.0.0.1:{port}"
		self.host_before = bench_site.set_host(self.site, url)
		self.environment["CRM_RECHARGE_URL"] = url
		# A browser opens connections in store: each holds a thread until it is used or closed, and one that is idle for the
		# time-out would end its worker.
		options = f"--bind {host}:{port} --workers 2 --threads 48 --timeout 1800 --graceful-timeout 5"
		command = [
			sys.executable,
			"-m",
			"gunicorn",
			*options.split(),
			"--pythonpath",
			str(HERE),
			"serve:application",
		]
		self.wait_until(self.start("web", command), lambda: pings(url))

	def start_beside(self, name, port, *command):
		"""Start a service of the caller's and wait until it listens."""
		if answers(int(port)):
			raise NotUp(f"port {port}, which {name} needs, is in use: end what listens there")
		self.wait_until(self.start(name, command), lambda: answers(int(port)))

	def start_workers(self, count):
		"""Start workers that take jobs from each of Frappe's queues."""
		for number in range(1, count + 1):
			self.start(f"worker-{number}", [*FRAPPE, "worker", "--queue", "short,default,long", "--quiet"])

	def start_realtime(self):
		"""Start Frappe's socket.io server, and let the desk know where it is."""
		port = free_port()
		self.environment |= {"FRAPPE_SOCKETIO_PORT": str(port), "DEV_SERVER": "1"}
		set_port = [*FRAPPE, "--site", self.site, "set-config", "--parse", "socketio_port", str(port)]
		# nosemgrep: frappe-subprocess-exec -- bench, a list
		subprocess.run(set_port, env=self.environment, check=True, stdout=subprocess.DEVNULL)
		self.start("realtime", ["node", "apps/frappe/socketio.js"], cwd="..")

	def stop(self):
		"""End the services, last first; one that does not end in time is killed."""
		for child in reversed(self.children):
			signal_group(child, signal.SIGTERM)
		for child in reversed(self.children):
			try:
				child.wait(timeout=10)
			except subprocess.TimeoutExpired:
				pass
			signal_group(child, signal.SIGKILL)
			child.wait()
		shutil.rmtree(self.folder, ignore_errors=True)
		if self.host_before:
			bench_site.set_host(self.site, self.host_before)


def signal_group(child, number):
	"""Signal a service and all it started."""
	try:
		os.killpg(child.pid, number)
	except ProcessLookupError:
		pass


def answers(port):
	"""Tell whether somebody listens on a port of this machine."""
	with socket.socket() as probe:
		probe.settimeout(1)
		return probe.connect_ex(("127.0.0.1", port)) == 0


def pings(url):
	"""Tell whether the site answers Frappe's ping."""
	opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
	try:
		with opener.open(f"{url}/api/method/ping", timeout=20) as response:
			return b"pong" in response.read()
	except OSError:
		return False


def arguments():
	"""Read the command line: options, then the command after `--`."""
	parser = argparse.ArgumentParser(
		description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
	)
	parser.add_argument("--site", required=True)
	parser.add_argument("--web", action="store_true")
	parser.add_argument("--host", default="127.0.0.1")
	parser.add_argument("--port", type=int, default=0)
	parser.add_argument("--workers", type=int, default=0)
	parser.add_argument("--scheduler", action="store_true")
	parser.add_argument("--realtime", action="store_true")
	parser.add_argument("--beside", action="append", default=[])
	parser.add_argument("--stay", action="store_true")
	parser.add_argument("command", nargs="+")
	return parser.parse_args()


def start(stack, options):
	"""Start what the options ask for."""
	stack.start_redis("cache")
	stack.start_redis("queue")
	if options.realtime:
		stack.start_realtime()
	if options.web:
		port = options.port or free_port()
		if answers(port):
			raise NotUp(f"port {port} is in use; choose another with --port, or none for a free one")
		stack.start_web(options.host, port)
	for service in options.beside:
		stack.start_beside(*shlex.split(service))
	stack.start_workers(options.workers)
	if options.scheduler:
		stack.start("scheduler", [sys.executable, str(HERE / "schedule.py"), stack.site])


def run(stack, command):
	"""Run the command to its end and return its status; an interruption is passed on to it first."""
	environment = {name: value for name, value in stack.environment.items() if name != "DEV_SERVER"}
	# nosemgrep: frappe-subprocess-exec -- what a developer typed
	child = subprocess.Popen(command, env=environment)
	while True:
		try:
			check_parent()
			return child.wait(timeout=2)
		except (subprocess.TimeoutExpired, KeyboardInterrupt):
			continue  # on Ctrl-C the terminal has interrupted the command as well: it ends by itself
		except SystemExit:
			child.terminate()
			child.wait()
			raise


def check_parent():
	"""End when whoever started this is gone and nobody is left to interrupt it."""
	if os.getppid() != PARENT:
		sys.exit(143)


def stay(stack):
	"""Keep the services until somebody interrupts, or one of them ends by itself."""
	print("\nCtrl-C ends it.", flush=True)
	try:
		while all(child.poll() is None for child in stack.children):
			check_parent()
			time.sleep(1)
	except KeyboardInterrupt:
		return
	ended = next(child for child in stack.children if child.poll() is not None)
	raise NotUp(f"{ended.title} has ended; see {ended.log}")


def main():
	for number in (signal.SIGTERM, signal.SIGHUP):
		signal.signal(number, lambda *_: sys.exit(143))
	options = arguments()
	stack = Stack(options.site)
	try:
		start(stack, options)
		status = run(stack, options.command)
		if status == 0 and options.stay:
			stay(stack)
	except NotUp as error:
		status = f"error: {error}"
	except KeyboardInterrupt:
		status = 130
	finally:
		for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
			signal.signal(number, signal.SIG_IGN)
		stack.stop()
	sys.exit(status if isinstance(status, str) or status >= 0 else 128 - status)


if __name__ == "__main__":
	main()
