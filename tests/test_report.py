"""The page of a run: what it says, what it never says, what it cannot be made to do."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from straightedge.errors import InputError
from straightedge.losses import LOSSES
from straightedge.report import write_report
from straightedge.report.page import formula, plain_script
from straightedge.report.run_files import last_stage
from support.report_fixture import digits_run, edit, page_data_of

EVIL_CLASS = "<script>alert(1)</script>"
EVIL_NAME = "7/\"quoted\" & 'single' </script><img src=x onerror=alert(2)>.png"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_run(tmp_path_factory.getbasetemp())


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


def page_of(run: Path) -> str:
    return write_report(run).read_text("utf-8")


class Outline(HTMLParser):
    """Text, ids in their order, elements left open, and every address in the page."""

    VOID = frozenset(["meta", "link", "img", "br", "hr", "input", "path", "rect", "col"])

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "action", "srcset", "data", "poster"):
                self.addresses.append(str(value))
            if name.startswith("on") or name == "style":
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)


def test_sections_come_in_the_order_of_the_question(run: Path) -> None:
    outline = Outline(page_of(run))
    wanted = ["asked", "answer", "proof", "path", "templates", "confusion", "classes", "reliability"]
    wanted += ["suspects", "hardest", "notes", "command"]
    assert [name for name in outline.ids if name in wanted] == wanted
    assert len(set(outline.ids)) == len(outline.ids)
    assert outline.open == []


def test_every_headline_number_stands_with_its_interval(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    text = Outline(page_of(run)).text.replace("\u00a0", " ")
    for split in ("test", "validation", "train"):
        low, high = (100 * end for end in metrics[split]["interval"])
        value = 100 * metrics[split]["accuracy"]
        assert f"{value:.1f} % {low:.1f}–{high:.1f} %" in text
    assert f"no weights whatever have less than {metrics['dual']:.4f}"[:-1] in text


def test_a_gap_within_the_tolerance_is_called_certified(run: Path) -> None:
    edit(run, "metrics.json", gap=3.2e-4)
    edit(run, "config.json", tol=1e-3)
    text = Outline(page_of(run)).text.replace("\u00a0", " ")
    assert "The weights are certified" in text
    assert "certified: gap 3.2 × 10⁻⁴" in text
    assert "weights are not certified" not in text


@pytest.mark.parametrize(
    ("gap", "tol", "said"),
    [
        pytest.param(2e-2, 1e-3, "not certified: gap 0.02, 10⁻³ was asked", id="gap over the tolerance"),
        pytest.param(2e-2, None, "no tolerance was given", id="no tolerance"),
        pytest.param(None, 1e-3, "not certified: no gap was computed", id="no gap"),
    ],
)
def test_what_is_not_proven_is_never_called_certified(run: Path, gap: Any, tol: Any, said: str) -> None:
    edit(run, "metrics.json", gap=gap, dual=None if gap is None else 0.1)
    edit(run, "config.json", tol=tol)
    text = Outline(page_of(run)).text.replace("\u00a0", " ")
    assert said in text
    assert "weights are certified" not in text


def test_the_page_asks_nothing_of_any_network(run: Path) -> None:
    html = page_of(run)
    outline = Outline(html)
    assert all(address.startswith(("#", "data:")) for address in outline.addresses)
    assert outline.handlers == []  # a strict policy lets neither handlers nor style attributes run
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]


def test_the_policy_allows_these_scripts_and_no_others(run: Path) -> None:
    import base64

    html = page_of(run)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    allowed = set(re.findall(r"script-src (.*?);", policy[1].replace("&#39;", "'"))[0].split())
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    assert {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests} == allowed
    assert len(scripts) == 4


def test_text_of_the_user_never_becomes_markup(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    classes = [*metrics["classes"][:7], EVIL_CLASS, *metrics["classes"][8:]]
    for entry in metrics["hardest"] + metrics["suspects"]:
        entry |= {"name": EVIL_NAME, "label": EVIL_CLASS}
    per_class = [row | {"class": name} for row, name in zip(metrics["test"]["per_class"], classes, strict=True)]
    metrics["test"]["per_class"] = per_class
    edit(run, "metrics.json", **metrics | {"classes": classes, "notes": [EVIL_CLASS], "message": EVIL_CLASS})
    config = json.loads((run / "config.json").read_text())
    dataset = config["dataset"] | {"name": EVIL_NAME, "classes": classes}
    edit(run, "config.json", dataset=dataset, command=["straightedge", "fit", EVIL_NAME], source=EVIL_NAME)
    html = page_of(run)
    outline = Outline(html)
    assert "alert(1)</script>" not in html
    assert "<img src=x" not in html
    assert outline.handlers == []
    assert outline.open == []
    assert outline.text.count(EVIL_CLASS) > 10
    assert EVIL_NAME in outline.text
    assert EVIL_CLASS in page_data_of(html)["templates"]["classes"]


def test_scripts_get_their_data_as_it_is(run: Path) -> None:
    edit(run, "metrics.json", classes=["</script>", "\u2028", *"23456789"])
    data = page_data_of(page_of(run))
    assert data["templates"]["classes"][:2] == ["</script>", "\u2028"]
    assert data["confusion"]["cells"]
    assert {name.partition("-")[0] for name in data["figures"]} == {"proof", "path", "reliability"}


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("trace.csv", 'id="chart-proof-0"'),
        ("predictions.csv", None),
        ("path.safetensors", "<canvas"),
        ("assets.npz", "<img"),
        ("templates.png", None),
    ],
)
def test_every_file_but_two_may_be_missing(run: Path, missing: str, gone: str | None) -> None:
    (run / missing).unlink(missing_ok=True)
    outline_text = page_of(run)
    assert Outline(outline_text).open == []
    assert gone is None or gone not in outline_text


def test_two_files_alone_make_a_page(run: Path) -> None:
    for path in run.iterdir():
        if path.name not in ("config.json", "metrics.json"):
            path.unlink()
    outline = Outline(page_of(run))
    assert "confusion" in outline.ids
    assert not {"templates", "coefficients", "try"} & set(outline.ids)


def test_without_the_path_the_templates_are_those_of_the_model(run: Path) -> None:
    import torch

    from straightedge.model import LinearModel

    (run / "path.safetensors").unlink()
    weight = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    model = LinearModel(weight, torch.zeros(10), tuple("0123456789"), reg=0.5, input_shape=(1, 8, 8))
    model.save(run / "model.safetensors")
    html = page_of(run)
    assert len(page_data_of(html)["templates"]["stops"]) == 1
    assert html.count("<canvas") == 10
    assert 'id="reg-slider"' not in html


def test_weights_on_features_are_never_shown_as_pictures(run: Path) -> None:
    edit(run, "config.json", features={"name": "triangle"})
    assert "<canvas" not in page_of(run)


def test_a_run_that_was_never_measured_still_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"source": "x.npz"}')
    (tmp_path / "metrics.json").write_text('{"loss": "svm", "objective": 4.2, "classes": ["a", "b"]}')
    text = Outline(page_of(tmp_path)).text
    assert "This run was not measured on any split." in text
    assert "No dual value was computed" in text


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        pytest.param(shutil.rmtree, "run-missing", id="no folder"),
        pytest.param(lambda run: (run / "metrics.json").unlink(), "run-file-missing", id="no metrics"),
        pytest.param(lambda run: (run / "config.json").write_text("{"), "run-damaged", id="broken JSON"),
        pytest.param(lambda run: (run / "metrics.json").write_text("[]"), "run-damaged", id="a JSON list"),
        pytest.param(lambda run: (run / "assets.npz").write_bytes(b"PK"), "assets-damaged", id="broken archive"),
        pytest.param(
            lambda run: (run / "path.safetensors").write_bytes(b"\x80\x04K\x01." + b" " * 9),
            "model-pickle",
            id="a pickle for weights",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_old_page_stays(run: Path, damage: Any, code: str) -> None:
    before = page_of(run)
    damage(run)
    with pytest.raises(InputError) as caught:
        write_report(run)
    assert caught.value.code == code
    assert caught.value.where is not None
    assert not run.exists() or (run / "report.html").read_text("utf-8") == before


def test_a_pickle_inside_the_thumbnails_is_never_opened(run: Path) -> None:
    import numpy as np

    np.savez(run / "assets.npz", cells_images=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(InputError, match="thumbnails cannot be read"):
        write_report(run)


def test_an_svm_without_probabilities_has_no_reliability_curve(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    for split in ("test", "validation", "train"):
        metrics[split] |= {"log_loss": None, "ece": None, "reliability": None, "temperature": None}
    edit(run, "metrics.json", **metrics | {"loss": "svm"})
    outline = Outline(page_of(run))
    assert "reliability" not in outline.ids
    assert "multiclass hinge of Weston and Watkins" in outline.text


def test_a_calibrated_svm_says_that_its_probabilities_are_calibrated(run: Path) -> None:
    edit(run, "metrics.json", loss="svm")
    assert "these come from a calibration afterwards" in Outline(page_of(run)).text


def test_many_classes_are_listed_as_pairs(run: Path) -> None:
    n = 40
    metrics = json.loads((run / "metrics.json").read_text())
    confusion = [[5 if row == column else (row + column) % 3 for column in range(n)] for row in range(n)]
    classes = [f"class {place}" for place in range(n)]
    metrics["test"] |= {"confusion": confusion, "per_class": []}
    edit(run, "metrics.json", **metrics | {"classes": classes, "n_classes": n})
    html = page_of(run)
    assert 'class="matrix"' not in html
    assert "these are the pairs of the test split confused most" in Outline(html).text
    assert html.count('data-cell="') == 60


def test_only_the_last_fit_at_the_chosen_reg_is_the_proof() -> None:
    rows = [("1e-3", 1, 2.0), ("1e-2", 1, 3.0), ("1e-2", 2, 2.5), ("1e-2", 1, 2.9), ("1e-2", 2, 2.4)]
    trace = [{"reg": reg, "n_passes": str(n), "objective": str(value)} for reg, n, value in rows]
    assert [row["objective"] for row in last_stage(trace, 1e-2)] == [2.9, 2.4]
    assert [row["objective"] for row in last_stage(trace, 1e-2, 2.4999)] == [3.0, 2.5]  # folds came after it
    assert last_stage(trace, 1e-2, 1.5) == []


def test_the_slider_holds_a_value_of_the_path_to_the_gap_that_was_asked_of_it(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    path = [entry | {"gap": 7e-4, "tol": 1e-3} for entry in metrics["path"]]
    edit(run, "config.json", tol=1e-4)
    edit(run, "metrics.json", path=path)
    texts = [stop["text"] for stop in page_data_of(page_of(run))["templates"]["stops"]]
    assert len(texts) == len(path)
    assert all("· certified: gap 7 × 10⁻⁴" in text.replace("\u00a0", " ") for text in texts)


def test_the_choice_and_the_uncertified_are_marked_on_the_path(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["path"][0]["gap"] = 0.25
    edit(run, "metrics.json", path=metrics["path"])
    html = page_of(run)
    assert html.count('<span class="tag">chosen</span>') == 1
    assert "not certified: 10⁻⁴" in Outline(html).text
    drawn = page_data_of(html)["figures"]["path-0"]["layer"][-1]["data"]["values"]
    assert [row["chosen"] for row in drawn].count(True) == 1
    assert drawn[0]["proof"] == "not certified"


def test_scripts_of_others_are_unchanged() -> None:
    import straightedge.report

    vendor = Path(straightedge.report.__file__).parent / "vendor"
    named = dict(re.findall(r"\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|", (vendor / "README.md").read_text("utf-8")))
    scripts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.glob("*.js")}
    assert scripts == named


def test_another_interpreter_module_is_refused() -> None:
    with pytest.raises(RuntimeError, match="not the module"):
        plain_script("export default 1;\n")


def test_the_command_writes_the_page_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from straightedge.cli.report import command

    command(run, json_output=True)
    page = run / "report.html"
    assert json.loads(capsys.readouterr().out) == {"report": str(page), "bytes": page.stat().st_size}
    command(run)
    assert capsys.readouterr().out == f"{page}\n"


def test_a_formula_has_its_indices_below_and_its_powers_above():
    assert formula("log Σ_j e^{s_j} < 1") == "log Σ<sub>j</sub> e<sup>s<sub>j</sub></sup> &lt; 1"
    for loss in LOSSES.values():
        assert not set("_^{}") & set(formula(loss.formula))


def test_the_reg_of_several_labels_says_by_what_it_was_chosen(run: Path) -> None:
    tried = [{"reg": 10.0**-k, "log_loss": 0.1} for k in range(8)]
    edit(run, "metrics.json", tried=tried, selection=None)
    assert "least log loss on held-out rows of 8 values" in Outline(page_of(run)).text
