"""Work whose worker was killed is queued anew by the next sweep: a dead job that counts as started keeps nothing waiting,
one that waits is enough. With the bench's own Redis, and no worker."""

from datetime import timedelta
from unittest.mock import patch

import frappe
from frappe.utils.background_jobs import get_job, get_job_status, get_redis_conn
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import JobStatus
from rq.registry import StartedJobRegistry

from crm_recharge import clock
from crm_recharge.accounting import takeback_rows
from crm_recharge.outbox import queue, sweep
from crm_recharge.recharge import by_hand, refunds, threshold
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.reorder.learning import customers as learning
from crm_recharge.tests.case import FAILS, GOOD
from crm_recharge.tests.support.work import EVERYTHING


def swept(kind: str):
	"""The sweep of one kind of work, to be called."""
	return lambda: sweep.sweep_kind(kind, EVERYTHING)


def take(job_id: str) -> None:
	"""A worker takes the job."""
	job = get_job(job_id)
	job.set_status(JobStatus.STARTED)
	frappe.utils.background_jobs.get_queue(job.origin.rsplit(":", 1)[-1]).remove(job)
	# Until when the queue believes in a worker of which it hears nothing more.
	registry = StartedJobRegistry(job.origin, connection=get_redis_conn())
	registry.connection.zadd(registry.key, {job.id: 4_000_000_000})


def done(job_id: str) -> None:
	"""The worker has finished the job."""
	get_job(job_id).set_status(JobStatus.FINISHED)


class TestQueue(TakebackCase):
	def assert_is_swept(self, job_id: str, sweep):
		"""`job_id` waits after a sweep, once however often; of a killed worker a further one does, and so on."""
		sweep()
		self.assertEqual(get_job_status(job_id), JobStatus.QUEUED)
		enqueued_at = get_job(job_id).enqueued_at
		sweep()
		self.assertEqual(get_job(job_id).enqueued_at, enqueued_at)
		self.assertIsNone(get_job_status(f"{job_id}:2"))

		take(job_id)
		sweep()
		self.assertEqual(get_job_status(f"{job_id}:2"), JobStatus.QUEUED)
		sweep()
		self.assertIsNone(get_job_status(f"{job_id}:3"))
		self.assertEqual(get_job(f"{job_id}:2").kwargs, get_job(job_id).kwargs)
		take(f"{job_id}:2")
		sweep()
		self.assertEqual(get_job_status(f"{job_id}:3"), JobStatus.QUEUED)
		# The queue was tidied up: the name is free again.
		done(job_id)
		sweep()
		self.assertEqual(get_job_status(job_id), JobStatus.QUEUED)

	def queued(self) -> tuple[str, str]:
		"""An account, and a recharge that waits to be charged."""
		account = self.account_with(GOOD, balance=0, enabled=False)
		recharge = by_hand.start(account, 50, frappe.generate_hash())["recharge"]
		frappe.db.commit()
		return account, recharge

	def make_pending(self, doctype: str, name: str) -> None:
		takeback_rows.write(doctype, name, accounting_status="Pending")
		frappe.db.commit()

	def test_a_recharge(self):
		_account, recharge = self.queued()
		self.assert_is_swept(f"carry_out:{recharge}", swept("carry_out"))
		self.assertEqual(self.work(recharge), "Succeeded")

	def test_a_recharge_whose_worker_was_killed_holding_it(self):
		"""The lease runs out; then it is swept, though its job counts as started."""
		_account, recharge = self.queued()
		job_id = f"carry_out:{recharge}"
		swept("carry_out")()
		take(job_id)
		held = {"lease_owner": "killed", "status": "Charging"}
		frappe.db.set_value("Recharge", recharge, held | {"lease_until": clock.later(timedelta(minutes=1))})
		frappe.db.commit()
		swept("carry_out")()
		self.assertIsNone(get_job_status(f"{job_id}:2"))
		frappe.db.set_value("Recharge", recharge, "lease_until", clock.later(-timedelta(seconds=1)))
		frappe.db.commit()
		swept("carry_out")()
		self.assertEqual(get_job_status(f"{job_id}:2"), JobStatus.QUEUED)

	def test_what_is_left_open_at_the_gateway_of_an_ended_recharge(self):
		account = self.account_with(FAILS, balance=0, enabled=False)
		recharge = by_hand.start(account, 50, frappe.generate_hash())["recharge"]
		frappe.db.commit()
		self.assertEqual(self.work(recharge), "Failed")
		frappe.db.set_value("Recharge", recharge, "next_try_at", clock.now_datetime())
		frappe.db.commit()
		self.assert_is_swept(f"close_up:{recharge}", swept("close_up"))

	def test_a_refund(self):
		_account, recharge = self.paid("100")
		refund = self.refund(recharge, 10)
		self.assertEqual(self.row("Recharge Refund", refund).status, "Held")
		self.assert_is_swept(f"refund:{refund}", swept("refund"))

	def test_an_event(self):
		name = f"evt_{frappe.generate_hash(length=16)}"
		frappe.get_doc(
			{
				"doctype": "Gateway Event",
				"name": name,
				"event_type": "payment_intent.succeeded",
				"status": "Received",
				"object_type": "payment_intent",
				"object_id": "pi_none",
				"payload": "{}",
			}
		).db_insert()
		long_ago = clock.later(-timedelta(hours=1))
		frappe.db.set_value("Gateway Event", name, "creation", long_ago, update_modified=False)
		frappe.db.commit()
		self.assert_is_swept(f"gateway_event:{name}", swept("gateway_event"))

	def test_a_refused_usage(self):
		account = self.account_with(GOOD, balance=60)
		self.assert_is_swept(f"refused_usage:{account}", lambda: threshold.on_refused_usage(account, "100"))

	def test_what_a_purchase_leaves_to_be_learned(self):
		def learn():
			learning.settle_soon(customer)
			frappe.db.commit()

		customer = f"C-{frappe.generate_hash(length=8)}"
		self.assert_is_swept(f"reorder_settle:{customer}:False", learn)

	def test_the_documents_of_a_recharge(self):
		"""A worker was killed while it was booking: the invoice stays Pending no longer than until the next sweep."""
		_account, recharge = self.paid("100")
		self.make_pending("Recharge", recharge)
		self.assert_is_swept(f"account_for:{recharge}", swept("account_for"))

	def test_the_documents_of_a_refund(self):
		_account, recharge = self.paid("100")
		refund = self.refund(recharge, 10)
		self.assertEqual(refunds.carry_out(refund), "Succeeded")
		self.make_pending("Recharge Refund", refund)
		self.assert_is_swept(f"account_for_refund:{refund}", swept("account_for_refund"))

	def test_the_documents_of_a_dispute(self):
		_account, recharge = self.paid("100")
		dispute = self.stripe.control("dispute", intent=self.intent(recharge))
		self.deliver("charge.dispute.created", dispute)
		name = self.value("Recharge Dispute", {"recharge": recharge}, "name")
		self.make_pending("Recharge Dispute", name)
		self.assert_is_swept(f"account_for_dispute:{name}", swept("account_for_dispute"))

	def test_without_redis_it_says_so_and_the_next_sweep_goes_on(self):
		_account, recharge = self.queued()
		job_id = f"carry_out:{recharge}"
		with patch.object(queue, "get_job_status", side_effect=RedisConnectionError):
			self.assertFalse(queue.enqueue("carry_out", recharge, again=True))
		self.assertTrue(queue.enqueue("carry_out", recharge, again=True))
		self.assertEqual(get_job_status(job_id), JobStatus.QUEUED)
