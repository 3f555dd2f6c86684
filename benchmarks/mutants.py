"""Small faults in source text, one at a time: which there are in a file, and which a seed draws.

Only the changed characters are replaced, so a mutant keeps its lines and is shown by one of them. What cannot
change a result is left alone: annotations (never evaluated), decorators, words of messages.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

COMPARISONS = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: (r"is\b", "is not"), ast.IsNot: (r"is\s+not\b", "is"),
    ast.In: (r"in\b", "not in"), ast.NotIn: (r"not\s+in\b", "in"),
}  # fmt: skip
# & and | of Spark's columns are `and` and `or`.
ARITHMETIC = {
    ast.Add: (r"\+", "-"), ast.Sub: ("-", "+"), ast.Mult: (r"\*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "*"), ast.BitAnd: ("&", "|"), ast.BitOr: (r"\|", "&"),
}  # fmt: skip
BOOLEAN = {ast.And: (r"and\b", "or"), ast.Or: (r"or\b", "and")}
# Their negation is the swap of the comparison.
OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
# What a function of this type returns instead; of any other, None.
EMPTY = {
    "bool": "False", "int": "0", "float": "0.0", "str": '""', "list": "[]", "dict": "{}", "set": "set()", "tuple": "()"
}  # fmt: skip
UNEVALUATED = {"annotation", "returns", "decorator_list", "type_params"}

Span = tuple[int, int]
Change = tuple[str, Span, str]


@dataclass(frozen=True)
class Mutant:
    """`span` is where the file's bytes become `text`; `code` is the source of the node, on one line."""

    path: str
    function: str
    kind: str
    code: str
    nth: int
    span: Span
    text: str

    @property
    def key(self) -> str:
        """The same in every version of the file that still has this code in this function."""
        return f"{self.path} {self.function} {self.kind} {self.code} {self.nth}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.span[0]] + self.text.encode() + source[self.span[1] :]

    def diff(self, source: bytes) -> str:
        """path:line, the line before -> the line after; of several lines, the first."""
        number = source[: self.span[0]].count(b"\n")
        old, new = (each.decode().splitlines() for each in (source, self.applied(source)))
        new_line = " ".join(new[number].split()) if number < len(new) else ""
        return f"{self.path}:{number + 1} [{self.kind}] {' '.join(old[number].split())}  ->  {new_line}"


def draw(sources: Mapping[str, bytes], count: int, seed: int) -> list[Mutant]:
    """Those whose keys hash lowest: what is drawn does not depend on how many others there are.

    Two versions of the code draw the same, but for what only one of them has.
    """
    mutants = [mutant for path, source in sources.items() for mutant in mutants_of(path, source)]
    mutants.sort(key=lambda each: hashlib.sha256(f"{seed} {each.key}".encode()).digest())
    return list(islice((each for each in mutants if _is_another(sources[each.path], each)), count))


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """All changes of a file; a few of them are no valid Python, or the same program."""
    text = _Text(source)
    counts, mutants = Counter[tuple[str, ...]](), []
    for function, node in _nodes(ast.parse(source), []):
        for kind, span, new in _changes(node, text):
            place = (function, kind, text.of(node))
            mutants.append(Mutant(path, *place, counts[place], span, new))
            counts[place] += 1
    return mutants


class _Text:
    """Places in a file: ast counts bytes from the start of a line."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._starts = [0, *(line_end.end() for line_end in re.finditer(rb"\n", source))]

    def span(self, node: Any) -> Span:
        starts = self._starts
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: Any) -> str:
        """The source of a node on one line; of a statement with a body, its condition."""
        if isinstance(node, ast.comprehension):  # ast does not say where it stands
            return ast.unparse(node)
        start, end = self.span(getattr(node, "test", node))
        return " ".join(self.source[start:end].decode().split())

    def operator(self, start: int, end: int, pattern: str) -> Span | None:
        """Where an operator stands between its operands."""
        match = re.search(pattern.encode(), self.source[start:end])
        return (start + match.start(), start + match.end()) if match else None


def _nodes(node: ast.AST, scope: list[str]) -> Iterator[tuple[str, ast.AST]]:
    """Each node that is evaluated, with the name of its function."""
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ):
        return  # Python 3.11 knows no places inside an f-string
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = [*scope, node.name]
    if isinstance(node, ast.FunctionDef):
        _note_type(node)
    yield ".".join(scope) or "module", node
    for name, value in ast.iter_fields(node):
        if name not in UNEVALUATED:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _nodes(child, scope)


def _note_type(function: ast.FunctionDef) -> None:
    """Each `return` learns what its function returns when it has nothing."""
    head = re.match(r"\w+(?=\[|$)", ast.unparse(function.returns)) if function.returns else None
    for node in ast.walk(function):
        if isinstance(node, ast.Return):
            node.empty = EMPTY.get(head[0] if head else "", "None")  # type: ignore[attr-defined]


def _changes(node: ast.AST, text: _Text) -> Iterator[Change]:
    match node:
        case ast.Compare():
            yield from _operators("comparison", [node.left, *node.comparators], node.ops, COMPARISONS, text)
        case ast.BoolOp():
            yield from _operators("and/or", node.values, [node.op] * len(node.values), BOOLEAN, text)
        case ast.BinOp():
            yield from _operators("arithmetic", [node.left, node.right], [node.op], ARITHMETIC, text)
        case ast.AugAssign():
            yield from _operators("arithmetic", [node.target, node.value], [node.op], ARITHMETIC, text)
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            start, end = text.span(node)
            if place := text.operator(start, end, r"^(not\b\s*|~)"):
                yield "dropped not", place, ""
        case ast.Constant(value=bool(flag)):
            yield "flag", text.span(node), str(not flag)
        case ast.Constant(value=int(number) | float(number)):
            yield "plus one", text.span(node), repr(number + 1)
            yield "minus one", text.span(node), repr(number - 1)
        case ast.Return(value=ast.expr() as value):
            yield "empty return", text.span(value), node.empty  # type: ignore[attr-defined]
        case ast.Expr(value=ast.Call()):
            yield "dropped call", text.span(node), "pass"
        case ast.If() | ast.While() | ast.IfExp():
            yield from _negation(node.test, text)
        case ast.comprehension():
            for test in node.ifs:
                yield from _negation(test, text)


def _operators(
    kind: str, operands: list[ast.expr], operators: list[Any], table: dict[Any, tuple[str, str]], text: _Text
) -> Iterator[Change]:
    for left, operator, right in zip(operands, operators, operands[1:], strict=False):
        pattern, new = table.get(type(operator), ("", ""))
        place = text.operator(text.span(left)[1], text.span(right)[0], pattern) if new else None
        if place:
            yield kind, place, new


def _negation(test: ast.expr, text: _Text) -> Iterator[Change]:
    has_opposite = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], OPPOSITES)
    if not has_opposite and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        start, end = text.span(test)
        yield "negation", (start, end), f"not ({text.source[start:end].decode()})"


def _is_another(source: bytes, mutant: Mutant) -> bool:
    try:
        return ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False
