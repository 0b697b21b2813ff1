"""`tfidf`: how often words, and runs of characters if asked, stand in a text, weighted by how rare they are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from straightedge.data.text.documents import is_texts
from straightedge.errors import InputError
from straightedge.features.base import bad_setting
from straightedge.features.text.terms import CHAR_RUNS, CHARS, WORDS, Counts, Learned, Terms

LONGEST_RUN = 10  # most words or characters of a term
MIN_DF = 2  # texts that a term must stand in: terms of one text are most of all terms, and tell little of others


@dataclass(frozen=True)
class TextCounts:
    """Counts of every block of terms: words, and characters where they are asked for."""

    blocks: tuple[Counts, ...]

    def of(self, texts: Sequence[str]) -> list[Any]:
        """Return the counts (n, T) of each block's terms in other texts."""
        return [block.of(texts) for block in self.blocks]


class TfIdf:
    """Terms of the training texts with sublinear counts and inverse document frequencies, rows of length 1.

    Args:
        chars: Whether runs of 2 to 5 characters inside words are counted beside the words.
        ngrams: Words of a term, ``LOW-HIGH``.
        min_df: Training texts that a term must stand in: a number, or a share of them.
        max_features: Terms of a block at most, the most frequent ones.
        sublinear: Whether a count n becomes 1 + ln n.
    """

    name: ClassVar[str] = "tfidf"
    version: ClassVar[int] = 1
    learns: ClassVar[bool] = True

    def __init__(
        self,
        chars: bool = False,
        ngrams: str | int = "1-1",
        min_df: float | str = MIN_DF,
        max_features: int | None = None,
        sublinear: bool = True,
    ) -> None:
        self.terms = (Terms(WORDS, *runs_of(ngrams)), *([Terms(CHARS, *CHAR_RUNS)] if chars else []))
        self.min_df = _checked_min_df(min_df)
        self.max_features = None if max_features is None else _checked_count(max_features)
        self.sublinear = bool(sublinear)
        self.blocks: tuple[Learned, ...] = ()

    @classmethod
    def parse(cls, argument: str) -> dict[str, Any]:
        """Read ``chars`` or ``words`` after the colon of a spec."""
        if argument not in ("", "words", "chars"):
            what = f"tfidf of {argument!r} is not known"
            raise InputError("extractor-option", what, mend="tfidf or tfidf:chars")
        return {"chars": argument == "chars"}

    @property
    def n_features(self) -> int:
        """Number of terms; known after `fit`."""
        return sum(len(block.names) for block in self.blocks)

    @property
    def feature_names(self) -> list[str]:
        """The terms; runs of characters stand in quotes, with the blanks at the edges of words."""
        return [name if b.terms.kind == WORDS else repr(name) for b in self.blocks for name in b.names]

    def prepare(self, texts: Any, seed: int = 0) -> None:
        """Refuse what are no texts; nothing is learned."""
        check_texts(texts)

    def fit(self, texts: Any, seed: int = 0) -> None:
        """Learn terms and weights from training texts."""
        check_texts(texts)
        self.learn(self.count(texts))

    def count(self, texts: Iterable[str]) -> TextCounts:
        """Count all terms of training texts, once for every part of them that is learned from."""
        return TextCounts(tuple(terms.count(texts) for terms in self.terms))

    def learn(self, counts: TextCounts, rows: np.ndarray | None = None) -> None:
        """Learn from some of the texts that were counted: (n,) positions ``rows``, or all."""
        self.blocks = tuple(one.learned(rows, self.min_df, self.max_features) for one in counts.blocks)

    def from_counts(self, counts: Sequence[Any]) -> Any:
        """Return the features (N, D) of counts of all terms, of which those that were learned are taken."""
        pairs = zip(self.blocks, counts, strict=True)
        return _beside([block.features(own[:, block.kept], self.sublinear) for block, own in pairs])

    def transform(self, texts: Iterable[str]) -> Any:
        """Return (n, n_features) CSR float32 of texts."""
        texts = list(texts)
        return _beside([block.features(block.count(texts), self.sublinear) for block in self.blocks])

    def config(self) -> dict[str, Any]:
        """Return name, version and settings."""
        words = self.terms[0]
        return {
            "name": self.name,
            "version": self.version,
            "chars": len(self.terms) > 1,
            "ngrams": f"{words.low}-{words.high}",
            "min_df": self.min_df,
            "max_features": self.max_features,
            "sublinear": self.sublinear,
        }

    def state(self) -> dict[str, Tensor]:
        """Return terms, as UTF-8 with their ends, and idf of each block."""
        out: dict[str, Tensor] = {}
        for place, block in enumerate(self.blocks):
            blobs = [name.encode("utf-8", "surrogatepass") for name in block.names]
            ends = np.cumsum([len(blob) for blob in blobs], dtype=np.int64)
            out |= {
                f"{place}.terms": torch.from_numpy(np.frombuffer(b"".join(blobs), np.uint8).copy()),
                f"{place}.ends": torch.from_numpy(ends),
                f"{place}.idf": torch.from_numpy(block.idf),
            }
        return out

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the terms of a saved model.

        Raises:
            InputError: ``extractor-state`` where they do not fit together.
        """
        self.blocks = tuple(_restored(terms, place, state) for place, terms in enumerate(self.terms))


def _restored(terms: Terms, place: int, state: dict[str, Tensor]) -> Learned:
    try:
        data, ends, idf = (state[f"{place}.{name}"].numpy() for name in ("terms", "ends", "idf"))
        text = data.tobytes()
        starts = np.concatenate([[0], ends[:-1]])
        if ends[-1] != len(text) or (ends < starts).any() or len(idf) != len(ends):
            raise ValueError("lengths differ")
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        names = tuple(text[start:end].decode("utf-8", "surrogatepass") for start, end in pairs)
        if len(set(names)) < len(names) or not np.isfinite(idf).all():
            raise ValueError("a term twice, or a weight that is no number")
    except (KeyError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        what = f"the saved tfidf extractor is broken ({type(error).__name__}: {str(error)[:80]})"
        raise InputError("extractor-state", what, mend="restore the model file from a copy") from error
    return Learned(terms, names, idf.astype(np.float64))


def _beside(blocks: Sequence[Any]) -> Any:
    """Return blocks of features side by side."""
    from scipy.sparse import hstack

    return blocks[0] if len(blocks) == 1 else hstack(blocks, format="csr")


def check_texts(texts: Any) -> None:
    """Refuse rows that are no texts."""
    if not is_texts(texts):
        what = f"these features are made of texts; the rows are {getattr(texts, 'dtype', type(texts).__name__)}"
        mend = "give a folder of text files or JSON lines, or leave --features out"
        raise InputError("features-need-texts", what, mend=mend)


def runs_of(ngrams: str | int) -> tuple[int, int]:
    """Read ``1-2``: fewest and most words of a term.

    Raises:
        InputError: ``extractor-option``.
    """
    found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", str(ngrams))
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= LONGEST_RUN:
        raise bad_setting("ngrams", ngrams, "LOW-HIGH, such as 1-2 for words and pairs", "--ngrams")
    return int(found[1]), int(found[2])


def _checked_min_df(min_df: float | str) -> float:
    text = str(min_df)
    if re.fullmatch(r"[1-9]\d{0,8}", text):
        return int(text)
    if re.fullmatch(r"0?\.\d+(e-\d+)?|[01]\.0", text):
        return float(text)
    raise bad_setting("min_df", min_df, "a number of texts, or a share such as 0.01", "--min-df")


def _checked_count(n: int) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise bad_setting("max_features", n, "a number of terms", "--max-features")
    return n
