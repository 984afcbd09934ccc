import unittest
from decimal import Decimal

from crm_recharge.gateway.stripe import minor_units
from crm_recharge.gateway.stripe.minor_units import from_minor, to_minor

try:
	from hypothesis import given, settings
	from hypothesis import strategies as st
except ImportError:
	given = None

# As https://docs.stripe.com/currencies has them, written once more: the table is tried against these.
WHOLE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
THOUSANDTHS = "BHD JOD KWD OMR TND".split()
WHOLE_SENT_AS_HUNDREDTHS = "ISK UGX".split()
CURRENCIES = ("USD", "EUR", "INR", "HUF", "TWD", *WHOLE, *THOUSANDTHS, *WHOLE_SENT_AS_HUNDREDTHS)


class TestMinorUnits(unittest.TestCase):
	def test_each_kind_of_currency(self):
		for amount, currency, minor in (
			("19.99", "USD", 1999),
			("19.99", "usd", 1999),
			("0.29", "USD", 29),
			("1.10", "EUR", 110),
			("450", "USD", 45000),
			("500", "JPY", 500),
			("500.000000000", "JPY", 500),
			("5", "UGX", 500),
			("5", "ISK", 500),
			("5.12", "KWD", 5120),
			("5.120", "KWD", 5120),
			("10.45", "HUF", 1045),
			("0", "USD", 0),
		):
			with self.subTest(amount=amount, currency=currency):
				self.assertEqual(to_minor(Decimal(amount), currency), minor)
				self.assertEqual(from_minor(minor, currency), Decimal(amount))

	def test_whole_numbers_are_amounts(self):
		self.assertEqual(to_minor(7, "USD"), 700)

	def test_finer_than_the_currency_is_refused_not_rounded(self):
		for amount, currency in (
			("0.001", "USD"),
			("19.999", "EUR"),
			("500.5", "JPY"),
			("5.125", "KWD"),
			("1.5", "ISK"),
			("1.5", "UGX"),
			("1E-30", "USD"),
		):
			with self.subTest(amount=amount, currency=currency), self.assertRaisesRegex(ValueError, currency):
				to_minor(Decimal(amount), currency)

	def test_floats_and_the_like_are_a_mistake(self):
		for amount in (19.99, "19.99", None, True):
			with self.subTest(amount=amount), self.assertRaises(TypeError):
				to_minor(amount, "USD")
		for minor in (1.0, "100", None, True):
			with self.subTest(minor=minor), self.assertRaises(TypeError):
				from_minor(minor, "USD")

	def test_not_an_amount(self):
		for amount in ("NaN", "Infinity", "-Infinity", "sNaN", "-0.01"):
			with self.subTest(amount=amount), self.assertRaises(ValueError):
				to_minor(Decimal(amount), "USD")

	def test_not_a_currency(self):
		for currency in ("", "US", "USDT", "U$D", "ÜSD", None, 840):
			with self.subTest(currency=currency), self.assertRaises(ValueError):
				to_minor(Decimal(1), currency)

	def test_the_most_stripe_takes(self):
		self.assertEqual(to_minor(Decimal("999999.99"), "USD"), 99999999)
		for amount, currency in (
			("1000000", "USD"),
			("1E+30", "USD"),
			("100000000", "KRW"),
			("1000000", "ISK"),
		):
			with (
				self.subTest(currency=currency),
				self.assertRaisesRegex(ValueError, "more than Stripe takes"),
			):
				to_minor(Decimal(amount), currency)
		self.assertEqual(to_minor(Decimal("9999999999.99"), "IDR"), 999999999999)
		self.assertEqual(minor_units.maximum_charge("USD"), Decimal("999999.99"))
		self.assertEqual(minor_units.maximum_charge("ISK"), Decimal("999999"))
		self.assertEqual(minor_units.maximum_charge("KWD"), Decimal("99999.99"))

	def test_the_least_stripe_takes(self):
		self.assertEqual(minor_units.minimum_charge("usd"), Decimal("0.50"))
		self.assertEqual(minor_units.minimum_charge("HUF"), Decimal("175.00"))
		self.assertIsNone(minor_units.minimum_charge("KWD"))


if given:
	currencies = st.sampled_from(CURRENCIES)

	class TestMinorUnitsAlways(unittest.TestCase):
		@settings(max_examples=400, deadline=None)
		@given(st.integers(min_value=0, max_value=99999), currencies)
		def test_there_and_back(self, units, currency):
			amount = Decimal(units).scaleb(-minor_units.decimals(currency))
			minor = to_minor(amount, currency)
			self.assertEqual(from_minor(minor, currency), amount)
			self.assertLessEqual(minor, minor_units.maximum_minor(currency))
			if currency in THOUSANDTHS:
				self.assertEqual(minor % 10, 0)
			if currency in WHOLE_SENT_AS_HUNDREDTHS:
				self.assertEqual(minor % 100, 0)

		@settings(max_examples=400, deadline=None)
		@given(st.integers(min_value=0, max_value=10**15), currencies)
		def test_what_stripe_sends_is_kept_exactly(self, minor, currency):
			amount = from_minor(minor, currency)
			scale = 1 if currency in WHOLE else 1000 if currency in THOUSANDTHS else 100
			self.assertEqual(amount * scale, minor)

		@settings(max_examples=400, deadline=None)
		@given(st.decimals(allow_nan=True, allow_infinity=True), currencies)
		def test_any_decimal_is_converted_exactly_or_refused(self, amount, currency):
			try:
				minor = to_minor(amount, currency)
			except ValueError:
				return
			self.assertIsInstance(minor, int)
			self.assertEqual(from_minor(minor, currency), amount)
