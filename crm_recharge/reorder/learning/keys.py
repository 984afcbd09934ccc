"""Keys in portions."""

from collections.abc import Iterator, Sequence

KEYS = 150
"""Keys in one query: beyond 200 MariaDB no longer looks how many rows they find, but guesses."""


def some(names: Sequence) -> Iterator[tuple]:
	"""`names`, so many at a time as one query takes."""
	for start in range(0, len(names), KEYS):
		yield tuple(names[start : start + KEYS])
