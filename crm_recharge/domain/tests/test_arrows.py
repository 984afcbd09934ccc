"""The rooms of the app depend on each other in one direction only, and the rules depend on nothing."""

import ast
import sys
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2]

# A room imports from its own level and below. What ties rooms together (hooks, install) has no level.
LEVELS = {
	"domain": 0,
	# What it puts on a site is told to it.
	"setup": 0,
	"doors": 1,
	"outbox": 1,
	"gateway": 2,
	"credits": 2,
	"people": 2,
	"accounting": 3,
	"recharge": 3,
	"reorder": 3,
	"api": 4,
	"www": 4,
}


def modules(room):
	"""The room's Python files, tests left out."""
	return [path for path in sorted((APP / room).rglob("*.py")) if not is_test(path)]


def is_test(path):
	return "tests" in path.relative_to(APP).parts or path.name.startswith("test_")


def imported(path):
	"""Yield each absolute module name a file imports, relative imports resolved."""
	package = ["crm_recharge", *path.relative_to(APP).parent.parts]
	for node in ast.walk(ast.parse(path.read_text(), str(path))):
		if isinstance(node, ast.Import):
			yield from (alias.name for alias in node.names)
		elif isinstance(node, ast.ImportFrom):
			base = package[: len(package) - node.level + 1] if node.level else []
			origin = ".".join([*base, node.module] if node.module else base)
			yield origin
			if origin == "crm_recharge":
				yield from (f"crm_recharge.{alias.name}" for alias in node.names)


def room_of(module):
	"""The room an imported name belongs to, if any."""
	parts = module.split(".")
	return parts[1] if parts[0] == "crm_recharge" and len(parts) > 1 else None


@pytest.mark.parametrize("room", LEVELS)
def test_a_room_imports_nothing_from_above(room):
	upward = [
		f"{path.relative_to(APP)} imports {module}"
		for path in modules(room)
		for module in imported(path)
		if LEVELS.get(room_of(module), -1) > LEVELS[room]
	]
	assert not upward


def test_the_rules_need_only_the_standard_library():
	foreign = [
		f"{path.relative_to(APP)} imports {module}"
		for path in modules("domain")
		for module in imported(path)
		if room_of(module) != "domain" and module.split(".")[0] not in sys.stdlib_module_names
	]
	assert modules("domain"), "the folder of the rules has moved"
	assert not foreign


# Where a gateway may be named: its adapter, its settings, and the list of gateways.
SPEAK_OF_STRIPE = ("gateway/stripe/", "public/js/gateways/", "gateway/doctype/crm_recharge_settings/")
NAME_IT = {"gateway/registry.py", "hooks.py", "gateway/masking.py", "gateway/simulated.py"}


def test_only_its_adapter_and_its_settings_speak_of_a_gateway():
	spoken = []
	for path in sorted(APP.rglob("*")):
		place = path.relative_to(APP).as_posix()
		if path.suffix not in (".py", ".js", ".html", ".json") or is_test(path):
			continue
		if place.startswith(SPEAK_OF_STRIPE) or place in NAME_IT:
			continue
		for number, line in enumerate(path.read_text().splitlines(), 1):
			# An address of documentation is a source, not a dependence.
			if "stripe" in line.lower().replace("docs.stripe.com", ""):
				spoken.append(f"{place}:{number}: {line.strip()[:90]}")
	assert spoken == []
