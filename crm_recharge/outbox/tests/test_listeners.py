"""Others hear of what happens to recharges, refunds and disputes: after the commit, each change, in order, whatever
else fails. Real documents, real Notifications and Webhooks, and hooks of another app."""

import json
import re
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import frappe

from crm_recharge import clock
from crm_recharge.outbox import attempt, changes, deliveries
from crm_recharge.recharge import by_hand, refunds
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import FAILS, GOOD
from crm_recharge.tests.support.receiver import Receiver
from crm_recharge.tests.support.work import due

HERE = __name__
heard: list[tuple] = []
problems: dict[str, Exception | type] = {}


def listen(doc, method):
	"""Another app's hook."""
	if problem := problems.get(doc.name):
		raise problem
	before = doc.get_doc_before_save()
	heard.append((doc.name, method, before and before.status, doc.status))


def listen_well(doc, method):
	"""A second one, which writes something of its own."""
	frappe.get_doc({"doctype": "ToDo", "description": f"{method} {doc.name} {doc.status}"}).insert()


def save_again(doc, method):
	"""One that writes into what it hears of."""
	fresh = frappe.get_doc(doc.doctype, doc.name)
	fresh.flags.ignore_permissions = True
	fresh.db_set("risk_level", frappe.generate_hash(length=6))
	heard.append((doc.name, method, None, doc.status))


class TestListeners(TakebackCase):
	def setUp(self):
		super().setUp()
		heard.clear()
		problems.clear()
		frappe.db.rollback()
		self.forget_listeners()

	def forget_listeners(self):
		"""Also those that a test which was cut off has left."""
		for doctype, field in (("Notification", "document_type"), ("Webhook", "webhook_doctype")):
			for name in frappe.get_all(doctype, {field: ["in", changes.announced()]}, pluck="name"):
				frappe.delete_doc(doctype, name, force=True)
		frappe.db.commit()

	@contextmanager
	def hooked(self, *events: str, doctype="Recharge", handler="listen"):
		"""Another app's `doc_events`."""
		hooks = frappe.get_doc_hooks()
		before = {event: list(hooks.get(doctype, {}).get(event, [])) for event in events}
		for event in events:
			hooks.setdefault(doctype, {}).setdefault(event, []).append(f"{HERE}.{handler}")
		try:
			yield
		finally:
			for event in events:
				hooks[doctype][event] = before[event]

	def tell(self, doctype: str, name: str) -> int:
		"""What the worker does for one document."""
		frappe.db.rollback()
		return attempt.run(changes.TELL, changes.key_of(doctype, name))

	def started(self, number: str = GOOD) -> tuple[str, str]:
		account = self.account_with(number, balance=0, enabled=False)
		frappe.db.set_value("Credit Account", account, "account_owner", self.owner)
		recharge = by_hand.start(account, 50, frappe.generate_hash(length=12))["recharge"]
		frappe.db.commit()
		return account, recharge

	def states(self, name: str, method="on_change") -> list[str]:
		"""The statuses another app has heard of, each once."""
		found = [status for one, event, _before, status in heard if (one, event) == (name, method)]
		return [status for index, status in enumerate(found) if index == 0 or found[index - 1] != status]

	def make(self, **values):
		doc = frappe.get_doc(values).insert()
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.delete_doc, doc.doctype, doc.name, force=True)
		frappe.db.commit()
		return doc

	# -- hooks of other apps ---------------------------------------------------------------------------------

	def test_another_app_hears_of_every_state_in_order_and_after_the_commit(self):
		with self.hooked("after_insert", "on_update", "on_submit", "on_update_after_submit", "on_change"):
			_account, recharge = self.started()
			self.assertEqual(self.work(recharge), "Succeeded")
			self.assertEqual(heard, [], "nobody is told within the transaction")
			self.assertGreater(self.tell("Recharge", recharge), 2)
			self.assertEqual(self.states(recharge), ["Draft", "Queued", "Charging", "Succeeded"])
			events = {event for _name, event, _before, _status in heard}
			self.assertEqual(
				events, {"after_insert", "on_update", "on_submit", "on_update_after_submit", "on_change"}
			)
			self.assertIn((recharge, "on_update_after_submit", "Charging", "Succeeded"), heard)
			self.assertIn((recharge, "on_submit", "Draft", "Queued"), heard)
			count = len(heard)
			self.assertEqual(self.tell("Recharge", recharge), 0)
			self.assertEqual(len(heard), count)

	def test_refunds_and_disputes_are_heard_of(self):
		account, recharge = self.paid("100")
		with (
			self.hooked("on_change", doctype="Recharge Refund"),
			self.hooked("on_change", doctype="Recharge Dispute"),
		):
			refund = self.refund(recharge, 10)
			self.assertEqual(refunds.carry_out(refund), "Succeeded")
			self.tell("Recharge Refund", refund)
			self.assertEqual(
				self.states(refund)[::2], ["Held", "Succeeded"] if len(self.states(refund)) > 2 else ["Held"]
			)
			self.assertEqual(self.states(refund)[-1], "Succeeded")
			dispute = self.stripe.control("dispute", intent=self.intent(recharge))
			self.deliver("charge.dispute.created", dispute)
			self.tell("Recharge Dispute", dispute["id"])
			self.assertEqual(self.states(dispute["id"]), ["Open"])

	def test_what_is_cancelled_is_heard_of_as_cancelled(self):
		with self.hooked("on_cancel", "on_change"):
			_account, recharge = self.started()
			frappe.get_doc("Recharge", recharge).cancel()
			frappe.db.commit()
			self.tell("Recharge", recharge)
		self.assertIn((recharge, "on_cancel", "Queued", "Cancelled"), heard)
		self.assertEqual(self.states(recharge)[-1], "Cancelled")

	def test_what_is_rolled_back_has_not_happened(self):
		account = self.account_with(GOOD, balance=0, enabled=False)
		before = frappe.db.count("Outbox Change")
		by_hand.start(account, 50, frappe.generate_hash(length=12))
		self.assertGreater(frappe.db.count("Outbox Change"), before)
		frappe.db.rollback()
		self.assertEqual(frappe.db.count("Outbox Change"), before)

	def test_a_worker_killed_between_two_listeners_is_followed_by_another_and_nothing_is_missed(self):
		with self.hooked("on_change", handler="listen_well"), self.hooked("on_change"):
			_account, recharge = self.started()
			problems[recharge] = SystemExit
			with self.assertRaises(SystemExit):
				self.tell("Recharge", recharge)
			problems.clear()
			frappe.db.rollback()
			todo = {"description": ["like", f"on_change {recharge} Draft%"]}
			self.assertEqual(frappe.db.count("ToDo", todo), 1)
			self.assertEqual(self.tell("Recharge", recharge), 0, "the dead one's lease holds")
			self.assertNotIn(changes.key_of("Recharge", recharge), due(changes.TELL))
			frappe.db.sql(
				"UPDATE `tabOutbox Change` SET `lease_until` = %s WHERE `reference_name` = %s AND `lease_until` IS NOT NULL",
				(clock.now_datetime(), recharge),
			)
			frappe.db.commit()
			self.assertIn(changes.key_of("Recharge", recharge), due(changes.TELL))
			self.assertEqual(self.tell("Recharge", recharge), 2)
			self.assertEqual(self.states(recharge), ["Draft", "Queued"])
			self.assertEqual(frappe.db.count("ToDo", todo), 1, "who had heard of it is not told again")

	def test_a_listener_that_fails_keeps_neither_money_nor_anybody_else_waiting(self):
		with self.hooked("on_change"), self.hooked("on_change", handler="listen_well"):
			account, recharge = self.started()
			problems[recharge] = KeyError("broken hook")
			self.assertEqual(self.work(recharge), "Succeeded")
			self.assertEqual(self.balance(account), 50)
			self.tell("Recharge", recharge)
			self.assertEqual(heard, [])
			done = {"description": ["like", f"on_change {recharge}%"]}
			self.assertGreaterEqual(frappe.db.count("ToDo", done), 4, "the other hook has heard of all")
			_other_account, other = self.started()
			self.tell("Recharge", other)
			self.assertEqual(self.states(other), ["Draft", "Queued"])

			failed = self.deliveries(recharge)
			self.assertEqual([row.status for row in failed][:2], ["Failed", "Waiting"])
			self.assertEqual(failed[0].tries, 1)
			self.assertIn("broken hook", failed[0].error)
			self.assertGreater(clock.read(failed[0].next_try_at), clock.now())
			self.assertTrue(frappe.db.exists("Error Log", {"reference_name": failed[0].name}))

			problems.clear()
			# Those behind it wait for it, however often they are tried.
			self.assertIn("waits for", attempt.run(deliveries.RETRY, failed[1].name))
			for row in failed:
				self.assertEqual(attempt.run(deliveries.RETRY, row.name), "delivered")
			self.assertEqual(self.states(recharge), ["Draft", "Queued", "Charging", "Succeeded"])
			self.assertEqual({row.status for row in self.deliveries(recharge)}, {"Delivered"})

	def test_a_listener_that_is_given_up_is_told_to_a_person_and_can_be_tried_again(self):
		from crm_recharge.api import events as api

		with self.hooked("on_change"):
			_account, recharge = self.started()
			problems[recharge] = KeyError("broken hook")
			self.tell("Recharge", recharge)
			first = self.deliveries(recharge)[0].name
			for _ in range(12):
				attempt.run(deliveries.RETRY, first)
			row = self.row("Outbox Delivery", first)
			self.assertEqual((row.status, row.next_try_at), ("Failed", None))
			self.assertTrue(frappe.db.exists("Notification Log", {"document_name": first}))
			self.assertNotIn(first, due(deliveries.RETRY))
			problems.clear()
			frappe.set_user(self.manager)
			self.assertEqual(api.deliver_again(first)["status"], "Waiting")
			frappe.db.commit()
			frappe.set_user("Administrator")
			self.assertEqual(attempt.run(deliveries.RETRY, first), "delivered")
			self.assertEqual(self.states(recharge), ["Draft"])

	def test_a_listener_that_writes_into_what_it_hears_of_runs_in_no_circle(self):
		with self.hooked("on_change", handler="save_again"):
			_account, recharge = self.started()
			told = self.tell("Recharge", recharge)
			self.assertEqual(told, 2)
			self.assertEqual(self.tell("Recharge", recharge), 0)

	def deliveries(self, name: str):
		frappe.db.rollback()
		return frappe.get_all(
			"Outbox Delivery",
			{"reference_name": name, "listener": f"{HERE}.listen"},
			["name", "status", "tries", "error", "next_try_at", "position"],
			order_by="position, creation",
		)

	# -- however it is written -------------------------------------------------------------------------------

	def test_what_is_written_past_the_app_is_noticed(self):
		with self.hooked("on_change"):
			_account, recharge = self.started(FAILS)
			self.tell("Recharge", recharge)
			frappe.db.set_value("Recharge", recharge, "status", "Held")
			frappe.db.commit()
			key = changes.key_of("Recharge", recharge)
			self.assertIn(key, due("notice_changes"))
			attempt.run("notice_changes", key)
			self.assertNotIn(key, due("notice_changes"))
			self.tell("Recharge", recharge)
			self.assertIn((recharge, "on_change", "Queued", "Held"), heard)
			frappe.get_doc("Recharge", recharge).db_set("status", "Queued")
			frappe.db.commit()
			self.tell("Recharge", recharge)
			self.assertIn((recharge, "on_change", "Held", "Queued"), heard)

	def test_what_keeps_books_of_the_work_is_nobodys_matter(self):
		_account, recharge = self.started()
		before = frappe.db.count("Outbox Change", {"reference_name": recharge})
		changes.write("Recharge", recharge, {"lease_until": clock.now_datetime(), "lease_owner": "x"})
		changes.write("Recharge", recharge, {"status": "Queued", "next_try_at": None})
		self.assertEqual(frappe.db.count("Outbox Change", {"reference_name": recharge}), before)

	def test_no_code_of_the_app_writes_a_state_past_the_outbox(self):
		app = Path(frappe.get_app_path("crm_recharge"))
		state = "|".join({column for doctype in changes.announced() for column in changes.state_of(doctype)})
		set_value = (
			r"""db\.set_value\(\s*(?:"Recharge(?: Refund| Dispute)?"|DOCTYPE|doctype)\s*,[^()]*?["']?(?:"""
			+ state
			+ r""")["'=]"""
		)
		update = r"""UPDATE `tabRecharge(?: Refund| Dispute)?` SET [^"']*`(?:""" + state + r""")`"""
		past = re.compile(f"{set_value}|{update}", re.S)
		found = [
			f"{path.relative_to(app)}: {match[0][:80]}"
			for path in app.rglob("*.py")
			if "tests" not in path.parts and not path.name.startswith("test_") and "outbox" not in path.parts
			for match in past.finditer(path.read_text())
			if "Recharge Attempt" not in match[0] and "Recharge Card" not in match[0]
		]
		self.assertEqual(found, [])

	def test_a_change_keeps_amounts_exactly(self):
		_account, recharge = self.started()
		after = frappe.get_all("Outbox Change", {"reference_name": recharge}, pluck="new_values", limit=1)[0]
		self.assertEqual(json.loads(after)["amount"], "50.000000000")

	# -- Frappe's own ----------------------------------------------------------------------------------------

	def notification(self, event: str, **more):
		return self.make(
			doctype="Notification",
			name=f"Test {frappe.generate_hash(length=8)}",
			subject="{{ doc.name }} is {{ doc.status }}",
			document_type="Recharge",
			event=event,
			channel="System Notification",
			message="x",
			enabled=1,
			recipients=[{"receiver_by_role": "Credit Manager"}],
			**more,
		)

	def notes(self, recharge: str) -> list[str]:
		frappe.db.rollback()
		return sorted(
			frappe.get_all(
				"Notification Log",
				{"document_name": recharge, "for_user": self.manager, "subject": ["like", "% is %"]},
				pluck="subject",
			)
		)

	def test_a_notification_on_a_value_change(self):
		self.notification("Value Change", value_changed="status", condition="doc.status == 'Succeeded'")
		_account, recharge = self.started()
		self.assertEqual(self.work(recharge), "Succeeded")
		self.assertEqual(self.notes(recharge), [])
		self.tell("Recharge", recharge)
		self.assertEqual(self.notes(recharge), [f"{recharge} is Succeeded"])

	def test_notifications_on_new_submit_and_a_method(self):
		for event, more in (("New", {}), ("Submit", {}), ("Method", {"method": "on_update_after_submit"})):
			with self.subTest(event=event):
				self.notification(event, condition="doc.amount == 50", **more)
				_account, recharge = self.started()
				self.work(recharge)
				self.tell("Recharge", recharge)
				self.assertTrue(self.notes(recharge), event)
				self.forget_listeners()

	def test_a_notification_whose_condition_is_broken_is_tried_again_and_stops_nothing(self):
		broken = self.notification("Value Change", value_changed="status")
		broken.db_set("condition", "1 / 0")
		frappe.db.commit()
		account, recharge = self.started()
		self.assertEqual(self.work(recharge), "Succeeded")
		self.tell("Recharge", recharge)
		rows = frappe.get_all(
			"Outbox Delivery",
			{"reference_name": recharge, "listener": f"Notification: {broken.name}"},
			["name", "status", "outcome"],
			order_by="position, creation",
		)
		self.assertEqual(rows[0].status, "Failed")
		broken.db_set("condition", None)
		frappe.db.commit()
		for row in rows:
			self.assertEqual(attempt.run(deliveries.RETRY, row.name), "delivered")
		self.assertIn(f"{recharge} is Succeeded", self.notes(recharge))

	def test_a_webhook_is_sent_and_sent_again_until_it_is_taken(self):
		receiver = Receiver()
		self.addCleanup(receiver.stop)
		webhook = self.make(
			doctype="Webhook",
			name=f"Test {frappe.generate_hash(length=8)}",
			webhook_doctype="Recharge",
			webhook_docevent="on_change",
			condition="doc.status == 'Succeeded'",
			request_url=receiver.url,
			request_method="POST",
			request_structure="JSON",
			webhook_json='{"name": "{{ doc.name }}", "status": "{{ doc.status }}"}',
			enabled=1,
		)
		_account, recharge = self.started()
		self.work(recharge)
		self.tell("Recharge", recharge)
		self.assertEqual(receiver.posted, [])
		rows = frappe.get_all(
			"Outbox Delivery",
			{"reference_name": recharge, "listener": f"Webhook: {webhook.name}"},
			pluck="name",
			order_by="position, creation",
		)
		receiver.answers = [500, 500, 500]
		with patch("frappe.integrations.doctype.webhook.webhook.sleep"):
			for row in rows:
				attempt.run(deliveries.RETRY, row)
			failed = [row for row in rows if self.value("Outbox Delivery", row, "status") == "Failed"]
			self.assertEqual(len(failed), 1)
			self.assertIn("500", self.value("Outbox Delivery", failed[0], "outcome"))
			receiver.posted.clear()
			attempt.run(deliveries.RETRY, failed[0])
		self.assertEqual(
			[json.loads(posted.body) for posted in receiver.posted],
			[{"name": recharge, "status": "Succeeded"}],
		)
		self.assertEqual(self.value("Outbox Delivery", failed[0], "status"), "Delivered")

	# -- pages that are open ---------------------------------------------------------------------------------

	def test_open_pages_learn_of_it_and_nobody_else(self):
		_account, recharge = self.started()
		sent = []
		with patch(
			"frappe.realtime.emit_via_redis", lambda event, message, room: sent.append((event, message, room))
		):
			self.tell("Recharge", recharge)
		ours = [one for one in sent if recharge in json.dumps(one[1], default=str)]
		rooms = {room for _event, _message, room in ours}
		self.assertEqual(rooms, {f"doc:Recharge/{recharge}", "doctype:Recharge", f"user:{self.owner}"})
		told = {key for _event, message, _room in ours for key in message}
		self.assertLessEqual(told, {"doctype", "name", "account", "modified", "user"}, "no content")


class TestAnnouncing(TakebackCase):
	def test_the_announced_doctypes_are_what_the_hooks_say(self):
		self.assertEqual(set(changes.announced()), {"Recharge", "Recharge Refund", "Recharge Dispute"})
		for doctype in changes.announced():
			meta = frappe.get_meta(doctype)
			self.assertTrue(meta.has_field("changes"))
			for column in changes.state_of(doctype):
				self.assertTrue(column == "docstatus" or meta.has_field(column), column)
