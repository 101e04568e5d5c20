# SPDX-License-Identifier: Apache-2.0
"""Small faults of a source text, one at a time: what a test suite has to notice.

Kinds, for hardware descriptions and for plain Python alike:

comparison   a boundary taken or left (``<`` to ``<=``), equal and unequal exchanged
constant     an integer one larger, a truth value turned round
condition    a condition inverted, AND and OR exchanged
order        operands, arms of a choice or parts of a concatenation the other way round
dropped      one term of a sum or of a condition, one assignment, left out
width        a signal, a slice or a number type with fewer bits
reset        a register that starts with another value
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ("comparison", "constant", "condition", "order", "dropped", "width", "reset")

# Each comparison as it is written, and what takes its place.
COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
EXCHANGED = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
ADDITIVE = (ast.Add, ast.Sub, ast.BitAnd, ast.BitOr)
# What a message says is not what a program does.
SILENT = (ast.Raise, ast.Assert, ast.JoinedStr)


@dataclass(frozen=True)
class Mutant:
    """One fault.

    path : of the file, from the top of the project
    place : qualified name of the function or class it lies in, empty for the module
    kind : one of ``KINDS``
    line : where it begins, from 1
    before, after : text that is replaced, and what replaces it
    start, stop : bytes of the source that ``before`` takes
    number : among mutants of the same place, kind and texts
    """

    path: str
    place: str
    kind: str
    line: int
    before: str
    after: str
    start: int
    stop: int
    number: int = 0

    @property
    def name(self) -> str:
        """Stays the same while lines move and other functions change."""
        words = (self.path, self.place, self.kind, self.before, self.after, str(self.number))
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]

    def apply(self, source: bytes) -> bytes:
        """The file with this fault in it."""
        return source[: self.start] + self.after.encode() + source[self.stop :]

    def compiles(self, source: bytes) -> bool:
        """Whether the file is still Python with this fault in it."""
        try:
            compile(self.apply(source), self.path, "exec", dont_inherit=True)
        except SyntaxError:
            return False
        return True


def mutants(source: bytes, path: str) -> list[Mutant]:
    """All faults of a file, in the order of the text; few of them do not compile.

    ``path`` tells whether the file describes hardware: those below ``hdl`` do.
    """
    found = _Finder(source, path.startswith("hdl/")).run()
    seen: dict[tuple[str, ...], int] = {}
    numbered = []
    for place, kind, line, start, stop, after in sorted(found, key=lambda f: (f[3], f[1], f[5])):
        before = source[start:stop].decode()
        key = place, kind, before, after
        number = seen[key] = seen.get(key, -1) + 1
        numbered.append(Mutant(path, place, kind, line, before, after, start, stop, number))
    return numbered


Found = tuple[str, str, int, int, int, str]  # place, kind, line, start, stop, after


class _Finder(ast.NodeVisitor):
    """Collects the faults of one file."""

    def __init__(self, source: bytes, is_hardware: bool) -> None:
        self.source, self.is_hardware = source, is_hardware
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.found: list[Found] = []
        self.place: list[str] = []
        self.registers: set[str] = set()

    def run(self) -> list[Found]:
        tree = ast.parse(self.source)
        self.registers = _registers(tree)
        self.visit(tree)
        return self.found

    # ---- where things are

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        start = self.lines[node.lineno - 1] + node.col_offset
        return start, self.lines[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        start, stop = self.span(node)
        return self.source[start:stop].decode()

    def add(self, kind: str, node: ast.expr | ast.stmt, after: str) -> None:
        start, stop = self.span(node)
        self.found.append((".".join(self.place), kind, node.lineno, start, stop, after))

    # ---- what is passed over, and names of places

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, SILENT):
            return
        named = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if named:
            self.place.append(node.name)
        super().visit(node)
        if named:
            self.place.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        # Annotations and decorators do nothing at run time that a test could see.
        for child in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]:
            self.visit(child)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for child in node.body:
            self.visit(child)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # docstrings are no code
            self.generic_visit(node)

    # ---- comparisons, constants

    def visit_Compare(self, node: ast.Compare) -> None:
        for i in range(len(node.ops)):
            words = [self.text(node.left)]
            for j, (sign, operand) in enumerate(zip(node.ops, node.comparators, strict=True)):
                words += [COMPARISONS[type(sign)][i == j], self.text(operand)]
            self.add("comparison", node, " ".join(words))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add("constant", node, str(not node.value))
        elif isinstance(node.value, int):
            self.add("constant", node, str(node.value + 1))

    # ---- conditions

    def invert(self, test: ast.expr) -> None:
        self.add("condition", test, f"(not ({self.text(test)}))")

    def visit_If(self, node: ast.If) -> None:
        self.invert(node.test)
        self.generic_visit(node)

    visit_While = visit_IfExp = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.invert(test)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        texts = [f"({self.text(value)})" for value in node.values]
        other = " or " if isinstance(node.op, ast.And) else " and "
        same = " and " if isinstance(node.op, ast.And) else " or "
        self.add("condition", node, f"({other.join(texts)})")
        for i in range(len(texts)):
            self.add("dropped", node, f"({same.join(texts[:i] + texts[i + 1 :])})")
        self.generic_visit(node)

    # ---- arithmetic

    def visit_BinOp(self, node: ast.BinOp) -> None:
        left, right = self.text(node.left), self.text(node.right)
        if isinstance(node.op, ADDITIVE):
            self.add("dropped", node, f"({left})")
            self.add("dropped", node, f"({right})")
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            sign = "|" if isinstance(node.op, ast.BitAnd) else "&"
            self.add("condition", node, f"(({left}) {sign} ({right}))")
        swapped = {ast.Sub: "-", ast.FloorDiv: "//", ast.Mod: "%"}
        if not self.is_hardware:  # a shift by a wide signal is refused when hardware is made
            swapped |= {ast.LShift: "<<", ast.RShift: ">>"}
        if type(node.op) in swapped and not isinstance(node.left, ast.Constant):
            self.add("order", node, f"(({right}) {swapped[type(node.op)]} ({left}))")
        self.generic_visit(node)

    # ---- calls: conditions of hardware, choices, concatenations, widths, resets

    def visit_Call(self, node: ast.Call) -> None:
        name = _last_name(node.func)
        texts = [self.text(argument) for argument in node.args]
        function = self.text(node.func)
        if name in ("If", "Elif") and self.is_hardware and texts:
            self.add("condition", node.args[0], f"(({texts[0]}) == 0)")
        if name in ("Mux", "where") and len(texts) == 3:
            self.add("order", node, f"{function}({texts[0]}, {texts[2]}, {texts[1]})")
        if name == "Cat" and len(texts) > 1:
            self.add("order", node, f"{function}({', '.join(reversed(texts))})")
        if name in EXCHANGED and isinstance(node.func, ast.Name | ast.Attribute):
            self.add("order", node.func, function.removesuffix(name) + EXCHANGED[name])
        if self.is_hardware and name in ("Signal", "signed", "unsigned") and texts:
            self.narrow(node.args[0])
        self.generic_visit(node)

    def narrow(self, shape: ast.expr) -> None:
        text = self.text(shape)
        if isinstance(shape, ast.Call):
            if _last_name(shape.func) == "range" and len(shape.args) == 1:
                end = self.text(shape.args[0])
                self.add("width", shape, f"range((({end}) + 1) // 2)")
        elif not isinstance(shape, ast.Attribute | ast.Name) or text.endswith("width"):
            self.add("width", shape, f"({text}) - 1")

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if self.is_hardware and isinstance(node.slice, ast.Slice) and node.slice.upper is not None:
            upper = node.slice.upper
            self.add("width", upper, f"({self.text(upper)}) - 1")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self.text(node) == "np.int64":
            self.add("width", node, "np.int16")
        self.generic_visit(node)

    # ---- statements

    def visit_Assign(self, node: ast.Assign) -> None:
        value = node.value
        if isinstance(value, ast.Call) and _last_name(value.func) == "Signal" and self.is_hardware:
            self.reset(value, {ast.unparse(target) for target in node.targets})
        self.generic_visit(node)

    def reset(self, call: ast.Call, names: set[str]) -> None:
        given = {keyword.arg: keyword for keyword in call.keywords}
        if "init" in given:
            self.add("reset", given["init"].value, f"({self.text(given['init'].value)}) ^ 1")
        elif "reset_less" not in given and names & self.registers:
            text = self.text(call)[:-1].rstrip().removesuffix(",")
            separator = "" if text.endswith("(") else ", "
            self.add("reset", call, f"{text}{separator}init=1)")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.value, ast.List) and _is_domain(node.target):
            for element in node.value.elts:
                self.add("dropped", element, "*()")
        else:
            self.add("dropped", node, "pass")
        self.generic_visit(node)


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_domain(target: ast.expr) -> bool:
    """``m.d.comb``, ``m.d.sync`` and the like."""
    return isinstance(target, ast.Attribute) and ast.unparse(target).startswith("m.d.")


def _registers(tree: ast.AST) -> set[str]:
    """Names that an assignment in ``m.d.sync`` writes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "m.d.sync":
            names |= set(_assigned(node.value))
    return names


def _assigned(value: ast.expr) -> Iterator[str]:
    for call in ast.walk(value):
        if isinstance(call, ast.Call) and _last_name(call.func) == "eq":
            yield ast.unparse(call.func.value)
