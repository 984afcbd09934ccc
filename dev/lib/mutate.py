"""Changes the rules one small thing at a time, and sees whether a test fails: see dev/mutate.

The tests are collected once; for each mutant a forked process puts the changed function in the place of the right one, and
runs the tests that go through it, the quickest first, until one fails.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from mutants import CONSTANTS, Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = ROOT / "crm_recharge" / "domain"
FILES = ("payment", "threshold", "caps", "cards", "refund", "dispute", "takeback", "reconcile", "book")
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.json")
PACKAGE = "crm_recharge.domain"
NEAR = (
	r"payment|pending|threshold|caps|cards|refund|dispute|takeback|reconcile|book|held|letter|simulated\.py"
)
"""Tests that go through these files."""
LEFT_OUT = re.compile(r"test_whatever_happens\[([3-9]|\d{2,})\]|test_may_die\[\d{2,}\]")
"""Of what is tried many times only some."""
LEAST_SECONDS = 20
"""A mutant whose tests take so long, and many times as long as usual, hangs: that is noticed, too."""


def main() -> int:
	"""The command. Exits with 1 where the score is below the least."""
	options = _options()
	mutants = [m for name in options.files for m in mutants_of(name, _source(name))]
	mutants = [m for m in mutants if not options.where or options.where in (m.where, m.where.split(".")[-1])]
	if options.again:
		before = Path(options.again).read_text(encoding="utf-8").splitlines()
		mutants = [m for m in mutants if f"survived {_shown(m)}" in before]
	runner = Runner(mutants, options.processes, options.tests)
	arguments = [str(DOMAIN), "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:terminal"]
	os.chdir(ROOT)
	if mutants:
		pytest.main(arguments, plugins=[runner])
		if runner.broken:
			print("the tests fail without any change:", *runner.broken, sep="\n  ")
			return 2
	return _report(options, mutants, runner.fates)


def _options() -> argparse.Namespace:
	parser = argparse.ArgumentParser(description="Change the rules, and see whether a test fails.")
	parser.add_argument("files", nargs="*", help=f"names in crm_recharge/domain ({' '.join(FILES)})")
	parser.add_argument(
		"--changed", metavar="BASE", help="only those of the files that differ from this commit"
	)
	parser.add_argument("--where", help="only this function")
	parser.add_argument(
		"--again", metavar="OUTPUT", help="only those that survived in an earlier run's output"
	)
	parser.add_argument("--tests", metavar="REGEX", default=NEAR, help="only tests whose path matches")
	parser.add_argument("--least", type=float, default=0.95, help="the score that is asked for (0.95)")
	parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
	parser.add_argument(
		"--no-rules", action="store_true", help="do not see which rules the simulation notices"
	)
	options = parser.parse_args()
	options.files = [Path(name).stem for name in options.files] or list(FILES)
	if options.changed:
		changed = {
			Path(line).name for line in _git("diff", "--name-only", options.changed, "--", str(DOMAIN))
		}
		options.files = [name for name in options.files if f"{name}.py" in changed]
	return options


def _git(*arguments: str) -> list[str]:
	# nosemgrep: frappe-subprocess-exec -- git, a list
	done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
	return done.stdout.split()


def _source(name: str) -> str:
	return (DOMAIN / f"{name}.py").read_text(encoding="utf-8")


# -- running ---------------------------------------------------------------------------------------------------


class Runner:
	"""A plugin of pytest: it runs each test once as it is, then those of each mutant."""

	def __init__(self, mutants: list[Mutant], processes: int, tests: str):
		self.mutants, self.processes, self.tests = mutants, processes, re.compile(tests)
		self.fates: dict[tuple, str] = {}
		self.broken: list[str] = []

	@pytest.hookimpl(tryfirst=True)
	def pytest_configure(self, config) -> None:
		from hypothesis import HealthCheck, settings

		checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
		settings.register_profile(
			"mutation",
			deadline=None,
			derandomize=True,
			database=None,
			max_examples=30,
			suppress_health_check=checks,
		)
		settings.load_profile("mutation")

	def pytest_collection_modifyitems(self, items) -> None:
		items[:] = [
			item for item in items if self.tests.search(item.nodeid) and not LEFT_OUT.search(item.nodeid)
		]

	@pytest.hookimpl(tryfirst=True)
	def pytest_runtestloop(self, session) -> bool:
		items = self._trace(session.items)
		if not self.broken:
			self._run_all(items)
		return True

	def _trace(self, items) -> dict[tuple[str, str], list]:
		"""Which tests go through which function, with how long they take."""
		through: dict[tuple[str, str], list] = defaultdict(list)
		files = {str(DOMAIN / f"{name}.py"): name for name in {m.file for m in self.mutants}}
		for item in items:
			seen: set[tuple[str, str]] = set()

			def note(frame, event, _argument, seen=seen) -> None:
				code = frame.f_code
				if event == "call" and code.co_filename in files:
					seen.add((files[code.co_filename], code.co_qualname.split(".<locals>")[0]))

			started = time.monotonic()
			sys.setprofile(note)
			reports = runtestprotocol(item, log=False, nextitem=None)
			sys.setprofile(None)
			took = time.monotonic() - started
			if any(report.failed for report in reports):
				self.broken.append(item.nodeid)
			for function in seen:
				through[function].append((took, item))
			for file in files.values():
				through[file, CONSTANTS].append((took, item))
		for found in through.values():
			found.sort(key=lambda pair: pair[0])
		return through

	def _run_all(self, items) -> None:
		waiting, running = list(reversed(self.mutants)), {}
		while waiting or running:
			while waiting and len(running) < self.processes:
				mutant = waiting.pop()
				chosen = items.get((mutant.file, mutant.where), [])
				limit = LEAST_SECONDS + 10 * sum(took for took, _ in chosen)
				running[_fork(mutant, [item for _, item in chosen], limit)] = mutant
			pid, status = os.wait()
			mutant = running.pop(pid)
			killed = os.waitstatus_to_exitcode(status) != 0
			self.fates[mutant.mark] = "killed" if killed else "survived"
			if not killed:
				print(f"survived {_shown(mutant)}", flush=True)


def _shown(mutant: Mutant) -> str:
	return f"{mutant.file}.{mutant.where}: {mutant.old}  ->  {mutant.new}"


def _fork(mutant: Mutant, items: list, limit: float) -> int:
	pid = os.fork()
	if pid:
		return pid
	signal.signal(signal.SIGALRM, signal.SIG_DFL)
	signal.alarm(int(limit) + 1)
	quiet = os.open(os.devnull, os.O_WRONLY)
	os.dup2(quiet, 1)
	os.dup2(quiet, 2)
	try:
		_put_in_place(mutant)
	except BaseException:
		os._exit(1)
	for item in items:
		try:
			failed = any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))
		except BaseException:
			failed = True
		if failed:
			os._exit(1)
	os._exit(0)


def _put_in_place(mutant: Mutant) -> None:
	"""Let every user of the module have the mutant's function, or constants."""
	original = sys.modules[f"{PACKAGE}.{mutant.file}"]
	changed = types.ModuleType(original.__name__)
	changed.__file__ = original.__file__
	# Dataclasses look their module up.
	sys.modules[original.__name__] = changed
	try:
		exec(compile(mutant.source, original.__file__ or "", "exec"), changed.__dict__)
	finally:
		sys.modules[original.__name__] = original
	if mutant.where == CONSTANTS:
		_replace_constants(original, changed)
	else:
		_replace_code(_function(original, mutant.where), _function(changed, mutant.where))


def _function(module: types.ModuleType, where: str) -> types.FunctionType:
	owner, _, name = where.rpartition(".")
	found = vars(getattr(module, owner))[name] if owner else getattr(module, name)
	found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
	return getattr(found, "__wrapped__", found)


def _replace_code(old: types.FunctionType, new: types.FunctionType) -> None:
	old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def _replace_constants(original: types.ModuleType, changed: types.ModuleType) -> None:
	for name, value in list(vars(changed).items()):
		before = vars(original).get(name)
		if name.startswith("__") or isinstance(value, types.ModuleType | types.FunctionType):
			continue
		if isinstance(value, type):
			_replace_defaults(before, value)
		elif value != before:
			for module in list(sys.modules.values()):
				if (getattr(module, "__name__", "") or "").startswith(PACKAGE):
					if vars(module).get(name) == before:
						setattr(module, name, value)


def _replace_defaults(old: object, new: type) -> None:
	"""Default values of a class's fields."""
	before, after = getattr(old, "__init__", None), getattr(new, "__init__", None)
	if isinstance(before, types.FunctionType) and isinstance(after, types.FunctionType):
		if before.__code__.co_varnames == after.__code__.co_varnames:
			before.__defaults__ = after.__defaults__


# -- telling ---------------------------------------------------------------------------------------------------


def _report(options: argparse.Namespace, mutants: list[Mutant], fates: dict[tuple, str]) -> int:
	reasons = {
		(row["file"], row["where"], row["old"], row["new"]): row["reason"]
		for row in json.loads(EQUIVALENT.read_text(encoding="utf-8"))
	}
	equivalent = [m for m in mutants if m.mark in reasons and fates.get(m.mark) == "survived"]
	killed = sum(fates.get(m.mark) == "killed" for m in mutants)
	by_file = Counter(m.file for m in mutants)
	for name, count in by_file.items():
		dead = sum(fates.get(m.mark) == "killed" for m in mutants if m.file == name)
		same = sum(m.file == name for m in equivalent)
		print(f"{name}: {dead} of {count} killed, {same} equivalent")
	counted = len(mutants) - len(equivalent)
	result = {
		"mutants": len(mutants),
		"killed": killed,
		"equivalent": [{"mutant": " | ".join(m.mark), "reason": reasons[m.mark]} for m in equivalent],
		"score": round(killed / counted, 4) if counted else 1.0,
	}
	result |= _rules(options)
	print(json.dumps(result, ensure_ascii=False))
	return 0 if result["score"] >= options.least else 1


def _rules(options: argparse.Namespace) -> dict:
	"""How many of the rules that are taken out the simulation notices."""
	if options.no_rules:
		return {"rules": None, "rules_seen_by_simulation": None}
	command = [sys.executable, "-m", "crm_recharge.domain.simulated.removals"]
	command += ["--processes", str(options.processes)]
	# nosemgrep: frappe-subprocess-exec -- this project's own command, a list
	done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
	found = json.loads(done.stdout.strip().splitlines()[-1])
	return {name: found[name] for name in ("rules", "rules_seen_by_simulation")}


if __name__ == "__main__":
	sys.exit(main())
