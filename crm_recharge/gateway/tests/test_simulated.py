import unittest
from datetime import datetime, timezone

from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.gateway.simulated import CAPABILITIES, SimulatedGateway
from crm_recharge.gateway.tests.conformance import Conformance

BEHAVIOURS = {
	"good": "ok",
	"declined": "declined",
	"authentication": "authentication",
	"delayed": "processing",
}


class TestSimulatedGateway(Conformance, unittest.TestCase):
	capabilities = CAPABILITIES

	def setUp(self):
		self.gateway = SimulatedGateway(Clock(datetime(2026, 3, 1, 12, tzinfo=timezone.utc)))
		self.customer = self.gateway.create_customer(key="customer", name="Conformance")

	def saved(self, kind: str) -> str:
		return self.gateway.save_card(self.customer, BEHAVIOURS[kind])

	def now(self) -> datetime:
		return self.gateway.clock.now()
