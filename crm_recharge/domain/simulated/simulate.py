"""Run the simulation many times: `python -m crm_recharge.domain.simulated.simulate --runs N --seed S`.

A failing seed is printed and replays exactly with `--seed SEED --runs 1`. The last line is JSON: runs, steps,
violations, and how often each fault was drawn. Exits with 1 when a rule was broken.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from crm_recharge.domain.simulated.planted import PLANTED, plant
from crm_recharge.domain.simulated.simulation import STEPS, Simulation

CHUNK = 50
MOST_SHOWN = 10


def one(seed: int, steps: int = STEPS) -> tuple[Counter[str], str | None]:
	"""One run. Returns what was drawn, and the violation as text, if there was one."""
	simulation = Simulation(seed, steps)
	try:
		return simulation.run(), None
	except Exception as error:
		return simulation.drawn, f"{type(error).__name__} {error}"


def chunk(seeds: range, steps: int, bug: str | None = None) -> tuple[Counter[str], list[tuple[int, str]]]:
	"""Several runs, for one process."""
	drawn: Counter[str] = Counter()
	violations: list[tuple[int, str]] = []
	with plant(bug):
		for seed in seeds:
			found, violation = one(seed, steps)
			drawn += found
			if violation:
				violations.append((seed, violation))
	return drawn, violations


def many(
	runs: int, seed: int, steps: int = STEPS, processes: int | None = None, bug: str | None = None
) -> Any:
	"""All runs, on all processors. Returns what was drawn and the violations with their seeds."""
	parts = [range(start, min(start + CHUNK, seed + runs)) for start in range(seed, seed + runs, CHUNK)]
	drawn: Counter[str] = Counter()
	violations: list[tuple[int, str]] = []
	with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
		for found, broken in pool.map(chunk, parts, [steps] * len(parts), [bug] * len(parts)):
			drawn += found
			violations += broken
	return drawn, violations


def hunt(bug: str | None, runs: int, seed: int = 1, steps: int = STEPS) -> tuple[int, str] | None:
	"""The first seed, of `runs`, that catches a planted bug (or any), with what it saw."""
	with plant(bug):
		for number in range(seed, seed + runs):
			_drawn, violation = one(number, steps)
			if violation:
				return number, violation
	return None


def main() -> int:
	parser = argparse.ArgumentParser(description="Simulate the payment machine under faults, from a seed.")
	parser.add_argument("--runs", type=int, default=1000)
	parser.add_argument("--seed", type=int, default=1)
	parser.add_argument("--steps", type=int, default=STEPS, help="steps of each run before it comes to rest")
	parser.add_argument("--processes", type=int, default=None)
	parser.add_argument("--first", action="store_true", help="one after the other, until a rule is broken")
	parser.add_argument("--planted", choices=sorted(PLANTED), help="plant a bug, to see it caught")
	options = parser.parse_args()
	started = time.monotonic()
	if options.first:
		found = hunt(options.planted, options.runs, options.seed, options.steps)
		print(f"seed {found[0]}: {found[1]}" if found else "no violation")
		return 1 if found else 0
	drawn, violations = many(options.runs, options.seed, options.steps, options.processes, options.planted)
	for seed, text in violations[:MOST_SHOWN]:
		print(f"seed {seed}: {text}")
	if len(violations) > MOST_SHOWN:
		print(f"… and {len(violations) - MOST_SHOWN} more")
	print(
		json.dumps(
			{
				"runs": options.runs,
				"seed": options.seed,
				"steps": options.runs * options.steps,
				"violations": len(violations),
				"failing_seeds": [seed for seed, _ in violations[:MOST_SHOWN]],
				"seconds": round(time.monotonic() - started, 1),
				"drawn": dict(sorted(drawn.items())),
			}
		)
	)
	return 1 if violations else 0


if __name__ == "__main__":
	sys.exit(main())
