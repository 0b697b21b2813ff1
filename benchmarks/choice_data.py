"""The data on which the default choice of reg is compared: rows, labels, and why some are a sample."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.feature_extraction.text import TfidfVectorizer

NEWS_TEXTS, NEWS_TERMS = 2_000, 5_000
PICTURES, SIDE = 2_000, 16
FEW_CLASSES, FEW_IMAGES, FEW_FEATURES = 10, 20, 384
"""Images of few a class, by features of the size that small backbones give."""


@dataclass(frozen=True)
class Source:
    """A set of labelled rows.

    Attributes:
        load: Called with the folder of data, gives X (N, D) and y (N,).
        about: What it is, and why it is a sample where it is one.
        test: Share of each split that is judged.
        standardise: Whether columns are standardised by the training rows before both fits.
    """

    load: Callable[[Path], tuple[Any, np.ndarray]]
    about: str
    test: float = 0.25
    standardise: bool = True


def _built_in(load: Callable[..., Any]) -> Callable[[Path], tuple[Any, np.ndarray]]:
    return lambda folder: load(return_X_y=True)


def _table(name: str) -> Callable[[Path], tuple[Any, np.ndarray]]:
    """Return what reads a table as ``straightedge fit`` does: categories one-hot, missing numbers marked."""

    def load(folder: Path) -> tuple[np.ndarray, np.ndarray]:
        from straightedge.data import load_dataset

        found = load_dataset(folder / "tables" / name, progress=False)
        X = found.train.X
        X = X.read(0, X.shape[0]) if hasattr(X, "read") else X
        X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
        return X.reshape(len(X), -1).astype(np.float64), found.train.y

    return load


def _news(folder: Path) -> tuple[Any, np.ndarray]:
    """Return TF-IDF of training texts, the same number of each class as they come, by sublinear counts."""
    texts: list[str] = []
    labels: list[str] = []
    with zipfile.ZipFile(folder / "20news.zip") as archive:
        names = [one for one in archive.namelist() if "train/" in one and not one.endswith("/")]
        for name in np.random.default_rng(0).permutation(names)[:NEWS_TEXTS]:
            texts.append(archive.read(name).decode("latin-1"))
            labels.append(name.split("/")[-2])
    y = np.unique(labels, return_inverse=True)[1]
    return TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=NEWS_TERMS).fit_transform(texts), y


def _pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels of CIFAR-10 pictures at 16 × 16."""
    from PIL import Image

    rows, labels = [], []
    with zipfile.ZipFile(folder / "cifar10-images.zip") as archive:
        names = [one for one in archive.namelist() if "train/" in one and not one.endswith("/")]
        for name in np.random.default_rng(0).permutation(names)[:PICTURES]:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
            rows.append(np.asarray(small, dtype=np.float64).ravel())
            labels.append(name.split("/")[-2])
    return np.stack(rows), np.unique(labels, return_inverse=True)[1]


def _few(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return made features of few images a class, a few directions of which tell the classes."""
    return make_classification(  # type: ignore[no-any-return]
        FEW_CLASSES * FEW_IMAGES,
        FEW_FEATURES,
        n_informative=40,
        n_redundant=200,
        n_classes=FEW_CLASSES,
        n_clusters_per_class=1,
        class_sep=2.0,
        random_state=0,
    )


SOURCES = {
    "digits": Source(_built_in(load_digits), "1,797 digits of 8 × 8"),
    "wine": Source(_built_in(load_wine), "178 wines, 13 numbers, three classes"),
    "breast cancer": Source(_built_in(load_breast_cancer), "569 rows, 30 numbers, two classes"),
    "letter": Source(_table("letter-recognition.data"), "20,000 letters, 16 numbers, 26 classes"),
    "adult": Source(_table("adult.data"), "32,561 rows of census income, categories one-hot"),
    "isolet": Source(_table("Isolet.mat"), "1,560 spoken letters, 617 numbers, 26 classes"),
    "mnist_2000": Source(_table("mnist_2000.csv.gz"), "2,000 twos and threes, 784 pixels"),
    "20 newsgroups": Source(
        _news,
        f"{NEWS_TEXTS:,} of the training texts, TF-IDF of the {NEWS_TERMS:,} most frequent terms, unscaled "
        "for both, as centring would make them dense; on all of the texts the peer takes hours",
        standardise=False,
    ),
    "CIFAR-10": Source(_pictures, f"{PICTURES:,} pictures at {SIDE} × {SIDE}, 768 numbers, ten classes"),
    "few images": Source(
        _few, "made features of 200 images, 384 numbers, ten classes, 10 images a class to train on", test=0.5
    ),
}
