"""Fifteen small sources in the shapes that people bring; their contents are made by a seed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Images = dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class Written:
    """What lies on the disk.

    Attributes:
        source: What is given to `straightedge fit`.
        new: What is given to `straightedge predict`.
        n_new: The number of rows in `new`.
        labels: The class of every row of the source, as text.
        options: Further words for `fit`.
    """

    source: str
    new: str
    n_new: int
    labels: tuple[str, ...]
    options: tuple[str, ...] = ()


SOURCES: dict[str, Callable[[Path], Written]] = {}


def _source(write: Callable[[Path], Written]) -> Callable[[Path], Written]:
    SOURCES[write.__name__] = write
    return write


# Tables.


def _table(folder: Path, names: Sequence[str], rows: Sequence[Sequence[object]], label: str) -> Written:
    """Write all rows as the source, and the first five without their labels as new ones."""
    at = names.index(label)
    for file, shown, kept in (("table.csv", rows, names), ("new.csv", rows[:5], [*names[:at], *names[at + 1 :]])):
        with open(folder / file, "w", newline="", encoding="utf-8") as opened:
            out = csv.writer(opened)
            out.writerow(kept)
            out.writerows(row if kept is names else [*row[:at], *row[at + 1 :]] for row in shown)
    labels = tuple(str(row[at]) for row in rows)
    return Written("table.csv", "new.csv", 5, labels, ("--labels", label))


def _gaps(values: np.ndarray, share: float, rng: np.random.Generator) -> list[object]:
    """Some entries are empty."""
    missing = rng.random(len(values)) < share
    return ["" if gone else value for gone, value in zip(missing, values.tolist(), strict=True)]


@_source
def penguins(folder: Path) -> Written:
    """Three kinds, columns with units, a category, missing values."""
    rng = np.random.default_rng(1)
    kinds = rng.choice(["Adelie", "Chinstrap", "Gentoo"], 120, p=[0.45, 0.2, 0.35])
    shift = np.select([kinds == "Adelie", kinds == "Chinstrap"], [0.0, 6.0], 8.0)
    bill = _gaps((39 + shift + rng.normal(0, 3, 120)).round(1), 0.05, rng)
    mass = _gaps((3700 + 150 * shift + rng.normal(0, 300, 120)).round(), 0.05, rng)
    sex = rng.choice(["male", "female", ""], 120, p=[0.45, 0.45, 0.1])
    rows = list(zip(kinds, bill, mass, sex, strict=True))
    return _table(folder, ["species", "bill_length_mm", "body_mass_g", "sex"], rows, "species")


@_source
def titanic(folder: Path) -> Written:
    """Two classes that are named by numbers, half of the ages missing, names of persons."""
    rng = np.random.default_rng(2)
    survived, fare = rng.integers(0, 2, 150), rng.gamma(2, 15, 150).round(4)
    sex = np.where(rng.random(150) < 0.2 + 0.6 * survived, "female", "male")
    age = _gaps(rng.integers(1, 80, 150), 0.4, rng)
    people = [f'Nobody, Mr. {chr(65 + i % 26)}. "No. {i}"' for i in range(150)]
    rows = list(zip(survived, people, sex, age, fare, strict=True))
    return _table(folder, ["Survived", "Name", "Sex", "Age", "Fare"], rows, "Survived")


@_source
def adult(folder: Path) -> Written:
    """Labels with signs in them, one class three times the other, question marks for gaps."""
    rng = np.random.default_rng(3)
    income = rng.choice(["<=50K", ">50K"], 300, p=[0.76, 0.24])
    hours = rng.integers(20, 60, 300) + 8 * (income == ">50K")
    work = rng.choice(["Private", "State-gov", "Self-emp-not-inc", "?"], 300)
    education = rng.choice(["HS-grad", "Bachelors", "Prof-school"], 300)
    rows = list(zip(hours, work, education, income, strict=True))
    return _table(folder, ["hours-per-week", "workclass", "education", "income"], rows, "income")


@_source
def letters(folder: Path) -> Written:
    """26 classes of one character, 16 columns of small numbers."""
    rng = np.random.default_rng(4)
    centres = rng.integers(0, 16, (26, 16))
    labels = rng.permutation(np.tile(np.arange(26), 12))
    values = np.clip(centres[labels] + rng.integers(-3, 4, (312, 16)), 0, 15)
    rows = [[chr(65 + label), *row] for label, row in zip(labels, values.tolist(), strict=True)]
    return _table(folder, ["lettr", *(f"x{i}" for i in range(16))], rows, "lettr")


@_source
def one_rare_class(folder: Path) -> Written:
    """Faults of a machine: 200 rows of one class, 3 of another."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(["runs"] * 200 + ["bearing broken"] * 3 + ["overheated"] * 20)
    heat = 60 + 30 * (labels == "overheated") + rng.normal(0, 4, 223)
    noise = 40 + 25 * (labels == "bearing broken") + rng.normal(0, 4, 223)
    rows = list(zip(heat.round(2), noise.round(2), labels, strict=True))
    return _table(folder, ["temperature (°C)", "noise (dB)", "state"], rows, "state")


@_source
def awkward_names(folder: Path) -> Written:
    """Names of 1 and of 80 characters, with marks that HTML, Markdown and CSV take for their own."""
    rng = np.random.default_rng(6)
    names = [
        "a",
        "b|c*_`d`",
        "<i>slanted</i> & co",
        '"quoted", with a comma',
        "an extremely long name " * 3 + "of 80 chars",
    ]
    labels = rng.permutation(np.repeat(names, 14))
    place = np.array([names.index(name) for name in labels])
    rows = [
        [*np.eye(5)[p].round(2) + rng.normal(0, 0.4, 5).round(3), name]
        for p, name in zip(place, labels, strict=True)
    ]
    return _table(folder, ["=1+1", "<b>bold</b>", "col|umn", "x" * 70, "ß", "kind"], rows, "kind")


# Images.


def _pictures(folder: Path, images: Images, *, n_new: int = 3) -> Written:
    """Write a folder a class, and some of the images again as new ones."""
    (folder / "new").mkdir()
    for name, pictures in images.items():
        (folder / "pictures" / name).mkdir(parents=True)
        for i, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{i:04d}.png")
    for i, pictures in enumerate(list(images.values())[:n_new]):
        Image.fromarray(pictures[0]).save(folder / "new" / f"new_{i}.png")
    labels = tuple(name for name, pictures in images.items() for _ in pictures)
    return Written("pictures", "new", min(n_new, len(images)), labels)


def _made(names: Sequence[str], counts: Sequence[int], shape: tuple[int, ...], seed: int) -> Images:
    """A pattern for each class, coarse as pictures are, under noise."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> Iterator[np.ndarray]:
        cell = [-(-size // 4) for size in shape[:2]]
        coarse = rng.integers(0, 200, (4, 4, *shape[2:]))
        pattern = coarse.repeat(cell[0], 0).repeat(cell[1], 1)[: shape[0], : shape[1]]
        for _ in range(count):
            yield np.clip(pattern + rng.normal(25, 25, shape), 0, 255).astype(np.uint8)

    return {name: list(some(count)) for name, count in zip(names, counts, strict=True)}


@_source
def signs(folder: Path) -> Written:
    """43 classes that are named by numbers with leading zeros, unequal."""
    counts = [4 + 6 * (i % 4 == 0) for i in range(43)]
    return _pictures(folder, _made([f"{i:05d}" for i in range(43)], counts, (12, 12, 3), 7))


@_source
def many_long_names(folder: Path) -> Written:
    """120 classes with names of some 60 characters that begin alike."""
    names = [f"Panzerkampfwagen, Ausfuehrung {i:03d}, seen from the side at dusk" for i in range(120)]
    return _pictures(folder, _made(names, [2] * 120, (8, 8, 3), 8))


@_source
def faces(folder: Path) -> Written:
    """40 persons, ten grey pictures each."""
    return _pictures(folder, _made([f"s{i}" for i in range(1, 41)], [10] * 40, (14, 12), 9))


@_source
def one_image_a_class(folder: Path) -> Written:
    """24 icons, one of each."""
    return _pictures(folder, _made([f"icon {chr(97 + i)}" for i in range(24)], [1] * 24, (16, 16, 3), 10))


@_source
def medical(folder: Path) -> Written:
    """64 × 64 in colour: 12,288 columns, unequal classes."""
    return _pictures(folder, _made(["normal", "pneumonia", "other finding"], [30, 55, 12], (64, 64, 3), 11))


@_source
def right_to_left(folder: Path) -> Written:
    """Names in Arabic, Hebrew and Persian."""
    names = ["سيارة كبيرة", "מכונית", "هواپیما", "قطة"]
    return _pictures(folder, _made(names, [12] * 4, (10, 10, 3), 12))


# Texts and features.


@_source
def messages(folder: Path) -> Written:
    """Short messages, one class seven times the other, as JSON lines."""
    rng = np.random.default_rng(13)
    words = {
        "ham": ["see", "you", "at", "home", "later", "ok", "love", "dinner", "bus"],
        "spam": ["win", "a", "prize", "call", "now", "free", "cash", "£1000", "txt"],
    }
    labels = rng.permutation(["ham"] * 105 + ["spam"] * 15)
    texts = [" ".join(rng.choice(words[label], 7)) for label in labels]
    lines = [json.dumps({"label": label, "text": text}) for label, text in zip(labels, texts, strict=True)]
    (folder / "sms.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "new.txt").write_text("free cash now", encoding="utf-8")
    return Written("sms.jsonl", "new.txt", 1, tuple(map(str, labels)))


@_source
def news(folder: Path) -> Written:
    """A folder of texts for each of five groups with dots in their names."""
    rng = np.random.default_rng(14)
    groups = ["alt.atheism", "comp.graphics", "rec.autos", "sci.space", "talk.politics.misc"]
    for i, group in enumerate(groups):
        (folder / "news" / group).mkdir(parents=True)
        for j in range(12):
            words = rng.choice([f"word{i}{k}" for k in range(8)] + ["the", "of", "and", "is"], 30)
            (folder / "news" / group / f"{j}.txt").write_text(" ".join(words), encoding="utf-8")
    (folder / "new.txt").write_text("word30 and the word31", encoding="utf-8")
    return Written("news", "new.txt", 1, tuple(np.repeat(groups, 12).tolist()))


@_source
def features(folder: Path) -> Written:
    """Features of a network, 12,288 columns for 60 rows, labels that are whole numbers with gaps."""
    rng = np.random.default_rng(15)
    labels = rng.permutation(np.repeat([3, 7, 1000], 20))
    X = rng.normal(size=(60, 12_288)).astype(np.float32)
    X[:, :50] += labels[:, None] % 11 / 4
    np.save(folder / "features.npy", X)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "new.npy", X[:4])
    return Written("features.npy,labels.npy", "new.npy", 4, tuple(map(str, labels)))
