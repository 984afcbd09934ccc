"""What happens to an account can be read back as events: each once, in one order, none skipped, by who may see it."""

import random
import threading
import time
from datetime import datetime, timedelta

import frappe

from crm_recharge import clock
from crm_recharge.api import events as api
from crm_recharge.api import recharge as recharge_api
from crm_recharge.credits import ledger, usage
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.domain import credit_events
from crm_recharge.outbox import attempt, changes, events, publishing
from crm_recharge.recharge import refunds, spikes
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import FAILS, GOOD
from crm_recharge.tests.factories import make_account, make_user
from crm_recharge.tests.support.work import work_off


class EventsCase(TakebackCase):
	def publish(self, *documents: tuple[str, str]) -> None:
		"""What the workers do: tell of these documents, give the events their positions."""
		frappe.db.commit()
		for doctype, name in documents:
			attempt.run(changes.TELL, changes.key_of(doctype, name))
		publishing.publish()

	def told_of(self, account: str) -> list[dict]:
		self.publish()
		return api.events(account=account, limit=1000)["events"]

	def types(self, account: str) -> list[str]:
		return [event["type"] for event in self.told_of(account)]

	def last(self, account: str, event_type: str) -> dict:
		return [event for event in self.told_of(account) if event["type"] == event_type][-1]


class TestWhatIsTold(EventsCase):
	def test_a_recharge_from_low_to_paid(self):
		account = self.account_with(GOOD, balance=500)
		recharge = self.use(account, 460)["recharge"]
		self.work(recharge)
		self.publish(("Recharge", recharge))
		self.assertEqual(
			[one for one in self.types(account) if one != credit_events.ENABLED],
			["balance.low", "recharge.started", "recharge.succeeded"],
		)
		low, paid = self.last(account, "balance.low"), self.last(account, "recharge.succeeded")
		self.assertEqual(low["data"], {"balance": "40", "falls_below": "50", "currency": "USD"})
		self.assertEqual(paid["account"], account)
		data = paid["data"]
		self.assertEqual(
			(data["recharge"], data["amount"], data["currency"], data["balance_after"], data["origin"]),
			(recharge, "460", "USD", "500", "Automatic"),
		)
		self.assertTrue(data["payment"])
		self.assertLess(abs(clock.now() - datetime.fromisoformat(paid["created"])), timedelta(minutes=5))
		# Told again, it is no second event.
		frappe.db.sql(
			"UPDATE `tabOutbox Change` SET `status` = 'Waiting' WHERE `reference_name` = %s", recharge
		)
		self.publish(("Recharge", recharge))
		self.assertEqual(self.types(account).count("recharge.succeeded"), 1)

	def test_low_is_told_once_for_each_fall_and_in_a_batch_too(self):
		account = self.account_with(GOOD, balance=500, enabled=False)
		self.use(account, 440)
		self.assertNotIn("balance.low", self.types(account))
		batch = [{"amount": "5", "idempotency_key": frappe.generate_hash(length=9)} for _ in range(4)]
		usage.charge_many(account, batch)
		frappe.db.commit()
		self.use(account, 1)
		self.use(account, 1)
		self.assertEqual(self.types(account), ["balance.low"])
		ledger.grant(account, 100, "g", note="n")
		frappe.db.commit()
		self.use(account, 100)
		self.assertEqual(self.types(account), ["balance.low"] * 2)
		self.use(account, 38)
		self.assertEqual(self.types(account), ["balance.low", "balance.low", "balance.depleted"])
		self.assertEqual(self.last(account, "balance.depleted")["data"], {"balance": "0", "currency": "USD"})

	def test_an_account_without_a_setting_is_depleted_too(self):
		account = make_account()
		ledger.grant(account, 10, "g", note="n")
		frappe.db.commit()
		self.use(account, 10)
		self.assertEqual(self.types(account), ["balance.depleted"])

	def test_ordinary_usage_writes_no_event(self):
		account = self.account_with(GOOD, balance=500)
		self.publish()
		before = frappe.db.count("Credit Event")
		for _ in range(5):
			self.use(account, 1)
		self.assertEqual(frappe.db.count("Credit Event"), before)

	def test_a_failed_recharge_says_why_and_that_auto_recharge_is_off(self):
		account = self.account_with(FAILS)
		recharge = self.use(account, 460)["recharge"]
		self.work(recharge)
		self.publish(("Recharge", recharge))
		self.assertEqual(
			sorted(self.types(account)[1:]),
			sorted(["balance.low", "auto_recharge.disabled", "recharge.started", "recharge.failed"]),
		)
		failed = self.last(account, "recharge.failed")["data"]
		self.assertIn("declined", failed["reason"])
		self.assertTrue(failed["code"])
		self.assertEqual(failed["card"]["last4"], "0341")
		off = self.last(account, "auto_recharge.disabled")["data"]
		self.assertEqual((off["by"], bool(off["reason"])), ("system", True))

	def test_switched_paused_resumed(self):
		account = self.account_with(GOOD)
		self.assertEqual(self.types(account), ["auto_recharge.enabled"])
		row = frappe.db.get_value("Credit Account", account, ["name", "auto_recharge"], as_dict=True)
		spikes.pause(row, "1,000 used")
		frappe.db.commit()
		recharge_api.resume(account)
		frappe.db.commit()
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		setting.enabled = 0
		setting.save()
		frappe.db.commit()
		self.assertEqual(
			self.types(account),
			[
				"auto_recharge.enabled",
				"auto_recharge.paused",
				"auto_recharge.resumed",
				"auto_recharge.disabled",
			],
		)
		self.assertEqual(self.last(account, "auto_recharge.paused")["data"]["reason"], "1,000 used")

	def test_refunds_and_disputes(self):
		account, recharge = self.paid("100")
		refund = self.refund(recharge, 10)
		refunds.carry_out(refund)
		dispute = self.stripe.control("dispute", intent=self.intent(recharge))
		self.deliver("charge.dispute.created", dispute)
		self.stripe.control("close_dispute", dispute=dispute["id"], won=True)
		self.deliver("charge.dispute.closed", dispute)
		self.publish(("Recharge", recharge), ("Recharge Refund", refund), ("Recharge Dispute", dispute["id"]))
		told = self.types(account)
		for one in ("refund.created", "refund.succeeded", "dispute.opened", "dispute.won"):
			self.assertEqual(told.count(one), 1, told)
		self.assertEqual(told.count("recharge.succeeded"), 1, "given back is no second payment")
		data = self.last(account, "refund.succeeded")["data"]
		self.assertEqual((data["refund"], data["amount"], data["recharge"]), (refund, "10", recharge))

	def test_expired_credits(self):
		account = make_account()
		ledger.grant(account, 10, "g", note="n", expires_at=clock.later(timedelta(seconds=30)))
		frappe.db.sql(
			"UPDATE `tabCredit Lot` SET `expires_at` = %s WHERE `credit_account` = %s",
			(clock.later(-timedelta(seconds=1)), account),
		)
		frappe.db.commit()
		work_off("expire_lots", account)
		self.assertEqual(self.types(account), ["credits.expired", "balance.depleted"])
		data = self.last(account, "credits.expired")["data"]
		self.assertEqual((data["amount"], data["balance"], data["currency"]), ("10", "0", "USD"))

	def test_every_type_stands_in_the_papers(self):
		page = open(frappe.get_app_path("crm_recharge", "..", "docs", "events.md")).read()
		self.assertEqual([one for one in credit_events.TYPES if f"`{one}`" not in page], [])


class TestReading(EventsCase):
	def setUp(self):
		super().setUp()
		self.account = make_account()
		frappe.db.commit()

	def tell(self, count: int = 1) -> None:
		for _ in range(count):
			events.tell("credits.expired", self.account, {"amount": "1"})
		frappe.db.commit()

	def test_page_by_page(self):
		self.tell(5)
		self.publish()
		seen, after = [], 0
		while True:
			page = api.events(after=after, limit=2, account=self.account)
			seen += [event["position"] for event in page["events"]]
			after = page["next"]
			if not page["more"]:
				break
		self.assertEqual(len(seen), 5)
		self.assertEqual(seen, sorted(set(seen)))
		self.assertEqual(
			api.events(after=after, account=self.account), {"events": [], "next": after, "more": False}
		)
		self.assertEqual(api.events(type="refund.*", account=self.account)["events"], [])
		self.assertEqual(len(api.events(type="credits.*", account=self.account)["events"]), 5)

	def test_what_cannot_be_asked(self):
		for given, code in (
			({"after": -1}, "out_of_range"),
			({"limit": 0}, "out_of_range"),
			({"limit": 1001}, "out_of_range"),
			({"type": "nothing.*"}, "not_one_of"),
		):
			with self.subTest(given=given), self.assertRaises(InvalidRequestError) as refused:
				api.events(**given)
			self.assertEqual(refused.exception.code, code)

	def test_who_may_see_what(self):
		other = make_account()
		self.tell()
		events.tell("credits.expired", other, {})
		self.publish()
		user = make_user("Credit API")
		frappe.get_doc(
			{"doctype": "User Permission", "user": user, "allow": "Credit Account", "for_value": self.account}
		).insert()
		frappe.db.commit()
		frappe.set_user(user)
		accounts = {event["account"] for event in api.events(limit=1000)["events"]}
		self.assertEqual(accounts, {self.account})
		with self.assertRaises(frappe.PermissionError):
			api.events(account=other)
		frappe.set_user(make_user("Credit User"))
		with self.assertRaises(frappe.PermissionError):
			api.events()

	# -- at the same time ------------------------------------------------------------------------------------

	def elsewhere(self, function, *arguments):
		"""Run it on a connection of its own. Returns the thread."""
		site, conf = frappe.local.site, dict(frappe.local.conf)
		errors = self.errors = getattr(self, "errors", [])

		def run():
			frappe.init(site, sites_path=".", force=True)
			frappe.local.conf.update(conf)
			frappe.connect()
			try:
				function(*arguments)
			except Exception as error:
				errors.append(error)
			finally:
				frappe.destroy()

		thread = threading.Thread(target=run)
		thread.start()
		return thread

	def test_what_is_committed_late_is_read_late_and_not_skipped(self):
		written, commit = threading.Event(), threading.Event()

		def slow():
			events.tell("credits.expired", self.account, {"who": "slow"})
			written.set()
			commit.wait(20)
			frappe.db.commit()

		thread = self.elsewhere(slow)
		written.wait(20)
		events.tell("credits.expired", self.account, {"who": "fast"})
		self.publish()
		page = api.events(account=self.account)
		self.assertEqual([event["data"]["who"] for event in page["events"]], ["fast"])
		commit.set()
		thread.join()
		self.publish()
		page = api.events(after=page["next"], account=self.account)
		self.assertEqual([event["data"]["who"] for event in page["events"]], ["slow"])

	def test_a_reader_among_many_writers_sees_each_once(self):
		writers, each, stop = 4, 12, threading.Event()

		def write(number):
			for count in range(each):
				events.tell("credits.expired", self.account, {"who": f"{number}-{count}"})
				time.sleep(random.uniform(0, 0.03))
				frappe.db.rollback() if count % 4 == 3 else frappe.db.commit()

		def publish():
			while not stop.is_set():
				publishing.publish()
				time.sleep(0.01)

		threads = [self.elsewhere(write, number) for number in range(writers)]
		publishers = [self.elsewhere(publish) for _ in range(2)]
		seen, after = [], 0

		def read():
			nonlocal after
			frappe.db.rollback()
			page = api.events(after=after, limit=5, account=self.account)
			after = page["next"]
			seen.extend(event["data"]["who"] for event in page["events"])
			return page["events"]

		while any(thread.is_alive() for thread in threads):
			read()
		stop.set()
		for thread in publishers:
			thread.join()
		self.publish()
		while read():
			pass
		self.assertEqual(self.errors, [])
		expected = {
			f"{number}-{count}" for number in range(writers) for count in range(each) if count % 4 != 3
		}
		self.assertEqual(len(seen), len(set(seen)))
		self.assertEqual(set(seen), expected)

	def test_only_what_can_be_read_is_cleared(self):
		self.tell()
		self.publish()
		self.tell()
		long_ago = clock.later(-timedelta(days=900))
		frappe.db.sql(
			"UPDATE `tabCredit Event` SET `creation` = %s WHERE `credit_account` = %s",
			(long_ago, self.account),
		)
		frappe.get_last_doc("Credit Event").clear_old_logs(400)
		left = frappe.get_all("Credit Event", {"credit_account": self.account}, pluck="position")
		self.assertEqual(left, [0])
		frappe.db.rollback()
