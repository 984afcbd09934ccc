"""What people read: one as one, days and numbers as the site writes them, on pages, in mails and in the desk alike."""

import frappe

from crm_recharge.domain.reorder.due import HeldBack
from crm_recharge.reorder import words
from crm_recharge.reorder.answers import actions
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.sending import reasons, run
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, html_of, text_of
from crm_recharge.tests.support.reorder_case import day, make_item


class TestWords(SendingCase):
	def style(self, **values):
		"""As if the site had these formats."""
		before = {key: frappe.db.get_default(key) for key in values}
		self.addCleanup(self._set, before)
		self._set(values)

	def _set(self, values: dict):
		for key, value in values.items():
			frappe.db.set_default(key, value)
		frappe.db.commit()
		frappe.local.user_date_format = None

	def test_one_is_one(self):
		self.assertEqual([words.days(n) for n in (0, 1, 2, 1.5)], ["0 days", "1 day", "2 days", "1.5 days"])
		self.assertEqual([words.items(n) for n in (1, 1200)], ["1 item", "1,200 items"])
		self.assertEqual(words.customers(1), "1 customer")
		self.assertEqual(words.seconds(1), "1 second")
		self.assertEqual(preferences.frequency_text(1), "At most one mail in 1 day")
		self.assertEqual(actions.every(1), "At most once a day")
		self.assertEqual(actions.in_days(1), "In 1 day")

	def test_reasons(self):
		today = day(0).toordinal()
		for code, figures, text in (
			(
				"too_few_purchases",
				{"days": 1, "least": 2},
				"It was bought on 1 day; at least 2 are asked for.",
			),
			("too_soon", {"last": today, "days": 1}, "there is at most one in 1 day."),
		):
			self.assertIn(text, reasons.sentence(HeldBack(code, figures)))

	def test_numbers_and_days_as_the_site_writes_them(self):
		self.style(number_format="#.###,##", date_format="dd.mm.yyyy")
		self.assertEqual(
			[words.number(n) for n in (1234.5, "0.25", 2)],
			["1.234,5", "0,25", "2"],
		)
		self.assertEqual(words.rounded(1234.567, 1), "1.234,6")
		self.assertEqual(words.day("2026-12-09"), "09.12.2026")
		item = make_item(max_discount=0)
		self.rule(applies_to="Item", item_code=item, discount_percent=12.5, offer_days=3)
		customer = self.buyer(item, last_quantity=2.5)
		self.remind(customer)
		mail = self.mail(customer)
		for body in (html_of(mail), text_of(mail)):
			self.assertIn("12,5 % off", body)
			self.assertIn("2,5", body)
			self.assertIn(f"Good until {frappe.utils.format_date(day(-3), 'dd.MM.yyyy')}", body)
			self.assertIn(f"on {frappe.utils.format_date(day(0), 'dd.MM.yyyy')} to remind you", body)

	def test_a_mail_says_how_long_ago_in_words(self):
		for ago, said in ((1, "Your last order was yesterday."), (2, "Your last order was 2 days ago.")):
			customer = self.buyer(last_day=day(ago))
			self.remind(customer)
			mail = self.mail(customer)
			self.assertIn(said, html_of(mail))
			self.assertIn(said, text_of(mail))

	def test_pieces_need_no_name(self):
		customer = self.buyer()
		self.remind(customer)
		self.assertIn("(× 2)", text_of(self.mail(customer)))
		self.assertNotIn("Nos", text_of(self.mail(customer)))

	def test_a_run_of_one(self):
		self.buyer()
		done = frappe.get_doc("Reorder Run", run.send_all())
		self.assertEqual(done.summary, "1 customer looked at; 1 mail queued with 1 item.")
