"""Shell blocks of README and docs run in order, in a folder with what the reader has; exceptions are listed."""

from __future__ import annotations

import io
import json
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from straightedge.cli.app import _register, app
from test_docs import FENCE, NOT_RUN, PAGES, blocks, name_of
from test_report_use import people
from test_texts import folder_of, json_of, letters

EXCEPTIONS = {
    "CONTRIBUTING.md": ["it is what CI runs"],
    "README.md": ["sets up an environment, as CI does", "takes minutes and all of CIFAR-10"],
    "docs/course.md": ["takes minutes and all of CIFAR-10"],
    "docs/guides/export.md": ["sends files to a hub"],
    "docs/guides/frozen-features.md": [
        "needs pretrained weights, a download", "takes 25 minutes and all of CIFAR-10"
    ],
    "docs/guides/gpu.md": ["needs a CUDA device"] * 3,
    "docs/guides/more-than-memory.md": ["takes hours and 100 GB of disk"],
    "docs/guides/probing.md": ["downloads CIFAR-10"],
    "docs/guides/several-machines.md": [
        "four processes; the tests start two in the same way", "needs several machines", "needs several machines",
        "four processes, one of which is killed",
    ],
    "docs/index.md": ["sets up an environment, as CI does", "installs the package, as CI does"],
}  # fmt: skip
"""Blocks that no test runs, with their reasons as the pages give them."""
LANGUAGES = {"python", "bash", "text", "yaml"}  # text is what a terminal shows
LABELS = np.arange(60) % 3
FEATURES = (np.random.default_rng(0).normal(size=(60, 6)) + 3 * np.eye(3, 6)[LABELS]).astype(np.float32)


def test_every_block_is_of_a_kind_that_runs_or_is_listed_here() -> None:
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = [m["info"].split()[0] for m in FENCE.finditer("\n" + text)]
        assert len(fences) == len(re.findall(r"^\s*```", text, re.M)) / 2, f"{page}: a block without a language"
        assert set(fences) <= LANGUAGES, page
        assert not re.findall(r"^    (?:\$ )?(?:straightedge|python|make|pip) ", text, re.M), f"{page}: fence it"
        found |= {name_of(page): reasons} if (reasons := NOT_RUN.findall(text)) else {}
        assert "yaml" not in fences or "needs several machines" in reasons
    assert found == EXCEPTIONS


def picture(seed: int) -> bytes:
    """Return an image file of noise, whose brightness tells even seeds from odd ones."""
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 90, (40, 40, 3)) + 80 * (seed % 2)
    Image.fromarray(pixels.astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def seed_of(path: Path) -> int:
    """Rows and pictures of files with other names are others: test data that lie in training are warned of."""
    return zlib.crc32(path.name.encode())


def photos(path: Path) -> None:
    folder_of(path, {f"{('cat', 'dog')[k % 2]}/{k:04}.png": picture(seed_of(path) + k) for k in range(60)})


def zipped_letters(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for place, (topic, text) in enumerate(letters(60)):
            archive.writestr(f"{topic}/{place}.txt", text)


FURTHER: dict[str, Callable[[int], object]] = {
    "patient": lambda row: row // 3,
    "date": lambda row: f"2024-{1 + row // 28:02}-{1 + row % 28:02}",
    "weight": lambda row: 1 + row % 3,
}


def table(*header: str, labels: bool = True) -> Callable[[Path], object]:
    """Return a writer of rows of age, height and job, of one of `FURTHER`, and of the label, named last."""

    def write(path: Path) -> None:
        names = ["age", "height", "job", *header]
        further = [FURTHER[name] for name in header[:-1]]
        rows = [
            [*row[:3], *(value(place) for value in further), *row[3:]]
            for place, row in enumerate(people(90, seed_of(path)))
        ]
        lines = [names, *rows] if header else rows
        kept = lines if labels else [line[:-1] for line in lines]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in kept), "utf-8")

    return write


def genes(path: Path) -> None:
    Y = (FEATURES[:, :3] > 1).astype(int)
    rows = [",".join(map(str, [*x.round(3), *y])) for x, y in zip(FEATURES, Y, strict=True)]
    path.write_text("\n".join(["a,b,c,d,e,f,cell,energy,transport", *rows]) + "\n")


def songs(path: Path) -> None:
    names = np.array(["folk", "jazz", "rock"])
    rows = [{"tempo": float(x[0]), "length": float(x[1]), "genres": names[x[:3] > 1].tolist()} for x in FEATURES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def comments(labels: bool) -> Callable[[Path], object]:
    """Return a writer of rows of id, comment and, with labels, topic."""

    def write(path: Path) -> None:
        lines = ["id,comment,likes" + ",topic" * labels]
        for place, (topic, text) in enumerate(letters(60)):
            lines.append(f'{place},"{text}",{place % 7}' + f",{topic}" * labels)
        path.write_text("\n".join(lines) + "\n")

    return write


def reviews(path: Path) -> None:
    json_of(path)
    path.write_text(path.read_text().replace('"text"', '"body"').replace('"topic"', '"stars"'))


def parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"embedding": FEATURES.tolist(), "label": LABELS}), path)


def within(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.mkdir()
        write(path / name)

    return make


LAYERS = np.stack([FEATURES, FEATURES * 2], axis=1)
FUNCTIONS = b"""from straightedge.course import softmax_loss_vectorized
from straightedge.course import softmax_loss_vectorized as loss
from straightedge.course import svm_loss_vectorized as svm_loss
"""
READER_HAS: dict[str, Callable[[Path], object]] = {
    "photos": photos,
    "new": photos,
    "other-photos": photos,
    "new-photo.jpg": lambda path: Image.open(io.BytesIO(picture(seed_of(path)))).save(path),
    "people.csv": table("income"),
    "census.data": table(),
    "new.csv": table("income", labels=False),
    "new-people.csv": table("income", labels=False),
    "adult.csv": table("income"),
    "adult.data": table(),
    "adult.test": table(),
    "train.csv": table("income"),
    "test.csv": table("income"),
    "visits.csv": table("patient", "outcome"),
    "sales.csv": table("date", "outcome"),
    "survey.csv": table("weight", "outcome"),
    "fraud.csv": table("outcome"),
    "costs.csv": lambda path: path.write_text("class,weight\nhigh,5\nlow,1\n"),
    "genes.csv": genes,
    "songs.jsonl": songs,
    "comments.csv": comments(labels=True),
    "new-comments.csv": comments(labels=False),
    "letters.zip": zipped_letters,
    "letter.txt": lambda path: path.write_text("the captain saw the storm and a wave"),
    "inbox": within("one.txt", lambda path: path.write_text("a path near the old oak")),
    "reviews.jsonl": reviews,
    "features.npz": lambda path: np.savez(path, X=FEATURES, y=LABELS),
    "features.parquet": parquet,
    "embeddings": within("part-0.parquet", parquet),
    "X.npy": lambda path: np.save(path, FEATURES),
    "features.npy": lambda path: np.save(path, FEATURES),
    "y.npy": lambda path: np.save(path, LABELS),
    "labels.npy": lambda path: np.save(path, LABELS),
    "hidden_states.npy": lambda path: np.save(path, LAYERS),
    "dumps": within("0.npy", lambda path: np.save(path, np.stack([FEATURES] * 2, axis=1))),
    "mine.py": lambda path: path.write_bytes(FUNCTIONS),
    "cs231n": lambda path: folder_of(path, {"classifiers/softmax.py": FUNCTIONS}),
}  # fmt: skip
"""A name in a command -> what writes the file or folder."""


def pasted(line: str, folder: Path) -> tuple[list[str], bytes | None]:
    """Return the words of a command and what is piped into it; files that it names are made if they are missing."""
    words = shlex.split(line, comments=True)
    named = [part for word in words for part in re.split(r"[,:]", word.rstrip("/"))]
    for name in {part.split("/")[0] for part in named} & set(READER_HAS):
        if not (folder / name).exists():
            READER_HAS[name](folder / name)
    if words[:1] == ["cat"]:
        return words[words.index("|") + 2 :], (folder / words[1]).read_bytes()
    assert words[0] == "straightedge", line
    return words[1:], None


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash")], ids=name_of)
def test_the_shell_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _register()
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "bash"):
        for line in filter(None, block.replace("\\\n", " ").splitlines()):
            words, piped = pasted(line, tmp_path)
            done = CliRunner().invoke(app, words, input=piped)
            assert done.exit_code == 0, (line, done.output, done.exception)
            assert "warning" not in done.output.lower(), (line, done.output)
