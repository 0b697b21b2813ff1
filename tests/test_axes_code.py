"""What the code of the axes may not do: recognise a loss, compute with reg in a solver, reach past the design."""

import ast
import functools
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import straightedge
from straightedge.losses import LOSSES

SOURCE = Path(straightedge.__file__).parent
FORBIDDEN = ("rows", "kernels", "data")  # for solvers
OF_THE_NOTES = ("course/", "gradcheck/", "cli/check_gradients.py")  # they name the notes' two losses

MOST_LINES, MOST_FIELDS, MEDIAN, LONGEST = 350, 15, 8, 40
ESTIMATORS = (
    "LinearClassifier",
    "LinearClassifierCV",
    "FittedClassifier",
)  # parameters and fitted attributes as scikit-learn


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def trees(folder: str = ".") -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((SOURCE / folder).rglob("*.py")):
        yield str(path.relative_to(SOURCE)), parsed(path)


def names(node: ast.AST) -> set[str]:
    """Names and attributes that an operand is, through calls, subscripts and signs."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    if isinstance(node, ast.Subscript):
        return names(node.value)
    if isinstance(node, ast.UnaryOp):
        return names(node.operand)
    if isinstance(node, ast.Call):
        inside = [names(argument) for argument in node.args]
        return set().union(*inside) | (names(node.func) if isinstance(node.func, ast.Attribute) else set())
    return set()


def words(node: ast.AST) -> set[str]:
    """Strings that are compared with: a constant, or those of a tuple, list or set."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return set().union(*(words(element) for element in node.elts))
    return set()


def is_a_loss(node: ast.AST) -> bool:
    return any(name.endswith("Loss") or name == "loss" for name in names(node))


def recognised(tree: ast.Module) -> Iterator[int]:
    """Lines on which a loss is asked for its name or its class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = [words(part) for part in (node.left, *node.comparators)]
            if set().union(*compared) & set(LOSSES):
                yield node.lineno
        elif isinstance(node, ast.Call) and names(node.func) & {"isinstance", "type"}:
            yield from [node.lineno for argument in node.args if is_a_loss(argument)]


def computed_with_reg(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        sides = []
        if isinstance(node, ast.BinOp):
            sides = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            sides = [node.target, node.value]
        elif isinstance(node, ast.UnaryOp):
            sides = [node.operand]
        if any("reg" in names(side) for side in sides):
            yield node.lineno


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_no_loss_is_recognised_outside_losses() -> None:
    found = [
        f"{name}:{line}"
        for name, tree in trees()
        if not name.startswith(("losses/", *OF_THE_NOTES))
        for line in recognised(tree)
    ]
    assert not found


def test_solvers_do_not_compute_with_reg() -> None:
    found = [f"{name}:{line}" for name, tree in trees("solvers") for line in computed_with_reg(tree)]
    assert not found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_solvers_do_not_reach_past_the_design(room: str) -> None:
    target = f"straightedge.{room}"
    found = [
        name
        for name, tree in trees("solvers")
        for module in imported(tree)
        if module == target or module.startswith(f"{target}.")
    ]
    assert not found


@pytest.mark.parametrize(
    ("code", "finds"),
    [
        ("if loss.name == 'softmax': pass", recognised),
        ("if name in ('softmax', 'svm'): pass", recognised),
        ("isinstance(objective.loss, object)", recognised),
        ("isinstance(x, HingeLoss)", recognised),
        ("y = 2 * objective.reg", computed_with_reg),
        ("y = x / float(self.reg[0])", computed_with_reg),
        ("y = -reg", computed_with_reg),
    ],
)
def test_the_searches_find_what_they_look_for(code: str, finds: object) -> None:
    assert list(finds(ast.parse(code))) == [1]  # type: ignore[operator]


# ------------------------------------------------------------------------- the size of things


def body_lines(node: ast.FunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    first = node.body[1:] if ast.get_docstring(node) else node.body
    return node.end_lineno - first[0].lineno + 1 if first else 0  # type: ignore[operator]


def fields_of(node: ast.ClassDef) -> set[str]:
    """Annotated names of a class, and all attributes that its methods set on themselves."""
    declared = {s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
    return declared | {
        inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute)
        and isinstance(inner.ctx, ast.Store)
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "self"
    }


def parameters_of(node: ast.ClassDef) -> set[str]:
    """Names of the arguments with which a class is made."""
    made = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
    return {argument.arg for f in made for argument in (*f.args.args, *f.args.kwonlyargs)}


def classes() -> Iterator[ast.ClassDef]:
    for _, tree in trees():
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, tree in trees():
        yield from ((f"{name}:{f.name}", f) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef))


def test_no_class_has_many_fields() -> None:
    """A scikit-learn estimator has its parameters and fitted attributes besides, as scikit-learn wants them."""
    found: dict[str, int] = {}
    for node in classes():
        own = fields_of(node)
        if node.name in ESTIMATORS:
            own = {name for name in own - parameters_of(node) if not name.endswith("_")}
        found[node.name] = max(len(own), found.get(node.name, 0))
    assert set(ESTIMATORS) <= set(found)
    assert not {name: n for name, n in found.items() if n > MOST_FIELDS}


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert not {name: n for name, n in lengths.items() if n > MOST_LINES}


def test_functions_are_small() -> None:
    """The body of a command counts as any other; its signature is the list of its options."""
    whole = [f.end_lineno - f.lineno + 1 for _, f in functions()]  # type: ignore[operator]
    assert statistics.median(whole) <= MEDIAN
    assert not {name: body_lines(f) for name, f in functions() if body_lines(f) >= LONGEST}


def test_the_measures_see_what_they_should() -> None:
    tree = ast.parse(
        "class A:\n a: int\n def f(self,\n  x):\n  'doc'\n  self.b = self.c, self.d = 1, 2\n  return self.e\n"
    )
    node = tree.body[0]
    assert isinstance(node, ast.ClassDef) and fields_of(node) == {"a", "b", "c", "d"}
    assert isinstance(node.body[1], ast.FunctionDef) and body_lines(node.body[1]) == 2
