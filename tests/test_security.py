"""The promises of SECURITY.md, each with the test that keeps it."""

from __future__ import annotations

import ast
import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from straightedge.data import cifar10, idx
from support.bad_inputs import Commands, png

SOURCE = Path(__file__).parents[1] / "src" / "straightedge"
FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("torch.load", "torch.jit.load", "torch.package", "joblib.load", "skops.io.load", "numpy.fromregex"),
    *("os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "read_pickle"),
    *("torch.distributed.broadcast_object_list", "all_gather_object", "scatter_object_list"),
    *("tarfile.extractall", "extractall", "extract", "shutil.unpack_archive"),
}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def dotted(node: ast.expr) -> str:
    """Return a called name such as ``torch.load``; the root of another expression is left out."""
    if isinstance(node, ast.Attribute):
        root = dotted(node.value)
        return f"{root}.{node.attr}" if root else node.attr
    return node.id if isinstance(node, ast.Name) else ""


def forbidden(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            words = {(keyword.arg, getattr(keyword.value, "value", None)) for keyword in node.keywords}
            weights_alone = name == "torch.load" and ("weights_only", True) in words
            if (name in FORBIDDEN_CALLS and not weights_alone) or (name.endswith(".extractall")):
                yield name
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                if (keyword.arg, value) in {("allow_pickle", True), ("weights_only", False), ("shell", True)}:
                    yield f"{name}({keyword.arg}={value})"


def test_nothing_is_unpickled_or_evaluated_anywhere() -> None:
    found = [f"{path.name}: {name}" for path, tree in trees() for name in forbidden(tree)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "archive.extractall(folder)",
    ],
)
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(forbidden(ast.parse(text)))


def test_every_np_load_refuses_pickles() -> None:
    """`numpy.load` refuses objects unless told otherwise; saying so keeps it if the default should change."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and dotted(node.func) in {"np.load", "numpy.load"}:
                words = {keyword.arg for keyword in node.keywords}
                assert words & {"allow_pickle", "mmap_mode"}, f"{path}:{node.lineno}"


def test_every_download_is_pinned_by_sha_256_and_comes_by_https() -> None:
    remotes = [cifar10.REMOTE, *(remote for group in idx.REMOTES.values() for remote in group)]
    for remote in remotes:
        assert re.fullmatch(r"[0-9a-f]{64}", remote.sha256), remote.url
        assert remote.url.startswith("https://")
        assert remote.size > 0
    users = [path.name for path, tree in trees() for node in ast.walk(tree) if _opens_url(node)]
    assert set(users) <= {"download.py"}, users


def _opens_url(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).endswith(("urlopen", "urlretrieve", "requests.get"))


class Tags(HTMLParser):
    """Collects every element with its attributes, and where it would load something from."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


EVIL_CLASS = "<img src=x onerror=alert(1)>"
EVIL_NAMES = [
    b"\"quoted\" & 'single'.png",
    b"line\nbreak.png",
    b"\xff\xfe not utf8.png",
    b"<script>alert(2)<script>.png",
    b"`tick` [x](javascript:alert(3)) | pipe.png",
]


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, capsys, monkeypatch)


def test_report_card_and_tables_escape_what_comes_from_names_and_labels(commands: Commands) -> None:
    root = os.fsencode(commands.path / "images")
    for seed, name in enumerate(EVIL_NAMES * 2):
        folder = os.path.join(root, EVIL_CLASS.encode() if seed < len(EVIL_NAMES) else b"={1+1}'\"</script>")
        os.makedirs(folder, exist_ok=True)
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(png(seed))
    ended = commands.run("fit", commands.path / "images", "--out", commands.path / "run", "--reg", "1")
    assert ended.status == 0, ended.err
    page = (commands.path / "run" / "report.html").read_text("utf-8")
    parser = Tags()
    parser.feed(page)
    for tag, attributes in parser.elements:
        assert not {name for name in attributes if name.startswith("on")}, (tag, attributes)
        assert attributes.get("src") != "x"
        assert not (attributes.get("href") or "").startswith("javascript:")
    assert EVIL_CLASS not in page.replace(html.escape(EVIL_CLASS), "")
    assert "alert(2)<script>" not in page
    assert sum(tag == "meta" and a.get("http-equiv") == "Content-Security-Policy" for tag, a in parser.elements)
    exported = commands.run("export", commands.path / "run", "--to", "torch")
    assert exported.status == 0, exported.err
    for card in (commands.path / "run").rglob("README.md"):
        assert EVIL_CLASS not in card.read_text("utf-8")
    import csv

    with (commands.path / "run" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(EVIL_NAMES)
    assert EVIL_CLASS in {row["label"] for row in rows}


HEAVY = ("torch", "numba", "sklearn", "scipy", "matplotlib", "pandas", "onnx", "pyarrow", "timm", "PIL", "numpy")
COMMANDS = [
    "fit",
    "evaluate",
    "predict",
    "report",
    "runs",
    "compare",
    "check-gradients",
    "export",
    "translate",
    "data",
]


def test_help_of_every_command_imports_nothing_heavy() -> None:
    """What costs more than the interpreter and typer is never imported for a help text."""
    code = """
import contextlib, io, sys
from straightedge.cli.app import main
for words in sys.argv[1].split(","):
    sys.argv = ["straightedge", *words.split(), "--help"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main()
    assert "Usage" in said.getvalue(), (words, said.getvalue())
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
    words = ",".join(["", *COMMANDS, "data fetch", "data list"])
    done = subprocess.run([sys.executable, "-c", code, words], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & set(HEAVY) == set()


MISTAKES: list[Any] = [
    pytest.param(["fit", "digitz"], ["digitz", "did you mean 'digits'"], id="a name with a slip"),
    pytest.param(["fit"], ["SOURCE", "straightedge fit digits"], id="no source"),
    pytest.param(["fit", "no/such/folder"], ["no/such/folder"], id="a folder that is not there"),
    pytest.param(["fit", "digits", "--loss", "hinge"], ["hinge", "svm"], id="another name of the loss"),
    pytest.param(["fit", "digits", "--solver", "adam"], ["adam", "sgd"], id="a solver there is not"),
    pytest.param(["fit", "digits", "--reg", "1", "--path"], ["--reg", "--path"], id="reg and path"),
    pytest.param(["fit", "digits", "--device", "gpu"], ["gpu", "cuda"], id="a device there is not"),
    pytest.param(["fit", "digits", "--tol", "0"], ["tol", "above 0"], id="tol 0"),
    pytest.param(["fit", "digits", "--memory", "lots"], ["lots", "2GB"], id="memory in words"),
    pytest.param(["fit", "digits", "--metric", "roc"], ["roc", "accuracy"], id="a metric there is not"),
    pytest.param(["fit", "digits", "--preprocess", "zca"], ["zca", "center"], id="a preprocess there is not"),
    pytest.param(["fit", "digits", "--bias", "none"], ["none", "penalized"], id="a bias there is not"),
    pytest.param(["fit", "digits", "--features", "sift"], ["sift", "hog"], id="features there are not"),
    pytest.param(["fit", "digits", "--protocol", "vtab"], ["vtab", "clip"], id="a protocol there is not"),
    pytest.param(["fit", "digits", "--folds", "1"], ["folds", "2"], id="one fold"),
    pytest.param(["fit", "digits", "--validation", "2"], ["validation is 2", "0.1"], id="validation of 200 %"),
    pytest.param(["evaluate", "nowhere", "digits"], ["nowhere"], id="a run that is not there"),
    pytest.param(["predict", "nowhere", "x.png"], ["nowhere"], id="a model that is not there"),
    pytest.param(["report", "nowhere"], ["nowhere"], id="a report of nothing"),
    pytest.param(["fit", "--resume", "nowhere"], ["nowhere", "without --resume"], id="nothing to resume"),
    pytest.param(["fti", "digits"], ["fti"], id="a command with a slip"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_typical_mistakes_say_what_was_found_and_what_was_expected(
    commands: Commands, words: list[str], said: list[str]
) -> None:
    ended = commands.run(*words)
    assert ended.status == 2, ended.err
    for word in said:
        assert word in ended.err, (word, ended.err)
    assert list(commands.path.iterdir()) == []
