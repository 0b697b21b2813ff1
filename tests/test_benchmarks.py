"""Every part of the benchmark at a tiny size: it runs, tells the truth, and its files are whole."""

from __future__ import annotations

import inspect
import json
import math
import sys
import time
import warnings
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks" / "run.py").is_file():
    pytest.skip("no peer: benchmarks are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks import chart, default_choice, field, field_peers, field_problems, pairs, paths, peers, table, watch  # noqa: E402
from benchmarks.ours import fit_once  # noqa: E402
from benchmarks.parts import PARTS, Options  # noqa: E402
from benchmarks.problem import Judge, Problem, load_problem, synthetic_images  # noqa: E402
from benchmarks.run import run  # noqa: E402
from benchmarks.watch import Watch  # noqa: E402

from straightedge import SoftmaxClassifier  # noqa: E402

TOL = 5e-3


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load_problem("digits", 300)


def reference(problem: Problem, W: np.ndarray, reg: float) -> tuple[float, float]:
    """P(W) and the gap of the softmax certificate, by the formula and in float64."""
    X = problem.table.astype(np.float64)
    scores = X @ W.T.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    rows = np.arange(len(X))
    objective = -np.log(p[rows, problem.labels]).mean() + reg * (W**2).sum()
    p[rows, problem.labels] -= 1
    gradient = p.T @ X / len(X) + 2 * reg * W
    return objective, (gradient**2).sum() / (4 * reg) / objective


def test_judge_agrees_with_the_formula_on_the_peers_table(problem: Problem) -> None:
    fitted = SoftmaxClassifier(reg=1e-2, tol=1e-6).fit(problem.table[:, :-1], problem.labels)
    noise = np.random.default_rng(0).normal(size=(problem.n_classes, problem.table.shape[1]))
    W = fitted.W_.T + 1e-3 * noise
    objective, gap = reference(problem, W, 1e-2)
    verdict = Judge(problem, "softmax", 1e-2).exact(W)
    assert verdict.objective == pytest.approx(objective, rel=1e-6)
    assert verdict.gap == pytest.approx(gap, rel=1e-5)


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
def test_peer_reaches_the_gap_of_our_objective(problem: Problem, peer: peers.Peer) -> None:
    if find_spec(peer.package) is None:
        pytest.skip(f"no peer {peer.package}")
    dual = fit_once(problem, peer.loss, 1e-1, TOL / 5)["dual"]
    seen = Watch(Judge(problem, peer.loss, 1e-1, dual), TOL, cap=60.0)
    entry = peers.run_peer(peer, problem, 1e-1, seen)
    assert entry["status"] == "reached"
    assert 0 < entry["gap"] <= TOL
    assert entry["seconds"] > 0


def test_a_peer_without_time_is_reported_with_its_gap(problem: Problem) -> None:
    seen = Watch(Judge(problem, "softmax", 1e-4), 1e-12, cap=1e-6)
    entry = peers.run_peer(peers.PEERS[0], problem, 1e-4, seen)
    assert entry["status"] == "cap"
    assert entry["gap"] > 1e-12


def test_the_judge_is_not_on_the_clock(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(watch.time, "perf_counter", lambda: clock[0])
    judge = Judge(problem, "softmax", 1e-2)
    plain = judge.quick

    def slow(W: np.ndarray) -> object:
        clock[0] += 100.0
        return plain(W)

    monkeypatch.setattr(judge, "quick", slow)
    seen = Watch(judge, 1e-9, cap=10.0)
    seen.begin()
    clock[0] += 1.0
    seen.look(lambda: np.zeros((problem.n_classes, problem.table.shape[1])))
    assert seen.seconds == pytest.approx(1.0)
    assert seen.curve[0][0] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """All parts in two runs that merge into one file."""
    out = tmp_path_factory.mktemp("bench") / "tiny.json"
    options = Options(reg=(1e-1,), peers=("sklearn-lbfgs",), tol=5e-2, repeat=1, cap=5.0, path_size=4, folds=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run("digits", tuple(name for name in PARTS if name != "memory"), options, out, limit=120)
        return run("digits", ("memory",), options, out, limit=120), out


@pytest.mark.long
def test_every_part_gives_an_entry(results: tuple[dict, Path]) -> None:
    keys = list(results[0]["entries"])
    races = ["softmax reg=0.1", "svm reg=0.1", "crammer_singer reg=0.1"]
    assert keys == ["pass K=1", "pass K=4", *races, "path", "svm_path", "folds", "memory"]


@pytest.mark.long
def test_the_file_is_strict_json_with_machine_versions_and_yardsticks(results: tuple[dict, Path]) -> None:
    read = json.loads(results[1].read_text(encoding="utf-8"))
    assert read["machine"]["cores"] >= 1
    assert "scikit-learn" in read["versions"]
    for key, entry in read["entries"].items():
        if key != "memory":
            assert entry["yardstick"]["ms"] > 0
            assert entry["load"] >= 0


@pytest.mark.long
def test_the_race_holds_all_solvers_to_one_objective(results: tuple[dict, Path]) -> None:
    entry = results[0]["entries"]["softmax reg=0.1"]
    values = {solver["name"]: solver["objective"] for solver in entry["solvers"]}
    assert set(values) == {"straightedge-uint8", "straightedge-float32", "sklearn-lbfgs"}
    assert max(values.values()) - min(values.values()) <= 5.1e-2 * min(values.values())
    assert all(solver["gap"] <= entry["tol"] for solver in entry["solvers"])


@pytest.mark.long
def test_the_path_of_the_svm_is_held_to_the_gaps_of_its_single_fits(results: tuple[dict, Path]) -> None:
    entry = results[0]["entries"]["svm_path"]
    assert entry["tols"] == [0.5, 5e-2, 5e-2, 5e-2]  # at 1e-6, 1e-4, 1e-2 and 1
    assert [single["reg"] for single in entry["singles"]] == pytest.approx(entry["reg"])
    fits = [single["straightedge-uint8"] for single in entry["singles"]]
    for gaps in (entry["gaps"], [fit["gap"] for fit in fits]):
        assert all(gap <= tol for gap, tol in zip(gaps, entry["tols"], strict=True))
    total = sum(fit["seconds"] for fit in fits)
    assert entry["seconds_single_fits straightedge-uint8"] == pytest.approx(total)


@pytest.mark.long
def test_the_page_has_a_section_for_every_part(results: tuple[dict, Path]) -> None:
    page = results[1].with_suffix(".md").read_text(encoding="utf-8")
    for title, _, _ in table.SECTIONS:
        assert f"## {title}\n" in page
    assert "| sklearn-lbfgs | " in page


@pytest.mark.long
def test_the_chart_draws_every_solver(results: tuple[dict, Path]) -> None:
    svg = results[1].with_name("tiny-softmax-0.1.svg").read_text(encoding="utf-8")
    tree = ElementTree.fromstring(svg)
    lines = [node for node in tree if node.tag.endswith("polyline")]
    assert len(lines) == 3
    for line in lines:
        points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
        assert all(chart.LEFT - 1 <= x <= chart.WIDTH - chart.RIGHT + 1 for x, _ in points)
        assert all(math.isfinite(y) for _, y in points)


@pytest.mark.long
def test_results_of_other_data_are_not_mixed(results: tuple[dict, Path]) -> None:
    with pytest.raises(ValueError, match="other data"):
        run("digits", ("memory",), Options(), results[1], limit=100)


@pytest.mark.long
def test_versions_of_peers_no_longer_installed_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "kept.json"
    first = run("digits", ("memory",), Options(), out, limit=120)
    first["versions"]["a peer"] = "1.0"
    out.write_text(json.dumps(first), encoding="utf-8")
    assert run("digits", ("memory",), Options(), out, limit=120)["versions"]["a peer"] == "1.0"


def test_unknown_part_is_named() -> None:
    with pytest.raises(ValueError, match="speed"):
        run("digits", ("speed",), Options(), Path("never.json"))


def test_synthetic_images_have_every_class_and_can_be_learned() -> None:
    images, labels, n_classes = synthetic_images(600)
    assert images.shape == (600, 3, 32, 32)
    assert images.dtype == np.uint8
    assert set(labels) == set(range(n_classes))
    assert 40 < images.std() < 70


def test_command_needs_the_source_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from straightedge.cli import bench
    from straightedge.errors import InputError

    where = tmp_path / "a" / "b" / "c" / "bench.py"
    monkeypatch.setattr(bench, "__file__", str(where))
    with pytest.raises(InputError, match="source checkout"):
        bench._benchmarks("run")


@pytest.mark.long
def test_command_prints_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from straightedge.cli import bench

    assert isinstance(sys.modules["benchmarks"], ModuleType)
    bench.command(
        data="digits", limit=200, only="pass", reg=None, peers="none", tol=None, repeat=1, cap=None,
        out=tmp_path / "one.json", as_json=False,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "One loss-and-gradient pass" in printed
    assert (tmp_path / "one.json").is_file()


def test_a_race_of_the_field_judges_every_w_by_itself(tmp_path):
    out = tmp_path / "field.json"
    (result,) = field.main(["--only", "iris", "--reg", "1e-2", "--repeat", "1", "--out", str(out)])
    assert result["gap"] <= field.GAP and set(result["peers"]) == set(field.SOLVERS)
    assert result["ratio"] == min(result["peers"].values()) / result["ours"]
    held = json.loads(out.read_text())
    assert "iris, softmax, penalized bias, reg 0.01" in field.line(held["results"][0])
    assert held["summary"]["races"] == 1 and held["commit"] and held["versions"]["scikit-learn"]


def test_the_field_runs_in_parts_that_merge_into_one_file(tmp_path, monkeypatch):
    raced = []

    def race(name, problem, reg, loss, repeat, *, free):
        raced.append((name, loss, reg))
        facts = {"gap": 0.0, "peers": {}, "ratio": 1.0, "ours": 1.0, "commit": field.commit()}
        return {"problem": name, "loss": loss, "bias": "penalized", "reg": reg} | facts

    monkeypatch.setattr(field, "race", race)
    words = ["--only", "iris", "--reg", "1e-2,1e-4", "--missing", "--out", str(tmp_path / "field.json")]
    assert field.main([*words, "--minutes", "0"]) == []
    field.main([*words[:2], "--reg", "1e-2", *words[4:]])
    field.main(words)
    field.main([*words, "--loss", "softmax,svm,crammer_singer"])
    assert raced == [("iris", loss, reg) for loss in ("softmax", "crammer_singer") for reg in (1e-2, 1e-4)]
    held = json.loads((tmp_path / "field.json").read_text())
    assert len(held["results"]) == held["summary"]["races"] == 4
    assert held["by_loss"]["crammer_singer"]["races"] == 2


def test_a_peer_of_a_large_problem_is_ended_at_its_cap():
    rng = np.random.default_rng(0)
    assert field_peers.tried(lambda: rng.standard_normal(3), 1e9, 1.0)[1].shape == (3,)
    assert field_peers.tried(lambda: time.sleep(60), 1e9, -2.0) is None  # after a second


RACES = [("softmax", False), ("softmax", True)]
RACES += [(loss, False) for loss in ("svm", "squared_hinge", "crammer_singer")]


@pytest.mark.parametrize(("loss", "free"), RACES)
def test_peers_of_the_field_minimise_the_same(loss, free):
    """LIBLINEAR's and scikit-learn's W, at a tight tolerance, is as near the optimum as ours."""
    name = "iris" if loss == "crammer_singer" else "breast cancer, standardised"
    X, y = field_problems.PROBLEMS[name]()
    assert field.fits_loss(loss, int(y.max()) + 1, free=free)
    result = field.race(name, (X, y), 1e-2, loss, 1, free=free)
    assert result["gap"] <= field.gap_for(loss) and result["peers"], result


def test_the_summary_of_the_field_counts_what_is_won():
    one = {"loss": "softmax", "gap": 0.0, "ratio": 4.0}
    found = field.summary([one, one | {"ratio": 0.5}, one | {"ratio": None, "gap": 1.0}])
    assert found["races"] == 3 and found["without_a_peer"] == found["not_there"] == 1
    assert found["first"] == 0.5 and found["worst"] == 0.5
    assert found["geometric_mean"] == pytest.approx(2**0.5)
    assert found["within_times_the_fastest"]["1.25"] == 0.5 and found["within_times_the_fastest"]["2.0"] == 1.0


def test_the_judge_of_the_field_tells_a_poor_w_from_the_optimum():
    X, y = field_problems.PROBLEMS["iris"]()
    judge = field.Judge(np.hstack([X, np.ones((len(X), 1))]), y, 1e-2)
    assert judge.gap(np.zeros((5, 3))) > 0.1
    assert judge.gap(field.ours(X, y, 1e-2)) < 1e-9


def test_ratios_of_pairs_have_students_interval_and_begin_anew_at_another_commit() -> None:
    values = [(1.0, 1.1), (2.0, 2.1), (1.0, 0.9)]
    logs = np.log([after / before for before, after in values])
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)  # Student's 0.975 quantile of two degrees of freedom
    found = pairs.ratio(values)
    assert found["ratio"] == pytest.approx(math.exp(logs.mean()))
    assert (found["low"], found["high"]) == pytest.approx(
        (math.exp(logs.mean() - half), math.exp(logs.mean() + half)), rel=1e-6
    )
    results: dict[str, dict[str, dict[str, object]]] = {"entries": {}}
    for commit, count in (("a", 1), ("a", 2), ("b", 1)):
        pairs.added(results, {"after": commit, "rows": "all"}, {"svm": (1.0, 2.0)})
        assert results["entries"]["svm, all rows"]["pairs"] == count


def test_a_path_is_measured_beside_its_single_fits(tmp_path: Path) -> None:
    found = tmp_path / "paths.json"
    paths.main(["--only", "iris", "--loss", "softmax", "--out", str(found)])
    entry = json.loads(found.read_text())["paths"]["iris, softmax"]
    assert entry["certified"] == {"path": 16, "singles": 16}
    assert entry["ratio"] == entry["path"] / entry["singles"] > 0


@pytest.mark.long
def test_the_default_choice_is_compared_on_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "choice.json"
    words = [str(tmp_path), "--only", "wine", "--splits", "2", "--out", str(out)]
    default_choice.main(words)
    entry = json.loads(out.read_text(encoding="utf-8"))["entries"]["wine"]
    assert entry["splits"] == len(entry["measured"]) == 2
    both = [(one["ours"]["accuracy"], one["theirs"]["accuracy"]) for one in entry["measured"]]
    assert all(0.9 < ours <= 1 and 0.9 < theirs <= 1 for ours, theirs in both)
    assert entry["difference"] == pytest.approx(np.mean([ours - theirs for ours, theirs in both]))
    low, high = entry["interval"]
    assert low <= entry["difference"] <= high
    assert "| wine | 2 |" in out.with_suffix(".md").read_text(encoding="utf-8")
    monkeypatch.setattr(default_choice, "one_split", None)  # what is known is not measured again
    default_choice.main(words)


def test_help_of_the_command_names_every_part() -> None:
    source = inspect.getsource(import_module("straightedge.cli.bench").command)
    assert f"commas: {', '.join(PARTS)}" in source
