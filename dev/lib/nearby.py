"""Which tests stand near a change: those that import what was changed, those named after it, and changed tests.

Usage: python nearby.py ROOT FILE...      prints one line a test file: "domain PATH" or "bench MODULE"
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

APP = "crm_recharge"


def nearby(root: Path, changed: list[str]) -> list[str]:
	"""The tests near `changed` (paths from `root`), each as `kind name`, sorted."""
	tests = {path: text.read_text() for path, text in _tests(root)}
	uses = {path: set(_imported(path, text)) for path, text in tests.items()}
	found = set()
	for name in changed:
		path = PurePosixPath(name)
		if name in tests:
			found.add(name)
		if path.suffix == ".json" and path.stem == path.parent.name:
			path = path.with_suffix(".py")
		if path.suffix == ".py":
			found |= {test for test, modules in uses.items() if _module(path) in modules}
			found |= {test for test in tests if _is_named_after(PurePosixPath(test), path)}
	return sorted(_line(test) for test in found)


def _tests(root: Path) -> Iterator[tuple[str, Path]]:
	for top in (APP, "dev/tests"):
		for path in sorted((root / top).rglob("test_*.py")):
			yield path.relative_to(root).as_posix(), path


def _module(path: PurePosixPath) -> str:
	"""The dotted name of a Python file. What lies in dev/lib is imported from there."""
	parts = [part for part in path.with_suffix("").parts if part != "__init__"]
	return ".".join(parts[2:] if parts[:2] == ["dev", "lib"] else parts)


def _imported(path: str, text: str) -> Iterator[str]:
	for node in ast.walk(ast.parse(text, path)):
		if isinstance(node, ast.Import):
			yield from (alias.name for alias in node.names)
		elif isinstance(node, ast.ImportFrom) and node.module:
			yield node.module
			yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_named_after(test: PurePosixPath, path: PurePosixPath) -> bool:
	"""test_caps.py is for caps.py of the same layer: beside it, or in the tests/ beside it."""
	folders = (
		path.parent,
		path.parent / "tests",
		path.parents[1] / "tests" if len(path.parents) > 1 else None,
	)
	return test.name == f"test_{path.stem}.py" and test.parent in folders


def _line(test: str) -> str:
	if test.startswith((f"{APP}/domain/", "dev/")):
		return f"domain {test}"
	return f"bench {_module(PurePosixPath(test))}"


if __name__ == "__main__":
	print("\n".join(nearby(Path(sys.argv[1]), sys.argv[2:])))
