"""Refunds, disputes, usage, lost answers, dead workers and webhooks in any order: the rules hold at every
commit, and at rest the account is what the gateway says it must be."""

import random
from datetime import timedelta

import pytest

from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.tests.takeback_world import D, World


class Chaos:
	"""Draws what happens next, over and over."""

	def __init__(self, seed: int):
		self.random = random.Random(seed)
		self.world = World(100, 60, falls_below=D(30), enabled=self.random.random() < 0.8)
		self.runs = []
		self.requests = 0

	def go(self, steps: int) -> World:
		for _ in range(steps):
			self.random.choice(
				[
					self.ask,
					self.work,
					self.work,
					self.hear,
					self.hear,
					self.gateway,
					self.use,
					self.step,
					self.step,
					self.die,
				]
			)()
		while self.runs:
			self.step()
		self.world.come_to_rest()
		self.world.check_rest()
		return self.world

	def _try(self, act):
		try:
			return act()
		except InvalidRequest:
			return None

	def _start(self, run):
		self.runs.append(run)

	def _recharge(self) -> str:
		return self.random.choice(["R1", "R2"])

	def ask(self):
		self.requests += 1
		key = f"k{self.random.randint(1, 4)}"
		self._start(self.world.request(self._recharge(), self.random.choice([None, 10, 25]), key))

	def work(self):
		if self.world.committed.refunds:
			self.world.gateway.fault = self.random.choice(
				[None, None, "lost_before", "lost_after", "refused"]
			)
			self.world.gateway.pending = self.random.random() < 0.3
			self._start(self.world.work(self.random.choice(list(self.world.committed.refunds))))

	def hear(self):
		news = self.world.gateway.news
		if news:
			self._start(self.world.deliver(self.random.randrange(len(news))))
			if self.random.random() < 0.3:
				news.append(self.runs[-1].news)  # delivered twice

	def gateway(self):
		gateway, intent = self.world.gateway, f"pi_{self._recharge()}"
		match self.random.randint(1, 6):
			case 1:
				gateway.make_refund(intent, D(self.random.choice([5, 40, 100])))
			case 2:
				status = self.random.choice(["needs_response", "needs_response", "warning_needs_response"])
				gateway.open_dispute(intent, self.random.choice([None, D(20)]), status)
			case 3 | 4:
				for name, row in gateway.disputes.items():
					self.decide(name, row)
			case 5:
				for name, row in gateway.refunds.items():
					if self.random.random() < 0.3 and row.status != "failed":
						gateway.change_refund(
							name, {"pending": "succeeded", "succeeded": "failed"}[row.status]
						)
			case 6:
				self.world.now += timedelta(hours=25)
				gateway.keys.clear()

	def decide(self, name, row):
		gateway = self.world.gateway
		if row.status == "warning_needs_response":
			if not gateway.bank.is_disputed(row.intent) and gateway.left(row.intent):
				row.amount = min(row.amount, gateway.left(row.intent))
				gateway.change_dispute(name, "needs_response")
		elif row.status == "needs_response" and self.random.random() < 0.5:
			gateway.change_dispute(name, self.random.choice(["won", "lost"]))

	def use(self):
		if self.world.holder is None:
			self.world.use(self.random.choice([3, 17, 45]))

	def step(self):
		for run in self.random.sample(self.runs, min(len(self.runs), 3)):
			for _ in range(self.random.randint(1, 12)):
				if not self._try(run.step):
					break
		self.runs = [run for run in self.runs if not run.is_over]

	def die(self):
		if self.runs:
			run = self.runs.pop(self.random.randrange(len(self.runs)))
			run.die()


@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens(seed):
	Chaos(seed).go(60)
