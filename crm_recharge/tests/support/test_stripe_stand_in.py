import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal
from statistics import median

from crm_recharge.domain.answers import Outcome
from crm_recharge.gateway.stripe import webhooks
from crm_recharge.tests.support import stripe_cards
from crm_recharge.tests.support.stripe_bank import Bank
from crm_recharge.tests.support.stripe_stand_in import (
	PUBLISHABLE_KEY,
	ROOT,
	SECRET_KEY,
	StandIn,
	parse_form,
)

WEBHOOK_SECRET = "whsec_test"


class Base(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.stripe = StandIn().start()
		cls.gateway = cls.stripe.gateway()

	@classmethod
	def tearDownClass(cls):
		cls.stripe.stop()

	def setUp(self):
		self.stripe.control("reset")
		self.customer = self.stripe.make_customer()

	def call(self, method, path, params=None, key=None, api_key=SECRET_KEY):
		"""(status, headers, body) of a bare HTTP call."""
		data = urllib.parse.urlencode(params or {}).encode() if method == "POST" else None
		request = urllib.request.Request(self.stripe.api_base + path, data, method=method)
		if api_key:
			request.add_header("Authorization", f"Bearer {api_key}")
		if key:
			request.add_header("Idempotency-Key", key)
		try:
			with urllib.request.urlopen(request, timeout=10) as response:
				return response.status, dict(response.headers), json.loads(response.read())
		except urllib.error.HTTPError as error:
			return error.code, dict(error.headers), json.loads(error.read())

	def pay(self, key=None, number="4242424242424242", amount=1000, **more):
		params = {
			"amount": amount,
			"currency": "usd",
			"customer": self.customer,
			"payment_method": self.stripe.make_card(self.customer, number),
			"confirm": "true",
			"off_session": "true",
		}
		return self.call("POST", "/v1/payment_intents", params | more, key)

	def total(self):
		return self.stripe.captured_total(self.customer)


class TestKeys(Base):
	def test_a_kept_answer_is_repeated_word_for_word(self):
		card = self.stripe.make_card(self.customer)
		for number, status in ((card, 200), (self.stripe.make_card(self.customer, "4000000000009995"), 402)):
			first = self.pay(key=number, payment_method=number)
			again = self.pay(key=number, payment_method=number)
			self.assertEqual((first[0], again[0], again[2]), (status, status, first[2]))
			self.assertNotIn("Idempotent-Replayed", first[1])
			self.assertEqual(again[1]["Idempotent-Replayed"], "true")
		self.assertEqual(self.total(), 10)

	def test_other_content_is_refused(self):
		card = self.stripe.make_card(self.customer)
		self.pay(key="k", payment_method=card)
		for more in ({"amount": 1001}, {"metadata[x]": "1"}):
			status, _, body = self.pay(key="k", payment_method=card, **more)
			self.assertEqual((status, body["error"]["type"]), (400, "idempotency_error"))
		status, _, _ = self.call("POST", "/v1/customers", {"name": "x"}, "k")
		self.assertEqual(status, 400)
		self.assertEqual(self.total(), 10)

	def test_what_was_refused_before_it_began_is_not_kept(self):
		card = self.stripe.make_card(self.customer)
		self.assertEqual(self.pay(key="k", payment_method=card, amount=1)[0], 400)
		self.assertEqual(
			self.pay(key="k", payment_method=card, nonsense=1)[2]["error"]["code"], "parameter_unknown"
		)
		self.assertEqual(self.pay(key="k", payment_method=card)[0], 200)

	def test_a_key_in_use(self):
		card = self.stripe.make_card(self.customer)
		self.stripe.faults.slow(0.4)
		statuses = []
		threads = [
			threading.Thread(target=lambda: statuses.append(self.pay(key="k", payment_method=card)[0]))
			for _ in range(6)
		]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join()
		self.assertEqual(sorted(statuses), [200, 409, 409, 409, 409, 409])
		self.assertEqual(self.total(), 10)

	def test_a_day_later_the_key_is_forgotten(self):
		card = self.stripe.make_card(self.customer)
		self.pay(key="k", payment_method=card)
		self.stripe.control("forget_keys")
		self.pay(key="k", payment_method=card)
		self.assertEqual(self.total(), 20)

	def test_without_a_key_every_call_counts(self):
		self.pay()
		self.pay()
		self.assertEqual(self.total(), 20)


class TestRules(Base):
	def test_who_may_call(self):
		for api_key, path, status in (
			(None, "/v1/customers", 401),
			("nonsense", "/v1/customers", 401),
			("sk_test_wrong", "/v1/customers", 401),
			("rk_test_powerless", "/v1/customers", 403),
			(PUBLISHABLE_KEY, "/v1/customers", 403),
			(SECRET_KEY, "/v1/customers", 200),
			(SECRET_KEY, "/v1/elsewhere", 404),
		):
			self.assertEqual(self.call("GET", path, api_key=api_key)[0], status)

	def test_a_browser_needs_the_client_secret(self):
		setup, secret = self.gateway.create_setup_intent(self.customer, key="s")
		data = {"payment_method_data[type]": "card", "payment_method_data[card][number]": "4242424242424242"}
		path = f"/v1/setup_intents/{setup}/confirm"
		self.assertEqual(
			self.call("POST", path, data | {"client_secret": "guess"}, api_key=PUBLISHABLE_KEY)[0], 404
		)
		self.assertEqual(
			self.call("POST", path, data | {"client_secret": secret}, api_key=PUBLISHABLE_KEY)[0], 200
		)

	def test_lists(self):
		made = [self.pay()[2]["id"] for _ in range(5)]
		path = f"/v1/payment_intents?customer={self.customer}"
		page = self.call("GET", path + "&limit=2")[2]
		self.assertEqual(([i["id"] for i in page["data"]], page["has_more"]), (made[:2:-1], True))
		page = self.call("GET", path + f"&limit=3&starting_after={made[3]}")[2]
		self.assertEqual(([i["id"] for i in page["data"]], page["has_more"]), (made[2::-1], False))
		later = int(time.time()) + 100
		self.assertEqual(self.call("GET", path + f"&created[gte]={later}")[2]["data"], [])
		self.assertEqual(len(self.call("GET", path + f"&created[lt]={later}")[2]["data"]), 5)
		self.assertEqual(self.call("GET", path + "&limit=101")[0], 400)
		self.assertEqual(self.call("GET", path + "&limit=x")[0], 400)
		self.assertEqual(self.call("GET", path + "&starting_after=pi_none")[0], 400)
		self.assertEqual(self.call("GET", "/v1/payment_intents?customer=cus_none")[0], 400)

	def test_amounts_stripe_does_not_take(self):
		for amount, currency in (
			(0, "usd"),
			(-5, "usd"),
			(49, "usd"),
			("1.5", "usd"),
			(10**8, "usd"),
			(1001, "kwd"),
			(150, "isk"),
			(500, "dollars"),
		):
			with self.subTest(amount=amount, currency=currency):
				self.assertEqual(self.pay(amount=amount, currency=currency)[0], 400)
		self.assertEqual(self.stripe.intents(), [])

	def test_cancelling_by_state(self):
		paid, declined = (
			self.pay()[2]["id"],
			self.pay(number="4000000000009995")[2]["error"]["payment_intent"]["id"],
		)

		def cancel(id_):
			return self.call("POST", f"/v1/payment_intents/{id_}/cancel")

		status, _, body = cancel(paid)
		self.assertEqual((status, body["error"]["payment_intent"]["status"]), (400, "succeeded"))
		self.assertEqual(cancel(declined)[2]["status"], "canceled")
		self.assertEqual(cancel(declined)[0], 400)

	def test_books_of_the_stand_in_agree(self):
		paid = self.pay(amount=10000)[2]["id"]
		self.call("POST", "/v1/refunds", {"payment_intent": paid, "amount": 2500})
		self.stripe.control("dispute", intent=self.pay(amount=5000)[2]["id"])
		moves = self.stripe.all("balance_transaction")
		self.assertEqual(sum(m["amount"] for m in moves), 10000 - 2500 + 5000 - 5000)
		self.assertEqual(sum(m["fee"] for m in moves), 320 + 175 + 1500)
		self.assertEqual(all(m["net"] == m["amount"] - m["fee"] for m in moves), True)

	def test_shared_test_methods_become_new_ones(self):
		first, second = (self.gateway.attach("pm_card_visa", self.customer) for _ in range(2))
		self.assertNotEqual(first.payment_method, second.payment_method)
		self.assertEqual(first.fingerprint, second.fingerprint)

	def test_capture_by_hand(self):
		intent = self.pay(capture_method="manual")[2]
		self.assertEqual((intent["status"], self.total()), ("requires_capture", 0))
		self.call("POST", f"/v1/payment_intents/{intent['id']}/capture", {"amount_to_capture": 700})
		self.assertEqual(self.total(), 7)

	def test_numbers(self):
		for card in stripe_cards.CARDS:
			self.assertIs(stripe_cards.card_of(card.number), card)
		for number in ("4242424242424241", "12", "", "x"):
			with self.assertRaises(KeyError):
				stripe_cards.card_of(number)

	def test_forms(self):
		self.assertEqual(
			parse_form("a=1&b[c]=2&b[d][e]=3&f[0]=x&f[1]=y&g[]=z&g[]=w&h="),
			{"a": "1", "b": {"c": "2", "d": {"e": "3"}}, "f": ["x", "y"], "g": ["z", "w"], "h": ""},
		)

	def test_checkout(self):
		line = {
			"mode": "payment",
			"customer": self.customer,
			"success_url": "http://localhost/thanks?s={CHECKOUT_SESSION_ID}",
			"line_items[0][quantity]": 2,
			"line_items[0][price_data][currency]": "eur",
			"line_items[0][price_data][unit_amount]": 1500,
			"line_items[0][price_data][product_data][name]": "Credits",
			"payment_intent_data[metadata][recharge]": "R-9",
		}
		session = self.call("POST", "/v1/checkout/sessions", line)[2]
		self.assertEqual((session["amount_total"], session["payment_status"]), (3000, "unpaid"))
		with urllib.request.urlopen(session["url"]) as page:
			self.assertIn("Card number", page.read().decode())
		done = self.stripe.control("complete_checkout", session=session["id"])
		self.assertEqual((done["status"], done["payment_status"]), ("complete", "paid"))
		self.assertEqual(self.stripe.intents()[0]["metadata"], {"recharge": "R-9"})
		self.assertEqual(self.stripe.captured_total(self.customer, "EUR"), 30)

		slow = self.call("POST", "/v1/checkout/sessions", line)[2]["id"]
		self.assertEqual(
			self.stripe.control("complete_checkout", session=slow, delayed=True)["payment_status"], "unpaid"
		)
		self.stripe.control("finish_checkout", session=slow)
		self.assertEqual(self.call("GET", f"/v1/checkout/sessions/{slow}")[2]["payment_status"], "paid")
		types = {e["type"] for e in self.stripe.all("event")}
		self.assertLessEqual(
			{"checkout.session.completed", "checkout.session.async_payment_succeeded"}, types
		)

		left = self.call("POST", "/v1/checkout/sessions", line)[2]["id"]
		self.assertEqual(self.call("POST", f"/v1/checkout/sessions/{left}/expire")[2]["status"], "expired")
		self.assertEqual(self.call("POST", f"/v1/checkout/sessions/{left}/expire")[0], 400)

	def test_controls_say_what_is_wrong(self):
		for name, arguments, says in (
			("no_such", {}, "no control"),
			("add_fault", {"kind": "earthquake"}, "lost_before"),
			("add_fault", {"kind": "slow", "hours": 1}, "hours"),
			("set_webhooks", {"url": "http://x", "secret": "s", "mode": "by pigeon"}, "out_of_order"),
			("make_card", {"customer": "cus_none"}, "cus_none"),
			("make_card", {}, "customer"),
		):
			with self.subTest(name), self.assertRaisesRegex(RuntimeError, says):
				self.stripe.control(name, **arguments)


class TestFaults(Base):
	def test_orders_are_counted_and_matched(self):
		other = self.stripe.make_customer("Other")
		self.stripe.faults.error_before(count=2, skip=1, where={"customer": self.customer})
		self.assertEqual([self.pay()[0] for _ in range(4)], [200, 503, 503, 200])
		self.stripe.faults.error_before(count=None, where={"customer": other})
		self.assertEqual(self.pay()[0], 200)
		self.stripe.faults.error_before("* /v1/refunds*", count=None, status=500)
		self.assertEqual(self.call("GET", "/v1/refunds")[0], 500)
		self.assertEqual(self.pay()[0], 200)
		self.assertEqual([fault["hits"] for fault in self.stripe.faults.list()], [2, 0, 1])
		self.stripe.faults.clear()
		self.assertEqual(self.call("GET", "/v1/refunds")[0], 200)

	def test_slow_after(self):
		self.stripe.faults.slow_after(0.5)
		thread = threading.Thread(target=self.pay)
		thread.start()
		time.sleep(0.25)
		self.assertEqual(self.total(), 10)
		thread.join()

	def test_a_window_without_connections(self):
		self.stripe.faults.refuse(0.5)
		with self.assertRaises(OSError):
			self.call("GET", "/v1/customers")
		time.sleep(0.7)
		self.assertEqual(self.call("GET", "/v1/customers")[0], 200)

	def test_the_log_tells_what_was_met(self):
		self.stripe.faults.lost_after()
		with self.assertRaises(OSError):
			self.pay(key="k-1")
		entry = self.stripe.log()[-1]
		self.assertEqual((entry["fault"], entry["key"], entry["status"]), ("lost_after", "k-1", None))


class Endpoint(http.server.BaseHTTPRequestHandler):
	def do_POST(self):
		body = self.rfile.read(int(self.headers["Content-Length"]))
		event = webhooks.verify(body, self.headers["Stripe-Signature"], WEBHOOK_SECRET)
		self.server.got.append((event, self.headers["Host"]))
		self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
		self.send_header("Content-Length", "0")
		self.end_headers()

	def log_message(self, *args):
		pass


class TestWebhooks(Base):
	def setUp(self):
		super().setUp()
		self.endpoint = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
		self.endpoint.got, self.endpoint.answers = [], []
		threading.Thread(target=self.endpoint.serve_forever, args=(0.02,), daemon=True).start()
		self.url = f"http://127.0.0.1:{self.endpoint.server_address[1]}/hook"

	def tearDown(self):
		self.endpoint.shutdown()
		self.endpoint.server_close()

	def types(self, mode, **more):
		self.endpoint.got.clear()
		self.stripe.webhooks.to(self.url, WEBHOOK_SECRET, mode, **more)
		self.pay()
		self.assertTrue(self.stripe.webhooks.wait(5))
		return [event["type"] for event, _ in self.endpoint.got]

	ORDER = ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded")

	def test_modes(self):
		self.assertEqual(self.types("once"), list(self.ORDER))
		self.assertEqual(sorted(self.types("twice")), sorted(self.ORDER * 2))
		self.assertEqual(self.types("out_of_order", seconds=0.2), list(reversed(self.ORDER)))
		self.assertEqual(self.types("never"), [])
		started = time.monotonic()
		self.assertEqual(self.types("late", seconds=0.4), list(self.ORDER))
		self.assertGreaterEqual(time.monotonic() - started, 0.4)
		self.assertEqual(
			self.types("once", events=["payment_intent.succeeded"], host="shop.example"), [self.ORDER[2]]
		)
		self.assertEqual(self.endpoint.got[0][1], "shop.example")

	def test_twice_is_the_same_event(self):
		self.types("twice", events=["payment_intent.succeeded"])
		self.assertEqual(len({event["id"] for event, _ in self.endpoint.got}), 1)

	def test_a_refusal_is_tried_again(self):
		self.endpoint.answers[:] = [500]
		self.types("once", events=["payment_intent.succeeded"])
		self.assertEqual([d["status"] for d in self.stripe.webhooks.deliveries()], [500, 200])

	def test_an_event_can_be_sent_again(self):
		self.types("once", events=["payment_intent.succeeded"])
		event = self.endpoint.got[0][0]
		self.stripe.webhooks.deliver(event["id"])
		self.stripe.webhooks.wait()
		self.assertEqual([e["id"] for e, _ in self.endpoint.got], [event["id"]] * 2)
		self.assertEqual(event["data"]["object"]["status"], "succeeded")

	def test_nobody_there(self):
		self.stripe.webhooks.to("http://127.0.0.1:9/", WEBHOOK_SECRET, retries=0)
		self.pay()
		self.assertTrue(self.stripe.webhooks.wait(5))
		self.assertEqual({d["status"] for d in self.stripe.webhooks.deliveries()}, {"ConnectionRefusedError"})


class TestProcess(unittest.TestCase):
	def test_payments_and_keys_outlive_a_restart(self):
		with tempfile.TemporaryDirectory() as folder:
			state = os.path.join(folder, "state.jsonl")
			stripe = StandIn(state=state).start()
			customer = stripe.make_customer()
			card = stripe.make_card(customer)
			order = {"amount": Decimal(5), "currency": "USD", "customer": customer, "payment_method": card}
			first = stripe.gateway().charge(key="k", **order)
			stripe.stop(kill=True)
			with open(state, "a") as journal:
				journal.write('["payment_intent", "pi_cut')
			stripe = StandIn(state=state).start()
			try:
				again = stripe.gateway().charge(key="k", **order)
				self.assertEqual((again.outcome, again.intent), (Outcome.SUCCEEDED, first.intent))
				self.assertEqual(stripe.captured_total(customer), 5)
			finally:
				stripe.stop()

	def test_it_ends_with_its_parent(self):
		script = textwrap.dedent(
			"""
			import sys, time
			from crm_recharge.tests.support.stripe_stand_in import StandIn
			print(StandIn().start().pid, flush=True)
			time.sleep(60)
			"""
		)
		parent = subprocess.Popen(
			[sys.executable, "-c", script],
			stdout=subprocess.PIPE,
			text=True,
			cwd=ROOT,
			env=os.environ | {"PYTHONPATH": str(ROOT)},
		)
		child = int(parent.stdout.readline())
		os.kill(child, 0)
		parent.kill()
		parent.wait()
		parent.stdout.close()
		for _ in range(40):
			try:
				os.kill(child, 0)
			except ProcessLookupError:
				return
			time.sleep(0.1)
		os.kill(child, signal.SIGKILL)
		self.fail("the stand-in outlived its parent by four seconds")

	def test_as_a_command(self):
		command = [sys.executable, "-m", "crm_recharge.tests.support.stripe_stand_in", "--port", "0"]
		process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
		try:
			line = process.stdout.readline()
			self.assertRegex(line, r"^Stand-in for Stripe ready at http://127\.0\.0\.1:\d+$")
			stripe = StandIn.at(line.split()[-1])
			self.assertEqual(stripe.captured_total(stripe.make_customer()), 0)
			port = line.rsplit(":", 1)[1].strip()
			second = subprocess.run(
				[*command[:-1], port], capture_output=True, text=True, cwd=ROOT, timeout=20
			)
			self.assertNotEqual(second.returncode, 0)
			self.assertIn(f"Cannot listen on 127.0.0.1:{port}", second.stderr)
		finally:
			process.terminate()
			process.wait(10)
			process.stdout.close()

	def test_a_call_costs_little(self):
		with StandIn() as stripe:
			customer = stripe.make_customer()
			card, gateway = stripe.make_card(customer), stripe.gateway()
			took = []
			for number in range(200):
				started = time.perf_counter()
				gateway.charge(
					key=f"k{number}",
					amount=Decimal(5),
					currency="USD",
					customer=customer,
					payment_method=card,
				)
				took.append((time.perf_counter() - started) * 1000)
			self.assertLess(median(took), 15)
			self.assertLess(median(took[-50:]), 15)

	def test_many_at_once_on_one_journal(self):
		with tempfile.TemporaryDirectory() as folder:
			state = os.path.join(folder, "state.jsonl")
			with StandIn(state=state) as stripe:
				customer = stripe.make_customer()
				card = stripe.make_card(customer)

				def work(worker):
					gateway = stripe.gateway()
					for number in range(20):
						gateway.charge(
							key=f"{worker}-{number // 2}",
							amount=Decimal(1),
							currency="USD",
							customer=customer,
							payment_method=card,
						)

				threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
				for thread in threads:
					thread.start()
				for thread in threads:
					thread.join()
				self.assertEqual(stripe.captured_total(customer), 80)
			bank = Bank(state)
			paid = [i for i in bank.all("payment_intent") if i["status"] == "succeeded"]
			self.assertEqual((len(paid), len(bank.keys)), (80, 81))
