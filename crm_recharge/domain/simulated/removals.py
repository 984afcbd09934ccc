"""Rules that decide about money, taken out of the code one at a time: the simulation must notice.

	python -m crm_recharge.domain.simulated.removals [--runs N] [--rule NAME]...

Each removal is a change of one piece of source text, applied to a copy of the domain; the copy is simulated, up to N runs
(1,000), until a rule is seen to be broken. The last line is JSON: rules, rules_seen_by_simulation, and which were not.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

DOMAIN = Path(__file__).parent.parent
RUNS = 1000


@dataclass(frozen=True, slots=True)
class Removal:
	"""`rule` is what no longer holds once `old`, which stands once in `file`, reads `new`."""

	rule: str
	file: str
	old: str
	new: str


def apply(removal: Removal, domain: Path) -> None:
	"""Take the rule out of the copy `domain`. Raises ValueError where its text does not stand exactly once."""
	path = domain / removal.file
	text = path.read_text(encoding="utf-8")
	if text.count(removal.old) != 1:
		raise ValueError(f"{removal.rule}: stands {text.count(removal.old)} times in {removal.file}")
	path.write_text(text.replace(removal.old, removal.new), encoding="utf-8")


def seen(removal: Removal, runs: int = RUNS, seed: int = 1) -> str | None:
	"""What the simulation notices without the rule, with its seed, within `runs` runs; None where it notices nothing."""
	with tempfile.TemporaryDirectory() as folder:
		package = Path(folder) / "crm_recharge"
		package.mkdir()
		(package / "__init__.py").touch()
		shutil.copytree(DOMAIN, package / "domain", ignore=shutil.ignore_patterns("tests", "__pycache__"))
		apply(removal, package / "domain")
		command = [sys.executable, "-m", "crm_recharge.domain.simulated.simulate", "--first"]
		command += ["--runs", str(runs), "--seed", str(seed)]
		environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
		# nosemgrep: frappe-subprocess-exec -- this package's own command, a list
		done = subprocess.run(
			command, cwd=folder, env=environment, capture_output=True, text=True, check=False
		)
		if done.returncode == 0:
			return None
		lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()[-1:]
		return lines[0] if lines else "it ended without a word"


def main() -> int:
	"""The command. Exits with 1 where fewer than nine tenths of the rules are seen."""
	from crm_recharge.domain.simulated.removed_rules import REMOVALS

	parser = argparse.ArgumentParser(
		description="Take rules out of the domain, and see whether it is noticed."
	)
	parser.add_argument("--runs", type=int, default=RUNS, help="most runs for each rule (1000)")
	parser.add_argument("--seed", type=int, default=1)
	parser.add_argument("--rule", action="append", help="this one only; may be given again")
	parser.add_argument("--processes", type=int, default=os.cpu_count())
	options = parser.parse_args()
	chosen = [r for r in REMOVALS if not options.rule or any(part in r.rule for part in options.rule)]
	with ThreadPoolExecutor(options.processes) as pool:
		found = pool.map(lambda removal: seen(removal, options.runs, options.seed), chosen)
		unseen = []
		for removal, what in zip(chosen, found, strict=True):
			print(f"{'seen  ' if what else 'UNSEEN'} {removal.rule}: {what or removal.file}", flush=True)
			if not what:
				unseen.append(removal.rule)
	counted = len(chosen) - len(unseen)
	print(json.dumps({"rules": len(chosen), "rules_seen_by_simulation": counted, "unseen": unseen}))
	return 0 if counted >= 0.9 * len(chosen) else 1


if __name__ == "__main__":
	sys.exit(main())
