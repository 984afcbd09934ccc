"""Background work in tests: what the sweep would take up, done here and now, and what was enqueued."""

from crm_recharge.outbox import attempt, sweep

EVERYTHING = 10**6


def due(kind: str) -> list[str]:
	"""All rows on which work of `kind` is due."""
	return sweep.due(kind, EVERYTHING)


def work_off(kind: str, *names: str) -> list[str]:
	"""Do what is due of `kind`, on these rows alone if some are named. Returns the rows."""
	found = [name for name in due(kind) if not names or name in names]
	for name in found:
		attempt.run(kind, name)
	return found
