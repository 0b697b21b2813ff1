"""A model's facts stand in records, by their own names as before; files and pickles of earlier versions open."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from straightedge.model import LinearModel, load
from straightedge.model.records import InputFormat, Proof
from straightedge.preprocess import AffineMap
from straightedge.tensorfile import read_tensors, write_tensors

FACTS = {  # what a file held when a model was one flat record
    "classes": ["a", "b"],
    "loss": "svm",
    "reg": 0.5,
    "objective": 0.25,
    "dual": 0.2,
    "gap": 0.2,
    "status": "certified",
    "bias_mode": "free",
    "input_shape": [3],
    "input_dtype": "uint8",
    "features": None,
    "temperature": 2.0,
    "versions": {"straightedge": "0.1.0"},
    "affine_kind": "center",
}
PROOF = Proof("svm", 0.5, "free", 0.25, 0.2, 0.2, "certified", versions={"straightedge": "0.1.0"})


def the_model() -> LinearModel:
    affine = AffineMap(torch.ones(3), torch.ones(3), "center")
    return LinearModel(
        torch.ones(3, 2),
        torch.zeros(2),
        ("a", "b"),
        affine=affine,
        temperature=2.0,
        proof=PROOF,
        input_shape=(3,),
        input_dtype="uint8",
    )


def test_facts_may_be_given_by_name_or_as_records() -> None:
    facts = {"loss": "svm", "gap": 0.1, "objective": 1.0, "dual": 0.9}
    by_name = LinearModel(torch.ones(3, 2), torch.zeros(2), ("a", "b"), **facts)
    assert by_name.proof == Proof(**facts) and by_name.input == InputFormat((3,))
    changed = replace(by_name, loss="softmax", temperature=3.0)
    assert (changed.loss, changed.gap, changed.temperature) == ("softmax", 0.1, 3.0)
    with pytest.raises(TypeError, match="LinearModel has no field losss"):
        LinearModel(torch.ones(3, 2), torch.zeros(2), ("a", "b"), losss="svm")


def test_every_fact_is_an_attribute_of_the_model() -> None:
    model = the_model()
    for record in (model.proof, model.input):
        assert {name: getattr(model, name) for name in vars(record)} == vars(record)


def test_a_file_of_an_earlier_version_opens(tmp_path: Path) -> None:
    tensors = {"weight": torch.ones(3, 2), "bias": torch.zeros(2)}
    tensors |= {"affine.shift": torch.ones(3), "affine.scale": torch.ones(3)}
    write_tensors(tmp_path / "old.safetensors", tensors, kind="model", version=1, meta=FACTS)
    found, expected = load(tmp_path / "old.safetensors"), the_model()
    assert (found.proof, found.input) == (expected.proof, expected.input)
    assert (found.temperature, found.threshold, found.affine.kind) == (2.0, None, "center")


def test_a_file_of_this_version_has_the_facts_of_earlier_ones(tmp_path: Path) -> None:
    the_model().save(tmp_path / "new.safetensors")
    _, facts = read_tensors(tmp_path / "new.safetensors", kind="model", version=1)
    assert json.loads(json.dumps(facts)) | FACTS == facts and set(facts) - set(FACTS) == {
        "columns",
        "threshold",
        "multilabel",
    }


def test_a_pickle_opens_of_this_version_and_of_an_earlier_one() -> None:
    model = the_model()
    assert pickle.loads(pickle.dumps(model)).proof == PROOF
    before = LinearModel.__new__(LinearModel)
    flat = {name: value for name, value in vars(model).items() if name not in ("proof", "input", "arrays")}
    tensors = {name: getattr(model, name) for name in ("weight", "bias", "affine")}
    for records in (vars(model.proof) | vars(model.input), {"proof": model.proof, "input": model.input}):
        before.__setstate__(flat | tensors | records)
        assert (before.proof, before.input, before.loss) == (model.proof, model.input, "svm")
        assert torch.equal(before.weight, model.weight) and before.affine.kind == model.affine.kind
        assert vars(before).keys() == vars(model).keys()
