"""Texts: seen to be texts, read in their encodings, made features by training texts alone, predicted as trained."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from sklearn.datasets import dump_svmlight_file
from sklearn.feature_extraction.text import TfidfVectorizer
from typer.testing import CliRunner

from straightedge.cli import evaluate, predict
from straightedge.cli.fit_screen import print_result
from straightedge.data import load_dataset
from straightedge.data.text.encodings import read_texts
from straightedge.errors import InputError
from straightedge.evaluation.terms import contributions
from straightedge.export import export_model
from straightedge.features.base import build_extractor, restore_extractor
from straightedge.features.text.dataset import text_dataset
from straightedge.fitting import FitSettings, build_objective
from straightedge.model import load
from straightedge.runs.reading import RunFiles
from straightedge.sparse_rows import open_rows
from straightedge.workflow import FitOptions, run_fit

TOPICS = {
    "sea": ["ship", "wave", "harbour", "sail", "anchor", "tide", "captain", "coast", "storm", "island"],
    "wood": ["tree", "leaf", "root", "branch", "forest", "moss", "deer", "path", "oak", "shade"],
    "town": ["street", "market", "tower", "bridge", "square", "window", "clock", "tram", "crowd", "lamp"],
}
COMMON = ["the", "a", "of", "and", "was", "in", "it", "on", "with", "near"]


def letters(n: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return (topic, text) pairs: words of the topic among common words, and a word that no other text has."""
    random = np.random.default_rng(seed)
    out = []
    for place in range(n):
        topic = list(TOPICS)[place % 3]
        words = [*random.choice(TOPICS[topic], 4), *random.choice(COMMON, 8), f"only{seed}x{place}"]
        out.append((topic, " ".join(random.permutation(words))))
    return out


def files(n_train: int = 60, n_test: int = 18) -> dict[str, bytes]:
    """Return the files of a data set with train/ and test/."""
    pairs = [("train", *pair) for pair in letters(n_train)] + [("test", *pair) for pair in letters(n_test, 1)]
    return {f"{split}/{topic}/{place}": text.encode() for place, (split, topic, text) in enumerate(pairs)}


def folder_of(path: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zip_of(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def tar_of(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def json_of(path: Path) -> Path:
    rows = [("train", *pair) for pair in letters(60)] + [("test", *pair) for pair in letters(18, 1)]
    lines = [json.dumps({"split": split, "topic": topic, "text": text}) for split, topic, text in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fitted(tmp_path):
    """Return the folder of a run on a folder of texts, and what it gave."""
    source = folder_of(tmp_path / "letters", files())
    options = FitOptions(str(source), str(tmp_path / "run"), path=True, regs=[1e-2, 1e-4], progress=False)
    return tmp_path / "run", run_fit(options)


def invoked(command, *arguments, **settings):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **settings)


def answers(run: Path, *arguments: str, **settings: object) -> list[list[str]]:
    result = invoked(predict.command, run, *arguments, **settings)
    assert result.exit_code == 0, result.output
    return [line.split(",") for line in result.stdout.strip().splitlines()[1:]]


@pytest.mark.parametrize("make", [folder_of, zip_of, tar_of])
def test_texts_are_seen_to_be_texts_wherever_they_lie(tmp_path, make):
    contents = files()
    ending = {"folder_of": "letters", "zip_of": "letters.zip", "tar_of": "letters.tar.gz"}[make.__name__]
    dataset = load_dataset(make(tmp_path / ending, contents))
    assert dataset.classes == ("sea", "town", "wood")
    found = dict(zip(dataset.train.names, dataset.train.X, strict=True))
    assert {name: text.encode() for name, text in found.items()} == {
        name: data for name, data in contents.items() if name.startswith("train")
    }
    assert dataset.test is not None and dataset.test.n == 18
    assert dataset.notes == ["read as texts: 60 texts of train, 18 texts of test"]


def test_a_second_reading_comes_from_the_cache_and_another_content_does_not(tmp_path):
    source = zip_of(tmp_path / "letters.zip", files())
    first, second = load_dataset(source), load_dataset(source)
    assert list(first.train.X) == list(second.train.X) and first.fingerprint == second.fingerprint
    changed = load_dataset(zip_of(source, files() | {"train/sea/0": b"changed altogether"}))
    assert "changed altogether" in list(changed.train.X)


def test_images_among_class_folders_are_no_texts(tmp_path):
    contents = {f"{topic}/{k}.png": b"no image" for topic in "ab" for k in range(3)}
    with pytest.raises(InputError) as error:
        load_dataset(folder_of(tmp_path / "images", contents))
    assert error.value.code == "image-broken"


def test_features_are_those_of_scikit_learn_for_any_part_of_the_training_texts(tmp_path):
    dataset = load_dataset(folder_of(tmp_path / "letters", files()))
    texts = np.array(list(dataset.train.X), dtype=object)
    own = {"ngrams": "1-2", "min_df": "0.05", "max_features": 20, "sublinear": False}
    same = {"ngram_range": (1, 2), "min_df": 0.05, "max_features": 20}
    for ours, theirs in (({}, {"sublinear_tf": True, "min_df": 2}), (own, same)):
        extractor = build_extractor("tfidf", **ours)
        parts = text_dataset(dataset, extractor).parts
        index = np.arange(0, 60, 2) + np.arange(30) % 2
        vectorizer = TfidfVectorizer(**theirs)
        vectorizer.fit(texts[index])
        learned = parts.columns(index)
        assert learned["extractor"].feature_names == vectorizer.get_feature_names_out().tolist()
        rows = parts.rows("train", learned)
        np.testing.assert_allclose(rows.toarray(), vectorizer.transform(texts).toarray(), atol=1e-7)
        again = restore_extractor(learned["extractor"].config(), learned["extractor"].state())
        np.testing.assert_array_equal(again.transform(texts).toarray(), rows.toarray())


def test_held_out_texts_change_nothing_of_what_judges_them(tmp_path):
    """Words that stand in held-out texts alone would be features, with weights, if the vocabulary had seen them."""
    dataset = load_dataset(folder_of(tmp_path / "letters", files()))
    parts = text_dataset(dataset, build_extractor("tfidf", min_df=1)).parts
    names = set(parts.columns(np.arange(30))["extractor"].feature_names)
    seen, unseen = (" ".join(dataset.train.X.read(*rows)).split() for rows in ((0, 30), (30, 60)))
    assert names == {word for word in seen if len(word) > 1}
    assert sum(word.startswith("only") for word in unseen) == 30 and not names & set(unseen) - set(seen)


def test_characters_stand_beside_words_and_hashing_needs_no_vocabulary():
    texts = [text for _, text in letters(12)]
    chars = build_extractor("tfidf:chars")
    chars.fit(texts)
    assert "' th'" in chars.feature_names and "the" in chars.feature_names
    rows = chars.transform(texts)
    assert rows.shape == (12, chars.n_features)
    np.testing.assert_allclose(rows.multiply(rows).sum(1), 2, atol=1e-5)
    hashing = build_extractor("hashing:n_features=64")
    assert hashing.transform(texts).shape == (12, 64) and not hashing.state()


@pytest.mark.parametrize(
    "bad", [{"ngrams": "2"}, {"ngrams": "3-1"}, {"min_df": "0"}, {"min_df": 1.5}, {"max_features": 0}]
)
def test_options_that_make_no_sense_are_refused(bad):
    with pytest.raises(InputError) as error:
        build_extractor("tfidf", **bad)
    assert error.value.code == "extractor-option"


RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n" * 4
GERMAN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n"


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        (RUSSIAN, "koi8-r", "koi8_r"),
        (GERMAN, "latin1", "cp1252"),
        (RUSSIAN, "utf-16", "utf-16"),
        (GERMAN, "utf-8", "UTF-8"),
        (GERMAN, "utf-8-sig", "UTF-8"),
    ],
)
def test_encodings_are_found_and_said(text, encoding, said):
    found = read_texts([text.encode(encoding)] * 3)
    assert found.texts == [text] * 3 and dict(found.encodings) == {said: 3}
    assert bool(found.notes()) == (said != "UTF-8")


@pytest.mark.parametrize("data", [b"%PDF-1.7 text", b"PK\x03\x04docx", b"a\0b" * 9, bytes(range(1, 32)) * 4])
def test_binary_files_are_refused_by_name(tmp_path, data):
    source = folder_of(tmp_path / "letters", files() | {"train/sea/odd": data})
    with pytest.raises(InputError) as error:
        load_dataset(source)
    assert error.value.code == "text-binary" and "train/sea/odd" in str(error.value.where)
    kept = load_dataset(source, skip_bad=True)
    assert kept.train.n == 60 and any("skipped: train/sea/odd" in note for note in kept.notes)


def test_a_folder_of_texts_is_fitted_without_asking_and_predicts_files_and_standard_input(fitted, tmp_path):
    run, result = fitted
    assert "the rows are texts: fitted with --features tfidf" in result["notes"]
    assert result["test"]["accuracy"] >= 0.9 and result["status"] == "certified"
    model = load(run)
    assert model.features["name"] == "tfidf" and set(model.extractor_state) == {"0.terms", "0.ends", "0.idf"}
    letter = tmp_path / "letter.txt"
    letter.write_text("the captain saw the storm and a wave")
    (row,) = answers(run, str(letter))
    assert row[:2] == [str(letter), "sea"]
    (piped,) = answers(run, "-", input=letter.read_bytes())
    assert piped == ["standard input", *row[1:]]
    every = answers(run, str(folder_of(tmp_path / "letters", {})))
    assert len(every) == 78
    (tmp_path / "binary.txt").write_bytes(b"\0\1\2")
    refused = invoked(predict.command, run, tmp_path / "binary.txt").exception
    assert isinstance(refused, InputError) and refused.code == "text-binary"


def test_the_same_texts_by_every_door_give_the_same_proof_and_the_same_model(fitted, tmp_path):
    result = fitted[1]
    for source in (zip_of(tmp_path / "letters.zip", files()), json_of(tmp_path / "letters.jsonl")):
        again = run_fit(FitOptions(str(source), str(tmp_path / source.suffix), regs=[1e-2, 1e-4], progress=False))
        assert again["objective"] == pytest.approx(result["objective"], rel=1e-3)
        assert again["test"]["n"] == 18 and again["test"]["accuracy"] == result["test"]["accuracy"]


def test_evaluate_reads_texts_as_fit_does(fitted, tmp_path):
    run, result = fitted
    judged = invoked(evaluate.command, run, tmp_path / "letters", "--json")
    assert json.loads(judged.stdout)["accuracy"] == result["test"]["accuracy"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "json-broken"),
        ("[1]", "json-broken"),
        ('{"text": 3, "label": "a"}', "text-missing"),
        ('{"text": "x"}', "labels-missing"),
        ('{"text": "x", "label": [1]}', "labels-missing"),
    ],
)
def test_broken_json_lines_are_named_by_their_line(tmp_path, line, code):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"text": "one", "label": "a"}\n' + line + "\n")
    with pytest.raises(InputError) as error:
        load_dataset(path)
    assert error.value.code == code and "line 2" in str(error.value.where)


def test_folds_of_texts_learn_their_own_words(tmp_path):
    source = folder_of(tmp_path / "letters", files())
    options = FitOptions(
        str(source), str(tmp_path / "run"), regs=[1e-3], folds=3, text={"min_df": 1}, progress=False
    )
    result = run_fit(options)
    assert result["selection"]["splits"] == "3 folds" and 0.5 < result["validation"]["accuracy"] <= 1


def test_the_path_has_its_weights_on_the_words_of_the_final_model(tmp_path):
    """What is left of a hold-out teaches fewer words, among them all that its own texts have."""
    source = folder_of(tmp_path / "letters", files())
    asked = FitOptions(str(source), str(tmp_path / "run"), regs=[1e-4], text={"min_df": 1}, progress=False)
    run_fit(asked)
    model, (_, weights, _) = load(tmp_path / "run"), RunFiles(tmp_path / "run").load_path()
    unseen = [k for k, name in enumerate(model.feature_names) if name.startswith("only")]
    assert weights[0].shape == model.weight.shape
    assert int((weights[0][unseen] == 0).all(axis=1).sum()) == 6  # a tenth of the training texts is held out
    agreement = np.corrcoef(weights[0].ravel(), model.weight.numpy().ravel())[0, 1]
    assert agreement > 0.9


def test_the_run_tells_the_words_of_each_class_and_a_prediction_the_words_that_decided(fitted, tmp_path):
    run, result = fitted
    for entry in result["terms"]:
        own, others = (TOPICS[entry["class"]], [w for t, ws in TOPICS.items() if t != entry["class"] for w in ws])
        assert {one["term"] for one in entry["for"][:8]} <= set(own)
        assert {one["term"] for one in entry["against"][:8]} <= set(others)
    wave = next(one for entry in result["terms"] for one in entry["for"] if one["term"] == "wave")
    train = [text for topic, text in letters(60)]
    assert wave["share"] == pytest.approx(np.mean(["wave" in text.split() for text in train]))
    page = (run / "report.html").read_text()
    assert 'id="words"' in page and 'id="templates"' not in page and "harbour" in page
    table = (run / "terms.csv").read_text().splitlines()
    assert table[0] == "class,speaks,rank,term,weight,share" and table[1].startswith("sea,for,1,")
    letter = tmp_path / "letter.txt"
    letter.write_text("the captain saw the wave near a market")
    row = invoked(predict.command, run, letter, "--explain", "--json")
    words = json.loads(row.stdout)["predictions"][0]["words"]
    assert words.split()[0] in ("captain", "wave") and "market -" in words


def test_contributions_sum_to_the_score_above_the_mean_of_all_classes(fitted):
    model = load(fitted[0])
    rows = model.extractor.transform(["the captain saw the storm and a wave near the tower"])
    scores = rows @ model.weight.numpy()
    found = contributions((rows.indices, rows.data), model.weight.numpy(), model.feature_names, 0, most=99)
    assert sum(value for _, value in found) == pytest.approx(float(scores[0, 0] - scores[0].mean()), rel=1e-5)
    assert abs(found[0][1]) == max(abs(value) for _, value in found)


def test_the_terminal_shows_the_words_of_each_class(fitted, capsys):
    print_result(fitted[1], as_json=False)
    assert "words that speak" in capsys.readouterr().out


@pytest.mark.parametrize("spec", ["tfidf", "tfidf:chars", "hashing:n_features=512"])
def test_a_scikit_learn_pipeline_has_the_vectoriser_and_gives_the_models_answers(tmp_path, spec):
    skops = pytest.importorskip("skops.io")
    source = folder_of(tmp_path / "letters", files())
    run_fit(FitOptions(str(source), str(tmp_path / "run"), reg=1e-3, features=spec, progress=False))
    model, texts = load(tmp_path / "run"), [text for _, text in letters(20, 5)]
    assert "README.md" in export_model(model, "sklearn", tmp_path / "out", rows=np.array(texts, dtype=object))
    pipeline = skops.load(tmp_path / "out" / "model.skops")
    expected = np.array(model.classes)[model.predict(texts)]
    assert pipeline.predict(texts).tolist() == expected.tolist()
    np.testing.assert_allclose(pipeline.predict_proba(texts), model.predict_proba(texts), atol=1e-6)


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_formats_without_words_are_refused_with_the_one_that_has_them(fitted, tmp_path, to):
    with pytest.raises(InputError, match="--to sklearn") as error:
        export_model(load(fitted[0]), to, tmp_path / "out")
    assert error.value.code == "export-texts"


def test_P_at_one_W_is_the_same_for_texts_their_svmlight_file_and_every_form_of_matrix(tmp_path):
    dataset = text_dataset(load_dataset(folder_of(tmp_path / "letters", files())), build_extractor("tfidf"))
    X, y = dataset.train.X, torch.from_numpy(dataset.train.y)
    dump_svmlight_file(X, dataset.train.y, str(tmp_path / "rows.svm"), zero_based=False)
    read = load_dataset(tmp_path / "rows.svm", n_features=X.shape[1]).train.X
    W = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, X.shape[1] + 1)))
    values = []
    for rows in (X, X.toarray(), X.tocsc(), X.tocoo(), read):
        objective = build_objective(open_rows(rows), y, 3, [1e-3], FitSettings())
        values.append(float(objective.in_dtype(torch.float64).evaluate(W).objective[0]))
    np.testing.assert_allclose(values, values[0], rtol=1e-9)
