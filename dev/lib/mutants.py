"""Mutants of a Python file: mutmut's own, and two kinds that it lacks (constants of a module, statements left out).

A mutant is a whole changed source; `where` names the function or the constant that it changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff

import libcst as cst
from mutmut.mutation.file_mutation import create_mutations

CONSTANTS = "constants"
"""Where a mutant is that changes no function."""


@dataclass(frozen=True, slots=True)
class Mutant:
	"""One change of `file` (its name). `old` and `new` are the lines that differ, without their indentation."""

	file: str
	where: str
	old: str
	new: str
	source: str

	@property
	def mark(self) -> tuple[str, str, str, str]:
		"""What makes it the same one from run to run."""
		return (self.file, self.where, self.old, self.new)


def mutants_of(file: str, source: str) -> list[Mutant]:
	"""All mutants of a file; those of the same text, or that are no Python, are left out."""
	module, mutations, _classes, _functions = create_mutations(file, source)
	found: dict[tuple[str, str], Mutant] = {}
	for where, statement, changed in (
		*_mutmuts(module, mutations),
		*_shorter_tuples(module),
		*_left_out(module),
	):
		# Only the statement of the module is written anew: writing all of it for each mutant takes minutes.
		before, after = module.code_for_node(statement), module.code_for_node(changed)
		if before == after or not _compiles(after):
			continue
		text = source.replace(before, after, 1)
		if (where, text) not in found:
			found[where, text] = Mutant(file, where, *_difference(before, after), text)
	return list(found.values())


def _compiles(text: str) -> bool:
	try:
		compile(text, "mutant", "exec")
	except (SyntaxError, ValueError):
		return False
	return True


def _difference(before: str, after: str) -> tuple[str, str]:
	lines = list(unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
	old = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
	new = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
	return old, new


Change = tuple[str, cst.CSTNode, cst.CSTNode]
"""Where, and a statement of the module before and after."""


def _mutmuts(module: cst.Module, mutations: list) -> Iterator[Change]:
	names, owners, said = _names(module), _owners(module), _said_by_assertions(module)
	for mutation in mutations:
		if id(mutation.original_node) in said:
			continue
		function = mutation.contained_by_top_level_function
		if isinstance(function, cst.FunctionDef):
			where = names[function]
		elif isinstance(mutation.original_node, cst.Integer | cst.Float):
			# Texts of a module are names for programs and people elsewhere; only its numbers are changed.
			where = CONSTANTS
		else:
			continue
		owner = owners.get(id(mutation.original_node))
		if owner is not None:
			yield where, owner, owner.deep_replace(mutation.original_node, mutation.mutated_node)


def _said_by_assertions(module: cst.Module) -> set[int]:
	"""What is inside of the texts of assertions: they are for who reads a traceback."""
	found: set[int] = set()

	def walk(node: cst.CSTNode, inside: bool) -> None:
		if inside:
			found.add(id(node))
		text = node.msg if isinstance(node, cst.Assert) else None
		for child in node.children:
			walk(child, inside or child is text)

	walk(module, False)
	return found


def _owners(module: cst.Module) -> dict[int, cst.CSTNode]:
	"""The statement of the module that a node stands in."""
	found: dict[int, cst.CSTNode] = {}

	def walk(node: cst.CSTNode, owner: cst.CSTNode) -> None:
		found[id(node)] = owner
		for child in node.children:
			walk(child, owner)

	for statement in module.body:
		walk(statement, statement)
	return found


def _names(module: cst.Module) -> dict[cst.CSTNode, str]:
	found: dict[cst.CSTNode, str] = {}
	for node in module.body:
		if isinstance(node, cst.FunctionDef):
			found[node] = node.name.value
		elif isinstance(node, cst.ClassDef):
			for part in node.body.body:
				found[part] = (
					f"{node.name.value}.{part.name.value}" if isinstance(part, cst.FunctionDef) else ""
				)
	return found


def _shorter_tuples(module: cst.Module) -> Iterator[Change]:
	"""Constants that list things, each thing left out once."""
	for line in module.body:
		for statement in line.body if isinstance(line, cst.SimpleStatementLine) else ():
			value = statement.value if isinstance(statement, cst.Assign | cst.AnnAssign) else None
			targets = statement.targets if isinstance(statement, cst.Assign) else ()
			if not isinstance(value, cst.Tuple) or any(isinstance(t.target, cst.Tuple) for t in targets):
				continue
			for number in range(len(value.elements)):
				kept = [*value.elements[:number], *value.elements[number + 1 :]]
				if len(kept) == 1:
					kept = [kept[0].with_changes(comma=cst.Comma())]
				shorter = value.with_changes(elements=kept)
				if not shorter.lpar:
					shorter = shorter.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
				yield CONSTANTS, line, line.deep_replace(value, shorter)


def _left_out(module: cst.Module) -> Iterator[Change]:
	"""Each simple statement of a function left out."""
	owners = _owners(module)
	for function, where in _names(module).items():
		if not isinstance(function, cst.FunctionDef):
			continue
		finder = _Statements()
		function.visit(finder)
		owner = owners[id(function)]
		for line in finder.found:
			yield where, owner, owner.deep_replace(line, line.with_changes(body=[cst.Pass()]))


class _Statements(cst.CSTVisitor):
	def __init__(self) -> None:
		super().__init__()
		self.found: list[cst.SimpleStatementLine] = []

	def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
		(first, *_) = node.body
		if isinstance(first, cst.Expr) and isinstance(first.value, cst.SimpleString):
			return
		if isinstance(
			first, cst.Expr | cst.Assign | cst.AnnAssign | cst.AugAssign | cst.Raise | cst.Continue
		):
			self.found.append(node)
