"""LinearModel: the fitted classifier on raw rows, its class names, its proof; predict, save, load.

The affine map of preprocessing is folded into the weights, so a model scores raw uint8 pixels or raw features
directly: ``scores = x @ weight + bias``. The numbers are kept as NumPy's arrays, and torch is imported where a
tensor is asked for: a new process reads a file and predicts without it. A file holds everything prediction needs
and is read with suspicion (see `tensorfile`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.calibration import decided, probabilities
from straightedge.errors import InputError
from straightedge.kinds import is_frame
from straightedge.later import later
from straightedge.losses import is_probabilistic
from straightedge.model.arrays import KeptArrays, MapArrays, ModelArrays, check_model
from straightedge.model.file import arguments_of, facts_of, tensors_of
from straightedge.model.records import RECORDS, InputFormat, Proof, RecordedFacts
from straightedge.model.versions import versions
from straightedge.nested import record_of, records_from
from straightedge.scoring import as_rows, score_rows
from straightedge.tensorfile import read_stored, write_tensors
from straightedge.views import ModelViews

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from straightedge.preprocess import AffineMap
else:
    torch = later("torch")

MODEL_FILE = "model.safetensors"
FORMAT_VERSION = 1
TEXT_EXTRACTORS = ("tfidf", "hashing")
_IMAGES_AT_ONCE = 256
FACTS = record_of(RECORDS)


@dataclass(frozen=True, repr=False, init=False)
class LinearModel(KeptArrays, RecordedFacts, ModelViews):
    """A linear classifier on raw rows, with what is known about how it was fitted.

    Facts stand in two records, and are attributes of the model, too: ``model.loss`` is ``model.proof.loss``.

    Args:
        weight: (D, C), affine map folded in, a tensor or an array.
        bias: (C,).
        classes: Class names, index = label.
        affine: The map W was fitted behind.
        temperature: See the attribute.
        threshold: See the attribute.
        **facts: The records by their names, and their fields by theirs, such as ``loss="svm"``.

    Attributes:
        arrays: `weight`, `bias` and `affine` as NumPy's arrays: asking for these imports no torch.
        weight: (D, C) float32 tensor over the array's memory.
        bias: (C,) float32 tensor over the array's memory.
        classes: Class names, index = label.
        affine: The map W was fitted behind, in tensors, or None.
        temperature: Scores are divided by it before the softmax; None means not calibrated.
        threshold: Of two classes, by how much the second one's score must exceed the first one's for it to be
            named; None names the class of the highest score.
        proof: What was minimised, and how near the optimum the weights are: `loss`, `reg`, `bias_mode`,
            `objective`, `dual`, `gap`, `status`, `versions`.
        input: What the rows are: `input_shape`, `input_dtype`, `columns`, `features`, `extractor_state`.

    Raises:
        InputError: ``model-shape``, ``model-nan``, ``model-threshold``.
        TypeError: For a fact that no record has.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    affine: AffineMap | None
    temperature: float | None
    threshold: float | None
    proof: Proof
    input: InputFormat

    def __init__(
        self,
        weight: Tensor | np.ndarray,
        bias: Tensor | np.ndarray,
        classes: tuple[str, ...],
        *,
        affine: AffineMap | MapArrays | None = None,
        temperature: float | None = None,
        threshold: float | None = None,
        **facts: Any,
    ) -> None:
        arrays = ModelArrays.of(weight, bias, affine)
        records = records_from(RECORDS, facts, "LinearModel")
        shape = tuple(records["input"].input_shape) or (arrays.weight.shape[0],)
        records["input"] = replace(records["input"], input_shape=shape)
        self.__dict__.update(arrays=arrays, classes=tuple(classes), **records)
        self.__dict__.update(temperature=temperature, threshold=threshold)
        check_model(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled; earlier versions had tensors, and still earlier ones every fact beside them."""
        if "arrays" not in state:
            tensors = {name: state.pop(name) for name in ("weight", "bias", "affine")}
            state = state | {"arrays": ModelArrays.of(**tensors)}
        facts = {name: value for name, value in state.items() if name in FACTS}
        records = {} if RECORDS.keys() <= state.keys() else records_from(RECORDS, facts, "LinearModel")
        self.__dict__.update({name: value for name, value in state.items() if name not in facts} | records)

    @classmethod
    def from_fit(cls, W: Tensor, affine: AffineMap, classes: tuple[str, ...], **facts: Any) -> LinearModel:
        """Fold a solution on mapped rows into a model on raw rows.

        Args:
            W: (D + 1, C) on mapped rows, bias in the last row; float64 keeps the folding exact.
            affine: The map it was fitted behind.
            classes: Class names.
            **facts: The other facts, by name; versions are those of now unless they are given.

        Returns:
            The model.

        Raises:
            InputError: ``model-shape`` or ``model-nan``.
        """
        weight, bias = affine.fold(W.detach().to("cpu", torch.float64))
        facts = facts if "proof" in facts else {"versions": versions()} | facts
        return cls(weight=weight, bias=bias, classes=classes, affine=affine, **facts)

    @property
    def n_features(self) -> int:
        """Width D of the rows that the weights see."""
        return int(self.arrays.weight.shape[0])

    @property
    def is_of_table(self) -> bool:
        """Whether rows are a table's, whose columns are known."""
        return self.features is None and (self.columns or {}).get("kind") == "table"

    @property
    def feature_names(self) -> list[str]:
        """(D,) names of what the weights see: of a table's features, terms of texts, else ``x0``, ``x1``, …."""
        if self.takes_texts and hasattr(self.extractor, "feature_names"):
            return list(self.extractor.feature_names)
        if self.is_of_table:
            from straightedge.data.tables.encoding import TableEncoding

            return TableEncoding.from_dict(self.columns or {}).feature_names
        return [f"x{place}" for place in range(self.n_features)]

    @property
    def W(self) -> Tensor:  # noqa: N802  (the field's name for it)
        """(D + 1, C) float64 on mapped rows: the folding undone.

        Numerics: a feature the map switches off (scale 0) has weight 0 in both forms.
        """
        weight, bias = self.weight.double(), self.bias.double()
        if self.affine is None:
            return torch.cat([weight, bias[None]])
        scale = self.affine.scale[:, None]
        body = torch.where(scale == 0, 0.0, weight / torch.where(scale == 0, 1.0, scale))
        return torch.cat([body, (bias + self.affine.shift @ weight)[None]])

    def scores(self, X: Any) -> np.ndarray:
        """Score rows, block by block.

        Args:
            X: (N, D) or (N, *input_shape) rows, any real type and layout: NumPy array or memory map, torch
                tensor on any device, or a `RowSource`. With an extractor: (N, D) features, or images
                (N, *input_shape), or N texts where the model was fitted on texts. Where it was fitted on a table: a
                frame of pandas, polars or pyarrow with its columns as they are written, in any order.

        Returns:
            (N, C) float32.

        Raises:
            InputError: ``predict-shape``, ``predict-width``, ``predict-type``, ``predict-nan``, ``column-missing``.

        Numerics: products are in float32 whatever X is; uint8 pixels are exact in it.
        """
        X = as_rows(self._rows_of_texts(X) if self.takes_texts else self._rows_of_frame(X))
        if self.features is not None and tuple(X.shape[1:]) == self.input_shape != (self.n_features,):
            X = self.extract(X)
        pixels = self.input_dtype == "uint8" and self.features is None
        return score_rows(X, self.arrays.weight, self.arrays.bias, self.input_shape, pixels=pixels)

    def _rows_of_frame(self, X: Any) -> Any:
        """Return the rows of a frame, where the model was fitted on a table; anything else as it is."""
        if not (self.is_of_table and is_frame(X)):
            return X
        from straightedge.data.tables.frames import frame_rows

        return frame_rows(X, self.columns or {})

    def _rows_of_texts(self, X: Any) -> Any:
        """Return the features of texts, or of a frame's column of texts; features as they are."""
        from straightedge.data.tables.texts import frame_texts
        from straightedge.data.text.documents import is_texts

        texts = frame_texts(X, self.columns) if self.columns is not None and is_frame(X) else X
        return self.extractor.transform(texts) if is_texts(texts) else texts

    @property
    def takes_texts(self) -> bool:
        """Whether rows are made of texts."""
        return self.features is not None and self.features.get("name") in TEXT_EXTRACTORS

    @cached_property
    def extractor(self) -> Any:
        """The stored extractor, ready to transform images."""
        from straightedge.features.base import restore_extractor

        return restore_extractor(self.features or {}, self.extractor_state)

    def extract(self, images: Any) -> np.ndarray:
        """Run the stored extractor on images (N, *input_shape) and return features (N, D)."""
        from straightedge.features.base import read_images

        n, step = int(images.shape[0]), _IMAGES_AT_ONCE
        blocks = (read_images(images, start, min(start + step, n)) for start in range(0, n, step))
        rows = [self.extractor.transform(block) for block in blocks]
        return np.concatenate(rows) if rows else np.zeros((0, self.n_features), dtype=np.float32)

    def predict(self, X: Any) -> np.ndarray:
        """Return (N,) int64 labels, or (N, C) bool of several labels a row: see `labels_of`."""
        return self.labels_of(self.scores(X))

    def labels_of(self, scores: np.ndarray) -> np.ndarray:
        """Return (N,) int64 labels: the class of the highest score, the first of equal ones; or by `threshold`."""
        return np.asarray(scores >= 0) if self.multilabel else decided(scores, self.threshold)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return (N, C) float64 probabilities (errors as `scores` and `probabilities`)."""
        return self.probabilities(self.scores(X))

    @property
    def has_probabilities(self) -> bool:
        """Whether scores mean probabilities: softmax, or any loss with a fitted temperature."""
        return is_probabilistic(self.loss) or self.temperature is not None

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Turn scores into probabilities: softmax(scores / temperature), or each label's own.

        Args:
            scores: (N, C), as `scores` gives them.

        Returns:
            (N, C) float64, rows sum to 1; of several labels a row each between 0 and 1 by itself.

        Raises:
            InputError: ``not-calibrated`` for scores of a hinge without a temperature.

        Numerics: see `calibration.log_softmax`.
        """
        if not self.has_probabilities:
            mend = "calibrate the model (a temperature fitted on validation), or fit --loss softmax"
            raise InputError("not-calibrated", f"the scores of {self.loss} are not probabilities", mend=mend)
        if not len(scores):
            return np.zeros((0, len(self.classes)))
        if self.multilabel:
            return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64).clip(-700, 700))))
        return probabilities(scores, self.temperature or 1.0)

    def with_temperature(self, temperature: float | None) -> LinearModel:
        """Return the same model with another calibration."""
        return replace(self, temperature=temperature)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as one safetensors file, whole or not at all.

        Raises:
            MachineError: ``disk-full``, ``read-only``, ``write-failed``.
            InputError: ``output-path``.
        """
        write_tensors(path, tensors_of(self), kind="model", version=FORMAT_VERSION, meta=facts_of(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LinearModel:
        """Read a model from a run folder or a file (see `load`)."""
        return load(path)

    @classmethod
    def from_pretrained(cls, place: str | os.PathLike[str], revision: str | None = None) -> LinearModel:
        """Read a model from a folder, without a network, or from a repository of the Hugging Face hub.

        Args:
            place: A folder that ``straightedge export --to hub`` or a fit wrote, or ``owner/name``.
            revision: A branch, tag or commit of the repository.

        Raises:
            InputError, MachineError: As `straightedge.model.hub.model_file` and `load`.
        """
        from straightedge.model.hub import model_file

        return load(model_file(place, revision))


def load(path: str | os.PathLike[str]) -> LinearModel:
    """Read a model from a run folder or a ``.safetensors`` file; nothing is ever unpickled.

    Args:
        path: The folder of a run, or the file.

    Returns:
        The model.

    Raises:
        InputError: ``model-missing`` and the other codes of `tensorfile.read_stored`, ``model-shape``,
            ``model-nan``.
    """
    where = Path(path)
    where = where / MODEL_FILE if where.is_dir() else where
    stored, facts = read_stored(where, kind="model", version=FORMAT_VERSION)
    try:
        return LinearModel(**arguments_of(stored, facts))
    except InputError as error:
        raise InputError(error.code, error.what, str(where), error.mend) from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"the model's description is incomplete ({type(error).__name__}: {str(error)[:80]})"
        raise InputError("model-header", what, str(where), "restore the file from a copy") from error
