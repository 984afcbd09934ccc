"""The main job with a worker of its own process: usage, queue, worker, card, credits."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import timedelta

import frappe
from frappe.installer import update_site_config
from frappe.utils import background_jobs

from crm_recharge.credits import usage
from crm_recharge.tests import factories
from crm_recharge.tests.compat import queue_at
from crm_recharge.tests.support.money_case import GatewayTestCase
from crm_recharge.tests.support.web import die_with_parent

DECLINED, VISA = "4000000000000341", "4242424242424242"


class TestRealWorker(GatewayTestCase):
	"""The worker has a queue of its own, and finds the stand-in in the site's configuration."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.start_queue()
		cls.configure()
		command = [
			sys.executable,
			"-m",
			"frappe.utils.bench_helper",
			"frappe",
			"worker",
			"--queue",
			"short",
			"--quiet",
		]
		cls.worker = cls.start(command, env={**os.environ, "FRAPPE_REDIS_QUEUE": cls.queue})
		cls.wait_until_idle()

	@classmethod
	def start(cls, command, **more):
		"""A process that ends with the class."""
		process = subprocess.Popen(
			command,
			cwd=os.path.abspath(frappe.local.sites_path),
			stdin=subprocess.DEVNULL,
			stdout=subprocess.DEVNULL,
			stderr=subprocess.DEVNULL,
			preexec_fn=die_with_parent,
			**more,
		)
		cls.addClassCleanup(process.wait, 30)
		cls.addClassCleanup(process.terminate)
		return process

	@classmethod
	def start_queue(cls):
		"""A Redis for this class: jobs that wait on the bench's own, and its workers, are others'."""
		with socket.socket() as probe:
			probe.bind(("127.0.0.1", 0))
			port = probe.getsockname()[1]
		folder = tempfile.mkdtemp()
		cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
		cls.start(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", ""])
		cls.queue = f"redis://127.0.0.1:{port}"

	@classmethod
	def wait_until_idle(cls, seconds=180):
		"""A worker takes its time to start; what is measured is one that waits for jobs."""
		deadline = time.monotonic() + seconds
		with queue_at(cls.queue):
			while not any(worker.get_state() == "idle" for worker in background_jobs.get_workers()):
				if cls.worker.poll() is not None or time.monotonic() > deadline:
					raise RuntimeError("The worker did not come up")
				time.sleep(0.2)

	@classmethod
	def configure(cls):
		"""Point the site at the stand-in, for other processes too, and put back what was there."""
		stand_in = {
			"crm_recharge_stripe_secret_key": cls.stripe.secret_key,
			"crm_recharge_stripe_api_base": cls.stripe.api_base,
		}
		for key, value in stand_in.items():
			before = frappe.get_site_config().get(key)
			update_site_config(key, value)
			cls.addClassCleanup(update_site_config, key, "None" if before is None else before)

	def use(self, account, amount):
		"""Charge through the real queue. Returns the recharge."""
		with queue_at(self.queue):
			answer = usage.charge(
				account, {"amount": amount, "idempotency_key": frappe.generate_hash(length=16)}
			)
			frappe.db.commit()
		return answer["recharge"]

	def wait(self, recharge, seconds=60) -> frappe._dict:
		"""The recharge once it has ended."""
		deadline = time.monotonic() + seconds
		while time.monotonic() < deadline:
			frappe.db.rollback()
			row = frappe.db.get_value(
				"Recharge", recharge, ["status", "settled_at", "settled_intent"], as_dict=True
			)
			if row.status not in ("Queued", "Charging"):
				return row
			self.assertIsNone(self.worker.poll(), "the worker is gone")
			time.sleep(0.01)
		self.fail(f"recharge {recharge} is still {row.status}")

	def account_with(self, *numbers, **setting):
		account = self.account("500")
		factories.make_setting(account, [self.card(account, n) for n in numbers], **setting)
		frappe.db.commit()
		return account

	def test_usage_at_the_level_becomes_credits_by_the_fallback_card(self):
		account = self.account_with(DECLINED, VISA)
		recharge = self.use(account, 480)
		self.assertEqual(self.wait(recharge).status, "Succeeded")
		self.assertEqual(frappe.db.get_value("Credit Account", account, "balance"), 500)
		attempts = frappe.get_all(
			"Recharge Attempt", {"recharge": recharge}, pluck="status", order_by="number"
		)
		self.assertEqual(attempts, ["Declined", "Succeeded"])
		self.assertEqual(
			self.stripe.captured_total(frappe.db.get_value("Credit Account", account, "gateway_customer")),
			480,
		)

	def test_a_failure_switches_off_and_the_account_goes_on(self):
		account = self.account_with(DECLINED)
		recharge = self.use(account, 480)
		self.assertEqual(self.wait(recharge).status, "Failed")
		self.assertEqual(
			frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, "enabled"), 0
		)
		self.assertIsNone(self.use(account, 5))

	def test_credits_are_there_soon_after_the_level_is_met(self):
		"""From the commit of the charge to the commit of the credits, less what the gateway took."""
		account = self.account_with(VISA, cap_count_hour=0, cap_count_day=0)
		overheads = []
		for _ in range(6):
			posted = frappe.utils.now_datetime()
			recharge = self.use(account, 480)
			row = self.wait(recharge)
			gateway = frappe.db.get_value("Recharge Attempt", f"{recharge}-1", "milliseconds") / 1000
			overheads.append((row.settled_at - posted) / timedelta(seconds=1) - gateway)
		best = sorted(overheads)[1:4]
		print(
			f"\nthreshold to credits beyond the gateway: {', '.join(f'{each:.3f}' for each in overheads)} s"
		)
		# The target, on an idle machine, is half a second; a machine that runs other tests is given more.
		self.assertLess(best[0], float(os.environ.get("CRM_RECHARGE_MOST_OVERHEAD", 2)))
