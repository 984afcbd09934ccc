"""What is committed, who holds which lock, and transactions that are forgotten unless they commit."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from operator import attrgetter
from typing import Any

from crm_recharge.domain.simulated import rows
from crm_recharge.domain.simulated.queue import Queue


class Locked(Exception):
	"""Another transaction holds this row. Try again when it has ended."""


class DuplicateKey(Exception):
	"""A row with this key is there already."""


class Table:
	"""Committed rows by key, in the order of their coming, with an index by parent."""

	def __init__(self, key: str, parent: str | None = None) -> None:
		self.key_of = attrgetter(key)
		self.parent_of = attrgetter(parent) if parent else lambda row: None
		self.rows: dict[str, Any] = {}
		self.children: dict[str, Any] = {}

	def write(self, row: Any) -> None:
		key = self.key_of(row)
		if key not in self.rows:
			self.children.setdefault(self.parent_of(row), []).append(key)  # type: ignore[arg-type]
		self.rows[key] = row


class World:
	"""The database and the queue of the simulated site."""

	def __init__(self, queue: Queue | None = None) -> None:
		self.queue = queue or Queue()
		self.tables = {
			rows.CreditAccount: Table("name"),
			rows.CreditLot: Table("name", "account"),
			rows.LedgerRow: Table("request_key", "account"),
			rows.AutoRechargeSetting: Table("account"),
			rows.RechargeCard: Table("name", "account"),
			rows.Recharge: Table("name", "account"),
			rows.RechargeAttempt: Table("name", "recharge"),
			rows.Decision: Table("name", "account"),
			rows.Notice: Table("name", "recharge"),
			rows.RefundDue: Table("intent", "recharge"),
			rows.Difference: Table("mark", "recharge"),
			rows.Refund: Table("name", "recharge"),
			rows.Dispute: Table("name", "recharge"),
			rows.RequestKey: Table("key"),
		}
		self.locks: dict[tuple[Any, ...], Transaction] = {}
		self.log: list[tuple[Any, ...]] = []
		"""What has been committed, as (row before or None, row after), for whoever checks it."""
		self._numbers = count(1)

	def new_name(self, prefix: str) -> str:
		"""A name nobody has yet, rising."""
		return f"{prefix}{next(self._numbers):07}"

	def begin(self) -> "Transaction":
		"""A new transaction; after its commit or rollback it may be used for the next."""
		return Transaction(self)

	# Committed rows, as seen from outside.

	def get(self, kind: type, key: Any) -> Any:
		"""The committed row of `kind` with this key, or None."""
		return self.tables[kind].rows.get(key)

	def all(self, kind: type, parent: Any = None) -> list[Any]:
		"""Committed rows of `kind` in the order of their coming, all or those of one parent."""
		table = self.tables[kind]
		if parent is None:
			return list(table.rows.values())
		return [table.rows[key] for key in table.children.get(parent, ())]

	def write(self, row: Any) -> None:
		"""Commit one row."""
		table = self.tables[type(row)]
		self.log.append((table.rows.get(table.key_of(row)), row))
		table.write(row)

	def change(self, kind: type, key: Any, **values: Any) -> None:
		"""Somebody changes a row, at a moment when nobody holds it."""
		self.write(replace(self.get(kind, key), **values))

	def add(self, *new_rows: Any) -> None:
		"""Put rows in and commit them: for setting a scene."""
		transaction = self.begin()
		for row in new_rows:
			transaction.insert(row)
		transaction.commit()


class Transaction:
	"""Writes nobody else sees until `commit`, and row locks that end with it."""

	def __init__(self, world: World) -> None:
		self.world = world
		self._written: dict[tuple[Any, ...], object] = {}
		self._inserted: set[tuple[Any, ...]] = set()
		self._locks: set[tuple[Any, ...]] = set()
		self._jobs: list[tuple[str, str]] = []

	@property
	def is_idle(self) -> bool:
		"""Nothing locked and nothing written: the gateway may be asked."""
		return not (self._locks or self._written or self._jobs)

	def lock(self, kind: type, key: Any) -> None:
		"""Lock one row until the transaction ends. Raises Locked when another holds it."""
		holder = self.world.locks.setdefault((kind, key), self)
		if holder is not self:
			raise Locked(f"{kind.__name__} {key}")
		self._locks.add((kind, key))

	def get(self, kind: type, key: Any) -> Any:
		"""The row as this transaction sees it: its own writes, else what is committed now."""
		return self._written.get((kind, key)) or self.world.get(kind, key)

	def all(self, kind: type, parent: Any) -> list[Any]:
		"""Rows of one parent as this transaction sees them."""
		table = self.world.tables[kind]
		keys = list(table.children.get(parent, ()))
		keys += [
			key
			for (written_kind, key), row in self._written.items()
			if written_kind is kind and key not in table.rows and table.parent_of(row) == parent
		]
		return [self.get(kind, key) for key in keys]

	def insert(self, row: Any) -> None:
		"""Add a row. Raises DuplicateKey."""
		kind, key = type(row), self.world.tables[type(row)].key_of(row)
		if self.get(kind, key) is not None:
			raise DuplicateKey(f"{kind.__name__} {key}")
		self._written[kind, key] = row
		self._inserted.add((kind, key))

	def update(self, kind: type, key: Any, **values: Any) -> None:
		"""Change a row. Raises KeyError when there is none."""
		row = self.get(kind, key)
		if row is None:
			raise KeyError(f"{kind.__name__} {key}")
		self._written[kind, key] = replace(row, **values)

	def enqueue_after_commit(self, job: str, recharge: str) -> None:
		"""Put a job in the queue once this is committed."""
		self._jobs.append((job, recharge))

	def commit(self) -> None:
		"""Make all writes durable at once, release the locks, then enqueue. Raises DuplicateKey."""
		for kind, key in self._inserted:
			if key in self.world.tables[kind].rows:
				self.rollback()
				raise DuplicateKey(f"{kind.__name__} {key}")
		for row in self._written.values():
			self.world.write(row)
		jobs = self._jobs
		self._end()
		for job, recharge in jobs:
			self.world.queue.put(job, recharge)

	def rollback(self) -> None:
		"""Forget all writes and release the locks. A worker that dies does this too."""
		self._end()

	def _end(self) -> None:
		for lock in self._locks:
			del self.world.locks[lock]
		self._written, self._inserted, self._locks, self._jobs = {}, set(), set(), []


def names(found: Iterable[Any]) -> list[str]:
	"""Names of rows."""
	return [row.name for row in found]
