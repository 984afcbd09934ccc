"""What can go wrong between a client and Stripe, on order."""

import fnmatch
import itertools
import threading
from dataclasses import asdict, dataclass, field

KINDS = {
	"lost_before": "the connection breaks before anything happened",
	"lost_after": "it happens, then the connection breaks before the answer",
	"error_before": "a 5xx (`status`, 503) without effect, not kept under the key",
	"error_after": "it happens, and a 5xx (`status`, 500) is answered; kept under the key, as Stripe does, unless"
	" `sticky` is false",
	"rate_limit": "429 with `retry_after` seconds (1), without effect",
	"conflict": "409 idempotency_key_in_use, without effect",
	"slow": "waits `seconds` (1), then it happens and is answered",
	"slow_after": "it happens, then waits `seconds` (1) before the answer",
	"processing": "the payment stays `processing` for `seconds` (1) and is decided then",
	"respond": "answers `status` (200) with `body` as it is, without effect",
}
_numbers = itertools.count(1)


@dataclass
class Fault:
	"""One order: `kind` for the next `count` requests (None: all) that match, after letting `skip` pass.

	`route` is a pattern such as "POST /v1/payment_intents" or "* /v1/payment_intents/*"; `where` holds parameters
	the request must carry (`{"customer": "cus_1"}`).
	"""

	kind: str
	route: str = "*"
	count: int | None = 1
	skip: int = 0
	where: dict = field(default_factory=dict)
	seconds: float = 1
	status: int | None = None
	retry_after: float = 1
	sticky: bool = True
	body: str = ""
	hits: int = 0
	id: int = 0


class Faults:
	"""The orders in force, for the server's threads."""

	def __init__(self):
		self._lock, self._orders = threading.Lock(), []

	def add(self, order: dict) -> dict:
		"""Take an order; ValueError for one that makes no sense."""
		if order.get("kind") not in KINDS:
			raise ValueError(f"Unknown fault {order.get('kind')!r}; there are: {', '.join(KINDS)}")
		try:
			fault = Fault(**order)
		except TypeError as error:
			raise ValueError(str(error)) from None
		fault.id = next(_numbers)
		with self._lock:
			self._orders.append(fault)
		return asdict(fault)

	def clear(self):
		"""Forget all orders."""
		with self._lock:
			self._orders.clear()

	def list(self) -> list[dict]:
		"""The orders, with how often each has been carried out."""
		with self._lock:
			return [asdict(fault) for fault in self._orders]

	def draw(self, method: str, path: str, params: dict) -> Fault | None:
		"""The fault this request meets, counted."""
		with self._lock:
			for fault in self._orders:
				if fault.count is not None and fault.hits >= fault.count:
					continue
				if not fnmatch.fnmatchcase(f"{method} {path}", fault.route):
					continue
				if any(str(params.get(name)) != str(value) for name, value in fault.where.items()):
					continue
				if fault.skip > 0:
					fault.skip -= 1
					continue
				fault.hits += 1
				return fault
		return None
