"""Nothing of the network happens while an account is locked, or in a transaction that has written (rule 4).

What is watched is every byte this process sends: to the database always, to Redis' cache only what Frappe's own
documents read and drop there, to the job queue, Stripe and mail servers nothing before the commit.
"""

import re
import socket
from collections import Counter
from contextlib import contextmanager
from unittest.mock import patch
from urllib.parse import urlsplit

import frappe
from frappe.database.database import Database

from crm_recharge.api import recharge as api
from crm_recharge.credits import usage
from crm_recharge.recharge import worker
from crm_recharge.tests import factories
from crm_recharge.tests.support.money_case import GatewayTestCase

VISA, DECLINED, ASKS_HOLDER = "4242424242424242", "4000000000000341", "4000002760003184"
LOCKS = re.compile(r"for update|lock in share mode", re.IGNORECASE)
CACHE_COMMANDS = {
	"GET",
	"HGET",
	"MGET",
	"SET",
	"SETEX",
	"HSET",
	"DEL",
	"UNLINK",
	"HDEL",
	"EXISTS",
	"HEXISTS",
	"SADD",
	"SMEMBERS",
	"KEYS",
}


class Watch:
	"""What was sent while a lock was held or writes were open, as "cache GET" or "host:port"; and when it was not."""

	def __init__(self):
		self.locked = self.watching = False
		self.inside, self.outside = Counter(), Counter()
		cache = urlsplit(frappe.conf.redis_cache)
		self.cache = (socket.gethostbyname(cache.hostname), cache.port)

	def note(self, sock, data: bytes):
		where = self.name(sock, bytes(data))
		if where:
			(self.inside if self.open else self.outside)[where] += 1

	@property
	def open(self) -> bool:
		return self.locked or bool(frappe.db and frappe.db.transaction_writes)

	def name(self, sock, data: bytes) -> str | None:
		peer = sock.getpeername() if sock.family in (socket.AF_INET, socket.AF_INET6) else None
		if peer is None or peer[1] == int(frappe.conf.db_port or 3306):
			return None
		if peer[:2] == self.cache:
			found = re.match(rb"\*\d+\r\n\$\d+\r\n(\w+)", data)
			return f"cache {found.group(1).decode().upper()}" if found else "cache more"
		return f"{peer[0]}:{peer[1]}"

	@contextmanager
	def __call__(self):
		sql, sendall, send = Database.sql, socket.socket.sendall, socket.socket.send

		def watched_sql(db, query, *args, **kwargs):
			result = sql(db, query, *args, **kwargs)
			text = str(query).strip().lower()
			if text in ("commit", "rollback"):
				self.locked = False
			elif LOCKS.search(text):
				self.locked = True
			return result

		def watched_sendall(sock, data, *args):
			self.note(sock, data)
			return sendall(sock, data, *args)

		def watched_send(sock, data, *args):
			self.note(sock, data)
			return send(sock, data, *args)

		with (
			patch.object(Database, "sql", watched_sql),
			patch.object(socket.socket, "sendall", watched_sendall, create=True),
			patch.object(socket.socket, "send", watched_send, create=True),
		):
			self.watching = True
			try:
				yield self
			finally:
				self.watching = False


class TestUnderTheLock(GatewayTestCase):
	def setUp(self):
		self.watch = Watch()
		super().setUp()
		self.one = self.account("500", account_owner="Administrator")

	def keep_job(self, method, **arguments):
		super().keep_job(method, **arguments)
		if self.watch.watching and self.watch.open:
			self.watch.inside[f"enqueue {method}"] += 1

	def use(self, amount):
		answer = usage.charge(
			self.one, {"amount": amount, "idempotency_key": frappe.generate_hash(length=16)}
		)
		frappe.db.commit()
		return answer

	def setting(self, *numbers):
		factories.make_setting(
			self.one, [self.card(self.one, n) for n in numbers], cap_count_hour=0, cap_count_day=0
		)
		frappe.db.commit()

	def assert_only_cache(self):
		strange = {
			what: count
			for what, count in self.watch.inside.items()
			if what.removeprefix("cache ") not in {*CACHE_COMMANDS, "more"}
		}
		self.assertEqual(strange, {}, "sent while rows were locked or changed")

	def test_the_watch_sees_what_it_should(self):
		with self.watch():
			frappe.db.sql("SELECT `name` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", self.one)
			self.stripe.gateway().list_cards(self.stripe.make_customer())
			frappe.cache.get("no such key")
			frappe.enqueue("frappe.ping")
			frappe.db.rollback()
			self.assertFalse(self.watch.open)
		seen = " ".join(self.watch.inside)
		self.assertIn(urlsplit(self.stripe.api_base).netloc, seen)
		self.assertIn("cache GET", seen)
		self.assertIn("enqueue frappe.ping", seen)

	def test_a_charge_sends_nothing_at_all(self):
		self.setting(VISA)
		self.use(1)  # Frappe reads what it knows of the DocType once a process or request
		with self.watch():
			for _ in range(3):
				self.use(1)
			usage.charge_many(
				self.one, [{"amount": 1, "idempotency_key": frappe.generate_hash(16)} for _ in range(5)]
			)
			frappe.db.commit()
		self.assertEqual(self.watch.inside, {})

	def test_a_charge_that_starts_a_recharge_enqueues_after_the_commit(self):
		self.setting(VISA)
		with self.watch():
			answer = self.use(460)
		self.assertTrue(answer["recharge_started"])
		self.assertEqual(len(self.queued("carry_out")), 1)
		self.assert_only_cache()

	def test_stripe_is_asked_with_no_row_locked_or_changed(self):
		self.setting(DECLINED, ASKS_HOLDER, VISA)
		recharge = self.use(460)["recharge"]
		with self.watch():
			self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_only_cache()
		gateway = urlsplit(self.stripe.api_base).netloc
		self.assertGreaterEqual(self.watch.outside[gateway], 5)

	def test_mails_and_notifications_are_rows(self):
		frappe.local.conf.update({"mail_server": "localhost", "auto_email_id": "credits@test.example"})
		self.addCleanup(frappe.local.conf.pop, "mail_server", None)
		self.addCleanup(frappe.local.conf.pop, "auto_email_id", None)
		manager = self.user("Credit Manager")
		self.setting(DECLINED)
		recharge = self.use(460)["recharge"]
		with self.watch():
			self.assertEqual(worker.carry_out(recharge), "Failed")
		self.assertTrue(
			frappe.db.exists("Notification Log", {"document_name": recharge, "for_user": manager})
		)
		self.assertTrue(frappe.db.exists("Email Queue", {"reference_name": recharge}))
		self.assert_only_cache()

	def test_recharging_by_hand_and_switching_on(self):
		card = self.card(self.one)
		with self.watch():
			recharge = api.start(self.one, 25, frappe.generate_hash(length=16), card)["recharge"]
			frappe.db.commit()
			worker.carry_out(recharge)
			self.use(500)
			api.set_auto_recharge(self.one, enabled=1, cards=[card])
			frappe.db.commit()
		self.assertEqual(len(self.queued("carry_out")), 2)
		self.assert_only_cache()

	def test_saving_and_removing_cards(self):
		first, second = self.card(self.one, VISA), self.card(self.one, "5555555555554444")
		factories.make_setting(self.one, [first, second])
		frappe.db.commit()
		with self.watch():
			api.start_card_setup(self.one)
			frappe.db.commit()
			api.save_card(
				self.one,
				self.stripe.make_card(frappe.db.get_value("Credit Account", self.one, "gateway_customer")),
			)
			frappe.db.commit()
			api.remove_card(first)
			frappe.db.commit()
		self.assert_only_cache()
