"""hooks.py says each thing once: what is assigned a second time is lost without a word."""

import ast
from collections import Counter
from pathlib import Path

HOOKS = Path(__file__).resolve().parents[2] / "hooks.py"


def test_no_hook_is_declared_twice():
	declared = Counter(
		target.id
		for statement in ast.parse(HOOKS.read_text()).body
		if isinstance(statement, ast.Assign)
		for target in statement.targets
	)
	assert len(declared) > 20
	assert [name for name, times in declared.items() if times > 1] == []


def test_no_key_of_a_hook_is_written_twice():
	twice = [
		f"line {table.lineno}: {key}"
		for table in ast.walk(ast.parse(HOOKS.read_text()))
		if isinstance(table, ast.Dict)
		for key, times in Counter(ast.unparse(key) for key in table.keys if key).items()
		if times > 1
	]
	assert twice == []
