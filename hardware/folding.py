"""Named whole numbers become the numbers themselves before the firmware is compiled.

On MicroPython every name of a module is an entry of a table on the heap, and one in the pool of
names. The sources keep theirs, with unit and reason; what is compiled for a board has none of
them, and whole modules of bounds disappear. Every line keeps its number, so tracebacks point into
the sources.

Rules of the file
- Folded is a name in capitals to which a module assigns a whole number once, at its top level.
- It is folded where it is used by itself, imported by name, or as attribute of an imported module.
- `SIZES` is about the image, and the gateway's `Ledger` no node needs: they are not in it.
"""

import ast
import copy
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*\Z")
_LEFT_OUT = ("SIZES", "Ledger")
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.LShift: operator.lshift,
    ast.BitOr: operator.or_,
}


@dataclass(slots=True)
class Module:
    """One source file.

    Attributes:
        name: as it is imported.
        source: text.
        tree: its syntax.
        constants: names it gives to whole numbers.
        names: what it imported by name: {here: (module, name there)}.
        aliases: modules it knows: {here: module}.
        is_kept: its names stay, because another module asks for them as it runs.
    """

    name: str
    source: str
    tree: ast.Module
    constants: dict[str, int] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    is_kept: bool = False


def fold(sources: dict[str, str]) -> dict[str, str]:
    """Return the sources with their whole numbers folded; modules left empty are not in it.

    Args:
        sources: {module name: text} of everything that is compiled together.
    """
    modules = {name: Module(name, text, ast.parse(text)) for name, text in sources.items()}
    for module in modules.values():
        _read_imports(module, modules)
    found = 1
    while found:  # a constant may be made of another module's
        found = sum(_read_constants(module, modules) for module in modules.values())
    folded = {name: _rewrite(module, modules) for name, module in modules.items()}
    return {name: text for name, text in folded.items() if _says(text) or not _says(sources[name])}


def _says(text: str) -> bool:
    """Say whether a module does anything, beside having a docstring."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in ast.parse(text).body
    )


def _read_imports(module: Module, modules: dict[str, Module]) -> None:
    stored = {
        node.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    } | {node.arg for node in ast.walk(module.tree) if isinstance(node, ast.arg)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                here = alias.asname or alias.name
                whole = f"{node.module}.{alias.name}"
                if whole in modules:
                    if here in stored:  # it may be something else at times
                        modules[whole].is_kept = True
                    else:
                        module.aliases[here] = whole
                elif node.module in modules:
                    module.names[here] = (node.module, alias.name)


def _read_constants(module: Module, modules: dict[str, Module]) -> int:
    """Learn what the top level assigns; return how much of it was new."""
    before = len(module.constants)
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            for name, value in _assigned(statement, module, modules):
                module.constants.setdefault(name, value)
    return len(module.constants) - before


def _assigned(
    statement: ast.Assign, module: Module, modules: dict[str, Module]
) -> list[tuple[str, int]]:
    """Return the names and whole numbers of an assignment, nothing if it is of another kind."""
    target, value = statement.targets[0], statement.value
    targets = target.elts if isinstance(target, ast.Tuple) else [target]
    if not all(isinstance(one, ast.Name) and _NAME.match(one.id) for one in targets):
        return []
    numbers: list[int | None]
    if not isinstance(target, ast.Tuple):
        numbers = [_number(value, module, modules)]
    elif isinstance(value, ast.Tuple):
        numbers = [_number(one, module, modules) for one in value.elts]
    elif isinstance(value, ast.Call) and ast.unparse(value.func) == "range":
        numbers = list(range(len(targets)))
    else:
        return []
    names = [one.id for one in targets if isinstance(one, ast.Name)]
    return [
        (name, number) for name, number in zip(names, numbers, strict=True) if number is not None
    ] * all(number is not None for number in numbers)


def _number(node: ast.expr, module: Module, modules: dict[str, Module]) -> int | None:
    """Return the whole number that an expression is, None if it is something else."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _number(node.operand, module, modules)
        return None if value is None else -value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = (_number(side, module, modules) for side in (node.left, node.right))
        if left is None or right is None:
            return None
        return _OPERATIONS[type(node.op)](left, right)
    return _known(node, module, modules)


def _known(node: ast.AST, module: Module, modules: dict[str, Module]) -> int | None:
    """Return the number that a name or an attribute stands for, None if it is none."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in module.constants:
            return module.constants[node.id]
        there, name = module.names.get(node.id, ("", ""))
        return modules[there].constants.get(name) if there else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        there = module.aliases.get(node.value.id, "")
        return modules[there].constants.get(node.attr) if there else None
    return None


class _Fold(ast.NodeTransformer):
    """Puts numbers where names of them are."""

    def __init__(self, module: Module, modules: dict[str, Module]) -> None:
        self._module = module
        self._modules = modules
        self.count = 0

    def visit(self, node: ast.AST) -> ast.AST:
        number = _known(node, self._module, self._modules)
        if number is None:
            return super().generic_visit(node)
        self.count += 1
        return ast.Constant(number)


def _rewrite(module: Module, modules: dict[str, Module]) -> str:
    """Return the text of a module with everything folded, line for line."""
    changes: list[tuple[ast.AST, str]] = []
    left: set[str] = set()  # names that are still used when all is folded
    for statement in ast.walk(module.tree):
        for node in _expressions(statement):
            fold_ = _Fold(module, modules)
            new = fold_.visit(copy.deepcopy(node))
            if fold_.count:
                changes.append((node, f"({ast.unparse(new)}"))
            left |= {one.id for one in ast.walk(new) if isinstance(one, ast.Name)}
    for statement in ast.walk(module.tree):
        if isinstance(statement, ast.ImportFrom):
            kept = [
                alias
                for alias in statement.names
                if (alias.asname or alias.name) in left
                or (alias.asname or alias.name) not in {*module.names, *module.aliases}
            ]
            if len(kept) < len(statement.names):
                # In a block something must stay.
                nothing = "pass" if statement.col_offset else ""
                new_text = ast.unparse(_import(statement, kept)) if kept else nothing
                changes.append((statement, new_text))
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign) and (
            ast.unparse(statement.targets[0]) in _LEFT_OUT
            or (not module.is_kept and _assigned(statement, module, modules))
        ):
            changes = [change for change in changes if change[0] is not statement.value]
            changes.append((statement, ""))
        elif isinstance(statement, ast.ClassDef) and statement.name in _LEFT_OUT:
            inside = set(ast.walk(statement))
            changes = [change for change in changes if change[0] not in inside]
            changes.append((statement, ""))
    return _apply(module, changes)


def _import(statement: ast.ImportFrom, kept: list[ast.alias]) -> ast.ImportFrom:
    return ast.ImportFrom(statement.module, kept, statement.level)


def _expressions(statement: ast.AST) -> list[ast.expr]:
    """Return the outermost expressions of a statement, or of a part of one."""
    if not isinstance(
        statement, ast.stmt | ast.withitem | ast.excepthandler | ast.arguments | ast.keyword
    ):
        return []
    if isinstance(statement, ast.keyword):
        return []  # part of a call, which is an expression, or of a class, which has none here
    return [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr)]


def _apply(module: Module, changes: list[tuple[ast.AST, str]]) -> str:
    """Replace pieces of the text and keep the number of lines."""
    lines = [line.encode() for line in module.source.splitlines(keepends=True)]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    text = b"".join(lines)

    def begin(change: tuple[ast.AST, str]) -> int:
        node = change[0]
        return starts[int(node.lineno) - 1] + int(node.col_offset)  # type: ignore[attr-defined]

    for node, new in sorted(changes, key=begin, reverse=True):
        start = begin((node, ""))
        end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        lost = b"\n" * text[start:end].count(b"\n")
        closing = b")" if new.startswith("(") else b""
        text = text[:start] + new.encode() + lost + closing + text[end:]
    return text.decode()
