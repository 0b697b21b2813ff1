"""``straightedge check-gradients``: table, JSON, exit status."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from straightedge.cli import check_gradients
from straightedge.errors import InputError
from support.gradcheck_mistakes import softmax

app = typer.Typer()
app.command()(check_gradients.command)


def run(*arguments):
    return CliRunner().invoke(app, [*arguments, "--rows", "12", "--entries", "8"])


def test_digits_pass_and_the_table_names_every_function():
    result = run("digits", "--loss", "softmax")
    assert result.exit_code == 0, result.output
    for name in ("softmax_loss_naive", "softmax_loss_vectorized", "losses.softmax"):
        assert name in result.output
    assert "mistake" not in result.output


def test_json_is_printed_alone():
    result = run("digits", "--loss", "svm", "--json")
    answer = json.loads(result.stdout)
    assert answer["ok"] is True
    assert [check["loss"] for check in answer["checks"]] == ["svm"] * 3
    assert all(check["max_relative_error"] < 1e-6 for check in answer["checks"])


def test_a_mistake_ends_with_status_1_and_its_name(monkeypatch):
    def half(W, X, y, reg):
        loss, dW = softmax(W.numpy(), X.numpy(), y.numpy(), reg)
        return loss, dW - reg * W.numpy()

    monkeypatch.setattr(check_gradients, "_functions", lambda choice: {"half": (half, "softmax")})
    result = run("digits")
    assert result.exit_code == 1
    assert "regulariser-two-missing" in result.output
    assert "2 * reg * W" in result.output


def test_features_of_a_file(tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "rows.npz"
    np.savez(path, X=generator.standard_normal((30, 4)).astype(np.float32), y=np.arange(30) % 3)
    result = run(str(path), "--loss", "crammer_singer", "--verbose")
    assert result.exit_code == 0, result.output
    assert "bias" in result.output


def test_an_unknown_loss_is_refused():
    with pytest.raises(InputError, match="loss-unknown"):
        check_gradients._functions("hinges")
