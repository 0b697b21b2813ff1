"""``straightedge check-gradients mine.py:svm_loss``: a file of a student's, checked as its author would."""

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from straightedge.cli import check_gradients
from straightedge.errors import InputError
from straightedge.gradcheck.finding import expected_by_name, find_function, names_a_function, takes_torch

app = typer.Typer()
app.command()(check_gradients.command)

SVM = """
import numpy as np

def svm_loss(W, X, y, reg):
    print("called")
    n = len(y)
    S = X @ W
    M = np.maximum(0, S - S[np.arange(n), y][:, None] + 1)
    M[np.arange(n), y] = 0
    mask = (M > 0).astype(float)
    mask[np.arange(n), y] = -mask.sum(axis=1)
    return M.sum() / n + reg * np.sum(W * W), X.T @ mask / n + 2 * reg * W

def svm_sum(W, X, y, reg):
    loss, dW = svm_loss(W, X, y, 0.0)
    return loss + reg * np.sum(W * W), dW * len(y) + 2 * reg * W

def mine(W, X, y, reg):
    return svm_sum(W, X, y, reg)
"""
SOFTMAX = """
import numpy as np
import torch
import torch.nn.functional as F

def softmax_loss(W, X, y, reg):
    p = F.softmax(X.mm(W), dim=1)
    loss = F.cross_entropy(X.mm(W), y) + reg * torch.sum(W * W)
    p[torch.arange(len(y)), y] -= 1
    return loss, X.t().mm(p) / len(y) + 2 * reg * W
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SVM, encoding="utf-8")
    (tmp_path / "theirs.py").write_text(SOFTMAX, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "theirs", "broken", "utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("mine", "theirs", "broken", "utils"):
        sys.modules.pop(name, None)


def run(*arguments):
    return CliRunner().invoke(app, [*arguments, "--rows", "20", "--entries", "8"])


@pytest.mark.parametrize(
    ("word", "loss"),
    [("mine.py:svm_loss", "the SVM loss of the notes"), ("theirs:softmax_loss", "the softmax loss of the notes")],
)
def test_a_right_function_ends_with_0_and_says_which_loss_it_is(folder, word, loss):
    result = run(word)
    assert result.exit_code == 0, result.output
    assert f"gradient and value are right: it is {loss}" in result.output
    assert "called\n" not in result.output


def test_a_wrong_function_ends_with_1_its_mistake_in_words_and_the_entry(folder):
    result = run("mine.py:svm_sum")
    assert result.exit_code == 1
    assert "dW is N times too large: its 1/N is missing" in result.output
    assert "[missing-division-by-n]" in result.output
    assert "where: dW[" in result.output
    assert "by its name" in result.output


def test_json_is_for_a_grader(folder):
    result = run("mine.py:mine", "--expected", "svm", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    (check,) = answer["checks"]
    assert answer["ok"] is False
    assert (check["function"], check["expected"], check["framework"]) == ("mine.py:mine", "svm", "numpy")
    (item,) = check["diagnosis"]
    assert (item["code"], item["detail"]) == ("missing-division-by-n", "mean-missing")
    assert json.loads(run("theirs.py:softmax_loss", "--json").stdout)["checks"][0]["framework"] == "torch"


def test_what_is_expected_can_be_said(folder):
    result = run("mine.py:svm_loss", "--expected", "softmax")
    assert result.exit_code == 1
    assert "the value is that of another loss, the SVM loss of the notes" in result.output
    assert run("mine.py:svm_loss", "--expected", "any").exit_code == 0


def test_other_data_can_be_named(folder):
    import numpy as np

    generator = np.random.default_rng(0)
    np.savez("rows.npz", X=generator.standard_normal((30, 4)), y=np.arange(30) % 3)
    result = run("mine.py:svm_loss", "--data", "rows.npz")
    assert result.exit_code == 0, result.output
    assert "20 rows of rows.npz" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import numpy as np\nx = 1 / 0\n", "ZeroDivisionError: division by zero (line 2: x = 1 / 0)"),
        ("def loss(W, X, y, reg:\n", "SyntaxError"),
        ("import nothing_of_this_name\n", "ModuleNotFoundError"),
        ("def loss(W, X, y, reg):\n    raise SystemExit\n", "SystemExit (line 2: raise SystemExit)"),
        ("def loss(W, X):\n    return 1\n", "TypeError: loss() takes 2 positional arguments"),
    ],
    ids=["raises", "syntax", "import", "exit", "signature"],
)
def test_a_file_that_ends_in_an_exception_is_a_report(folder, text, said):
    Path("broken.py").write_text(text, encoding="utf-8")
    result = run("broken.py:loss")
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert json.loads(run("broken.py:loss", "--json").stdout)["checks"][0]["diagnosis"][0]["code"] == "raises"


@pytest.mark.parametrize(
    ("word", "mend"),
    [
        ("mine.py:svm_los", "it has: mine, svm_loss, svm_sum"),
        ("nowhere.py:svm_loss", "a path such as mine.py:svm_loss"),
        ("nowhere:svm_loss", "mine.py"),
        ("mine.py:np", "name a function"),
    ],
)
def test_a_function_that_is_not_there_is_refused(folder, word, mend):
    with pytest.raises(InputError) as caught:
        find_function(word)
    assert caught.value.code in {"function-missing", "function-kind"}
    assert mend in str(caught.value.mend)


def test_a_file_in_a_package_imports_its_neighbours(folder):
    package = folder / "cs231n" / "classifiers"
    package.mkdir(parents=True)
    for place in (package, package.parent):
        (place / "__init__.py").touch()
    (package / "helpers.py").write_text("one = 1\n")
    (package / "linear_svm.py").write_text("from .helpers import one\n" + SVM)
    assert run("cs231n/classifiers/linear_svm.py:svm_loss").exit_code == 0
    for name in [name for name in sys.modules if name.partition(".")[0] == "cs231n"]:
        del sys.modules[name]


def test_a_file_may_be_called_like_a_library(folder):
    (folder / "json.py").write_text(SVM)
    assert run("json.py:svm_loss").exit_code == 0
    assert sys.modules["json"] is json


def test_a_file_without_a_function_is_told_the_command(folder):
    with pytest.raises(InputError, match="source-kind") as refused:
        check_gradients.command("mine.py")
    assert refused.value.mend.endswith("straightedge check-gradients mine.py:NAME")


def test_options_that_mean_nothing_are_refused(folder):
    for arguments in (("mine.py:svm_loss", "--loss", "svm"), ("digits", "--expected", "svm")):
        assert run(*arguments).exception.code == "option-unused"
    assert run("mine.py:svm_loss", "--expected", "hinge").exception.code == "gradcheck-loss"


def test_words_and_names(folder):
    assert names_a_function("mine.py:svm_loss")
    assert names_a_function("package.module:loss")
    assert not names_a_function("digits")
    assert not names_a_function("https://example.org/x.zip")
    (folder / "a:b").mkdir()
    assert not names_a_function("a:b")
    assert expected_by_name("svm_loss_vectorized") == "svm"
    assert expected_by_name("softmax_loss_naive") == "softmax"
    assert expected_by_name("svm_or_softmax") is None
    assert expected_by_name("loss") is None
    assert takes_torch(find_function("theirs.py:softmax_loss"))
    assert not takes_torch(find_function("mine.py:svm_loss"))
