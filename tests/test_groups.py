"""Groups that no split tears apart, and folds that are given."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import GroupKFold, KFold

from straightedge import LinearClassifierCV
from straightedge.data import load_dataset
from straightedge.data.near_rows import near_share
from straightedge.errors import InputError
from straightedge.groups import fold_of_groups, hold_out_groups
from straightedge.splits import NEVER
from straightedge.workflow import FitOptions, run_fit

random = np.random.default_rng(0)
PATIENT = np.repeat(np.arange(40), 10)
X = random.normal(size=(40, 64))[PATIENT] + 0.1 * random.normal(size=(400, 64))
Y = random.integers(0, 2, 40)[PATIENT]


def test_a_group_is_in_one_fold_and_classes_are_spread():
    y = random.integers(0, 3, 400)
    fold = fold_of_groups(y, PATIENT, 5)
    assert all(len(np.unique(fold[patient == PATIENT])) == 1 for patient in range(40))
    assert np.bincount(fold).tolist() == [80] * 5
    shares = np.array([np.bincount(y[fold == k], minlength=3) / 80 for k in range(5)])
    assert shares.std(axis=0).max() < 0.08
    assert not np.array_equal(fold, fold_of_groups(y, PATIENT, 5, seed=1))


def test_the_only_group_of_a_class_stays_in_training():
    y = np.where(PATIENT == 7, 2, Y)
    fold = fold_of_groups(y, PATIENT, 4)
    assert (fold[PATIENT == 7] == NEVER).all() and (fold[PATIENT != 7] != NEVER).all()
    with pytest.raises(InputError, match="groups-invalid"):
        fold_of_groups(Y, PATIENT, 41)


def test_a_share_of_the_groups_is_held_out():
    train, validation = hold_out_groups(Y, PATIENT, 0.2)
    assert 60 <= len(validation) <= 100 and not set(PATIENT[train]) & set(PATIENT[validation])


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_grouped_rows_are_judged_by_groups_they_have_not_seen():
    torn = LinearClassifierCV(regs=[1e-2]).fit(X, Y).scores_.max()
    whole = LinearClassifierCV(regs=[1e-2]).fit(X, Y, groups=PATIENT).scores_.max()
    assert torn > 0.95 and whole < 0.7


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@pytest.mark.parametrize("weighted", [False, True])
def test_splitters_of_scikit_learn_and_pairs_of_positions_are_taken(weighted):
    weight = np.where(np.arange(400) % 7 == 0, 0.0, 1.0) if weighted else None
    by_splitter = LinearClassifierCV(regs=[1e-2], cv=GroupKFold(5)).fit(X, Y, weight, groups=PATIENT)
    pairs = list(GroupKFold(5).split(X, Y, PATIENT))
    by_pairs = LinearClassifierCV(regs=[1e-2], cv=pairs).fit(X, Y, weight)
    assert by_splitter.scores_ == by_pairs.scores_ and by_splitter.scores_.max() < 0.7
    assert LinearClassifierCV(regs=[1e-2], cv=KFold(5, shuffle=True)).fit(X, Y, weight).scores_.max() > 0.95


@pytest.mark.parametrize("cv", [[], [([0, 1], [])], [([0, 1], [400])], KFold(500), "five", 2.5])
def test_what_gives_no_splits_is_refused(cv):
    with pytest.raises(InputError, match="cv-invalid"):
        LinearClassifierCV(regs=[1e-2], cv=cv).fit(X, Y)


@pytest.mark.parametrize("groups", [PATIENT[:-1], np.where(PATIENT == 3, np.nan, PATIENT), [None] * 400])
def test_groups_that_are_not_one_for_each_row_are_refused(groups):
    with pytest.raises(InputError, match="groups-invalid"):
        LinearClassifierCV(regs=[1e-2]).fit(X, Y, groups=groups)


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@pytest.mark.parametrize("change", [{"folds": 5}, {"regs": [1e-2, 1e-3]}, {"regs": [1e-2], "folds": 4}, {}])
def test_the_command_keeps_the_rows_of_a_patient_together(change, tmp_path):
    rows = zip(X.round(4).tolist(), PATIENT, Y, strict=True)
    lines = [",".join(map(str, [*row, f"p{patient}", label])) for row, patient, label in rows]
    (tmp_path / "a.csv").write_text("\n".join([",".join(f"x{i}" for i in range(64)) + ",patient,label", *lines]))
    asked = {"groups": "patient", "progress": False} | change
    metrics = run_fit(FitOptions(str(tmp_path / "a.csv"), str(tmp_path / "run"), **asked))
    assert metrics["validation"]["accuracy"] < 0.75
    assert "patient" not in {row["name"] for row in metrics["columns"]}
    assert "groups: column 'patient', which is no feature" in metrics["notes"]


@pytest.mark.parametrize("width", [3, 10, 100])
@pytest.mark.parametrize("size", [2, 10])
def test_rows_that_are_nearly_the_same_are_counted(width, size):
    draw = np.random.default_rng(width)
    alone = draw.normal(size=(400, width))
    assert near_share(alone) <= 0.03
    near = np.repeat(alone[: 200 // size], size, axis=0)
    near += 0.03 * draw.normal(size=near.shape)
    assert near_share(near) > 0.9
    assert abs(near_share(np.concatenate([alone[200:], near])) - 0.5) < 0.1


class Source:
    """Rows that are read when they are needed, as those of a large table."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

    def read(self, start, stop):
        return self.rows[start:stop]


def test_rows_on_disk_are_sampled_in_runs():
    draw = np.random.default_rng(0)
    alone = draw.normal(size=(12_000, 10))
    near = np.repeat(alone[:1200], 10, axis=0) + 0.03 * draw.normal(size=alone.shape)
    assert near_share(Source(alone)) <= 0.03 and near_share(Source(near)) > 0.9


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_rows_of_patients_in_a_table_are_chance_by_groups_and_warned_of_without(tmp_path):
    whole = []
    for seed in range(4):
        draw = np.random.default_rng(seed)
        person, kind = np.repeat(draw.normal(size=(40, 5)), 10, axis=0), draw.permutation(40) % 2
        cells = np.column_stack([(person + 0.01 * draw.normal(size=person.shape)).round(4), PATIENT])
        lines = [",".join(map(str, row)) + f",{'ab'[kind[p]]}" for row, p in zip(cells, PATIENT, strict=True)]
        (tmp_path / f"{seed}.csv").write_text("\n".join(["a,b,c,d,e,patient,label", *lines]))
        asked = {"folds": 5, "reg": 0.01, "progress": False, "groups": "patient"}
        found = run_fit(FitOptions(str(tmp_path / f"{seed}.csv"), str(tmp_path / f"g{seed}"), **asked))
        whole.append(found["validation"]["accuracy"])
    assert abs(np.mean(whole) - 0.5) < 0.13  # 160 patients: one standard error is 0.04
    asked = {"folds": 5, "reg": 0.01, "progress": False, "table": {"drop": "patient"}}
    torn = run_fit(FitOptions(str(tmp_path / "0.csv"), str(tmp_path / "torn"), **asked))
    assert any("about 100 % of the training rows are nearly the same" in note for note in torn["notes"])


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_rows_of_common_data_are_not_nearly_the_same(load):
    assert near_share(load(return_X_y=True)[0]) < 0.01


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_groups_come_from_a_file_too(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    (tmp_path / "patients.txt").write_text("\n".join(f"patient {p}" for p in PATIENT))
    groups = str(tmp_path / "patients.txt")
    asked = {"folds": 5, "reg": 0.01, "progress": False}
    torn = run_fit(FitOptions(str(tmp_path / "a.npz"), str(tmp_path / "torn"), **asked))
    whole = run_fit(FitOptions(str(tmp_path / "a.npz"), str(tmp_path / "whole"), groups=groups, **asked))
    assert torn["validation"]["accuracy"] > 0.95 and whole["validation"]["accuracy"] < 0.7
    assert any("100 % of the training rows are nearly the same" in note for note in torn["notes"])
    assert not any("nearly the same" in note for note in whole["notes"])
    (tmp_path / "patients.txt").write_text("one\ntwo")
    with pytest.raises(InputError, match="groups-length"):
        load_dataset(tmp_path / "a.npz", groups=groups)
    with pytest.raises(InputError, match="groups-missing"):
        load_dataset(tmp_path / "a.npz", groups="patient")
