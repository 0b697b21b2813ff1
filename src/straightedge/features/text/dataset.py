"""Texts of a data set as features, those of each fold or hold-out learned from its own training texts alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from straightedge.data.base import Dataset, SealedFeatures, Split
from straightedge.features.base import build_extractor
from straightedge.features.text.tfidf import TextCounts, check_texts

TEXT_KIND = "text"  # the kind of what `TextParts.columns` gives


def text_dataset(dataset: Dataset, extractor: Any) -> Dataset:
    """Return the data set with features for texts; the extractor is fitted here, on `dataset.train`, in place.

    Raises:
        InputError: ``features-need-texts``, and the extractor's codes.
    """
    check_texts(dataset.train.X)
    parts, test = None, None
    if dataset.test is not None:
        test = SealedFeatures(dataset.test, partial(_features, extractor=extractor))
    if hasattr(extractor, "count"):
        parts = TextParts(extractor, extractor.count(dataset.train.X), dataset.validation, test)
        extractor.learn(parts.counts)
        X = extractor.from_counts([block.counts for block in parts.counts.blocks])
    else:
        extractor.fit(dataset.train.X)
        X = extractor.transform(dataset.train.X)
    validation = dataset.validation
    return replace(
        dataset,
        train=replace(dataset.train, X=X),
        validation=None if validation is None else _features(validation, extractor),
        test=test,
        features=extractor.config(),
        parts=parts,
    )


def _features(split: Split, extractor: Any) -> Split:
    return replace(split, X=extractor.transform(split.X))


@dataclass(frozen=True)
class TextParts:
    """The texts of a data set, to be made features by what some of the training texts teach (see `RawTable`).

    Attributes:
        extractor: Says what is counted and kept.
        counts: Of all terms of the training texts.
        validation: Texts of the data's own validation split.
        test: The test split, whose texts it has once it is opened.
    """

    extractor: Any
    counts: TextCounts
    validation: Split | None
    test: SealedFeatures | None

    def columns(self, index: np.ndarray) -> dict[str, Any]:
        """Return what (n,) positions ``index`` among the training texts teach: a fitted extractor."""
        config = {key: value for key, value in self.extractor.config().items() if key != "version"}
        fitted = build_extractor(config.pop("name"), **config)
        fitted.learn(self.counts, index)  # type: ignore[attr-defined]
        return {"kind": TEXT_KIND, "extractor": fitted}

    def places(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Return where the terms of a part are among those of all training texts, −1 where they are not: (D',)."""
        found, first = [], 0
        for whole, part in zip(self.extractor.blocks, columns["extractor"].blocks, strict=True):
            near = np.minimum(np.searchsorted(whole.kept, part.kept), len(whole.kept) - 1)
            found.append(np.where(whole.kept[near] == part.kept, near + first, -1))
            first += len(whole.kept)
        return np.concatenate(found)

    def rows(self, split: str, columns: Mapping[str, Any]) -> Any:
        """Return all texts of a split as features of the extractor that `columns` gave."""
        fitted = columns["extractor"]
        if split == "train":
            return fitted.from_counts([block.counts for block in self.counts.blocks])
        texts = self.validation if split == "validation" or self.test is None else self.test.as_read
        assert texts is not None, f"there are no texts of {split}"
        return fitted.transform(texts.X)
