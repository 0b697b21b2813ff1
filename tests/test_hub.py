"""A repository of the hub: the model goes there and comes back to the bit, of every kind, without a network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from straightedge import LinearModel
from straightedge.errors import InputError, MachineError
from straightedge.export import export_model
from straightedge.features.base import build_extractor
from support.bad_inputs import Commands
from test_export import digits_model
from test_texts import letters
from test_views import table_model

hub = pytest.importorskip("huggingface_hub", reason="no huggingface_hub")


def text_model() -> LinearModel:
    extractor = build_extractor("tfidf", ngrams="1-2")
    extractor.fit([text for _, text in letters(30)])
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(extractor.n_features, 3)))
    return LinearModel(
        weight=weight.float(),
        bias=torch.zeros(3),
        classes=("sea", "town", "wood"),
        features=extractor.config(),
        extractor_state=extractor.state(),
        temperature=1.7,
    )


def several_labels() -> LinearModel:
    return replace(digits_model(n_classes=3)[0], multilabel=True)


MODELS = {
    "images": (lambda: digits_model()[0], lambda: digits_model()[1]),
    "several labels": (several_labels, lambda: digits_model()[1]),
    "a table": (table_model, lambda: np.array([[2.0, 0, 1], [-2.0, 1, 0]], np.float32)),
    "texts": (text_model, lambda: [text for _, text in letters(20, 3)]),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_comes_back_from_its_folder_to_the_bit(kind: str, tmp_path: Path) -> None:
    make, rows_of = MODELS[kind]
    model, rows = make(), rows_of()
    checked = model.extractor.transform(rows) if model.takes_texts else None
    files = export_model(model, "hub", tmp_path / "hub", rows=checked)
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    again = LinearModel.from_pretrained(tmp_path / "hub")
    assert np.array_equal(again.scores(rows), model.scores(rows))
    assert np.array_equal(again.predict(rows), model.predict(rows))
    if model.has_probabilities:
        assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
    config = json.loads((tmp_path / "hub" / "config.json").read_text("utf-8"))
    assert [config["id2label"][str(k)] for k in range(len(model.classes))] == list(model.classes)
    assert config["library_name"] == "straightedge"


def test_the_card_is_one_that_the_hub_reads_and_its_lines_work(tmp_path: Path, monkeypatch: Any) -> None:
    model, X = digits_model()
    export_model(model, "hub", tmp_path / "hub", rows=X[:20])
    card = hub.ModelCard.load(tmp_path / "hub" / "README.md")
    assert card.data.library_name == "straightedge"
    assert card.data.tags == ["linear-classifier", "image-classification"]
    code = card.text.partition("```python\n")[2].partition("```")[0]
    asked = fake_download(monkeypatch, tmp_path / "hub")
    names: dict[str, Any] = {"X": X[:5]}
    exec(code, names)
    assert names["labels"] == [model.classes[label] for label in model.predict(X[:5])]
    assert asked == [("OWNER/NAME", "model.safetensors", None)]
    several = export_model(several_labels(), "hub", tmp_path / "several")
    assert several and "any number of them, or none" in (tmp_path / "several" / "README.md").read_text()


def fake_download(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[str, str, str | None]]:
    """Stand in for the hub's download: the file is taken from a folder; return what is asked for."""
    asked = []

    def download(repository: str, name: str, *, revision: str | None = None) -> str:
        asked.append((repository, name, revision))
        return str(folder / name)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    return asked


def test_a_repository_is_asked_for_one_file_of_one_revision(tmp_path: Path, monkeypatch: Any) -> None:
    model, X = digits_model()
    export_model(model, "hub", tmp_path / "hub", rows=X[:20])
    asked = fake_download(monkeypatch, tmp_path / "hub")
    again = LinearModel.from_pretrained("someone/digits", revision="v1")
    assert np.array_equal(again.scores(X), model.scores(X))
    assert asked == [("someone/digits", "model.safetensors", "v1")]


def test_what_the_hub_has_not_and_a_hub_that_is_away_are_told_apart(monkeypatch: Any) -> None:
    def raised(error: Exception) -> Any:
        def download(*_: object, **__: object) -> str:
            raise error

        monkeypatch.setattr(hub, "hf_hub_download", download)
        with pytest.raises((InputError, MachineError)) as caught:
            LinearModel.from_pretrained("someone/digits")
        return caught.value.code

    errors = hub.errors
    gone = errors.RepositoryNotFoundError.__new__(errors.RepositoryNotFoundError)
    assert raised(gone) == "hub-missing"
    assert raised(errors.LocalEntryNotFoundError("no network")) == "hub-failed"
    assert raised(ConnectionError("no route")) == "hub-failed"
    with pytest.raises(InputError, match="names no repository"):
        LinearModel.from_pretrained("no/such/folder")


def test_the_command_writes_a_repository_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands(tmp_path, capsys, monkeypatch)
    rows = [f"{k % 7},{'ab'[k % 2]},{'yes' if k % 3 else 'no'}" for k in range(60)]
    (tmp_path / "table.csv").write_text("\n".join(["size,kind,label", *rows]) + "\n")
    assert commands.run("fit", "table.csv", "--labels", "label", "--reg", "1e-2", "--quiet").status == 0
    (run,) = (tmp_path / "runs").iterdir()
    told = commands.run("export", run, "--to", "hub", "--json").json
    assert sorted(told["files"]) == ["README.md", "config.json", "model.safetensors"]
    assert LinearModel.from_pretrained(run / "hub").classes == ("no", "yes")
