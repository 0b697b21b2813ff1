"""Fits on 1, 2 and 4 ranks: one objective, one W, each proven, however unevenly the rows lie."""

import numpy as np
import pytest

from straightedge.distributed import local
from support import rank_runner, rank_work


@pytest.fixture(scope="module")
def alone():
    return rank_work.fits(local())


@pytest.fixture(
    scope="module", params=[pytest.param(2, marks=pytest.mark.long), pytest.param(4, marks=pytest.mark.slow)]
)
def ranks(request, tmp_path_factory):
    return rank_runner.run("fits", request.param, tmp_path_factory.mktemp("ranks"))


CASES = [f"{layout}/{name}" for layout in rank_work.LAYOUTS for name in rank_work.PROBLEMS]


@pytest.mark.parametrize("case", CASES)
def test_every_world_size_finds_and_proves_the_same_optimum(case, alone, ranks):
    assert [rank["status"] for rank in ranks] == [0] * len(ranks), ranks[0]["stderr"]
    one, many = alone[case], ranks[0][case]
    assert set(many["status"]) == set(one["status"]) == {"certified"}
    assert many["objective"] == pytest.approx(one["objective"], rel=1e-7)
    assert np.abs(np.subtract(many["W"], one["W"])).max() < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_every_rank_holds_the_same_bits(case, ranks):
    for rank in ranks[1:]:
        assert {key: value for key, value in rank[case].items() if key != "classes"} == {
            key: value for key, value in ranks[0][case].items() if key != "classes"
        }


def test_the_layouts_are_as_uneven_as_they_say(ranks):
    everything = list(range(rank_work.C))
    assert any(rank["by class/softmax"]["classes"] != everything for rank in ranks)
    few = rank_work.part("uneven", type("Last", (), {"rank": len(ranks) - 1, "size": len(ranks)}))
    assert few[1] - few[0] == 3


@pytest.mark.long
def test_a_run_taken_up_by_two_ranks_ends_with_the_same_bits(tmp_path):
    ranks = rank_runner.run("resumed", 2, tmp_path)
    assert [rank["status"] for rank in ranks] == [0, 0], ranks[0]["stderr"]
    for name in rank_work.RESUMED:
        found = ranks[0][name]
        assert found["checkpoints"] >= 3
        assert ranks[1][name] == found
        assert len(set(found["bits"])) == 1
        assert all(passes == found["n_passes"][0] for passes in found["n_passes"])


@pytest.mark.long
def test_folds_scale_and_sgd_are_those_of_all_rows(tmp_path):
    one = rank_work.selection(local())
    ranks = rank_runner.run("selection", 2, tmp_path)
    assert [rank["status"] for rank in ranks] != [None, None] and "scale" in ranks[0], ranks[0]["stderr"]
    for rank in ranks:
        assert rank["scale"] == pytest.approx(one["scale"], rel=1e-12)
        assert np.abs(np.subtract(rank["scores"], one["scores"])).max() < 1e-3
        assert rank["sgd"] == ranks[0]["sgd"]
    assert ranks[0]["sgd"][0] == pytest.approx(one["sgd"][0], rel=0.02)
