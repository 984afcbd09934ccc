"""Which bench the commands use or make, by what the caller asks for and what is there."""

import os
import subprocess
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[1] / "lib"
SHOW = 'find_bench && printf "%s %s %s" "$BENCH" "$(frappe_major)" "$(bench_path)"'


def make_bench(folder: Path, version: str) -> Path:
	"""As much of a bench as the commands look at."""
	for file, text in (
		("env/bin/python", ""),
		("sites/common_site_config.json", "{}"),
		("apps/frappe/frappe/__init__.py", f'__version__ = "{version}"\n'),
	):
		(folder / file).parent.mkdir(parents=True, exist_ok=True)
		(folder / file).write_text(text)
	(folder / "env/bin/python").chmod(0o755)
	return folder


def look(home: Path, **wanted: str) -> subprocess.CompletedProcess:
	"""What find_bench says in a home of its own; the system's own users have no bench there."""
	script = f'. "{LIB}/common.sh"; . "{LIB}/bench.sh"; home_of() {{ printf %s "{home}"; }}; {SHOW}'
	environment = {"PATH": os.environ["PATH"], "HOME": str(home), **wanted}
	# The bench's user is looked up by name: as a plain user that is the caller.
	script = script.replace("find_bench", "is_root() { false; }; find_bench", 1)
	return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
	("there", "wanted", "used", "major"),
	[
		({}, {}, "frappe-bench", "15"),
		({}, {"FRAPPE_BRANCH": "version-16"}, "frappe-bench-16", "16"),
		({"frappe-bench": "15.95.1"}, {}, "frappe-bench", "15"),
		({"frappe-bench": "16.10.7"}, {}, "frappe-bench", "16"),
		({"frappe-bench": "15.95.1"}, {"FRAPPE_BRANCH": "version-16"}, "frappe-bench-16", "16"),
		({"frappe-bench": "16.10.7"}, {"FRAPPE_BRANCH": "version-16"}, "frappe-bench", "16"),
		(
			{"frappe-bench": "15.95.1", "frappe-bench-16": "16.10.7"},
			{"FRAPPE_BRANCH": "version-16"},
			"frappe-bench-16",
			"16",
		),
	],
)
def test_each_version_has_a_bench_of_its_own(tmp_path, there, wanted, used, major):
	for name, version in there.items():
		make_bench(tmp_path / name, version)
	bench, found, path = look(tmp_path, **wanted).stdout.split(" ")
	assert (bench, found) == (str(tmp_path / used), major)
	assert ("/node24/" in path) == (major == "16")


def test_a_bench_of_another_version_than_asked_for_is_refused(tmp_path):
	bench = make_bench(tmp_path / "mine", "15.95.1")
	told = look(tmp_path, BENCH=str(bench), FRAPPE_BRANCH="version-16")
	assert told.returncode == 1
	assert "has Frappe 15, and FRAPPE_BRANCH says version-16" in told.stderr
