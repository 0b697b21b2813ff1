"""Fitting the affine map: means and spreads of the features, from one pass over the training rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from straightedge.cores import available_cores
from straightedge.distributed import Communicator, guarded_sum, local, together
from straightedge.errors import InputError
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.sparse_rows import AnyRows, SparseRows
from straightedge.workers import BlockPool, block_spans, with_smaller_blocks

KINDS = ("auto", "none", "center", "channel", "pixels", "standardize")
UNSCALED = {"auto", "none"}  # of sparse rows
FULL_SCALES = (1.0, 16.0, 255.0, 65535.0)  # largest values that image formats give: [0, 1], digits, 8 and 16 bit
BLOCK_ROWS = 512
WORTH_THREADS = 500_000  # entries of X: below, starting threads takes longer than they save


@dataclass(frozen=True)
class Moments:
    """Sums over rows, enough for every kind of map.

    Attributes:
        count: Number of rows; the sum of their weights where they have weights.
        mean: (D,) float64.
        variance: (D,) float64, divided by the count.
        largest: The largest absolute entry of rows of positive weight.
        smallest: The smallest entry of rows of positive weight.
        sparse: Whether the rows are sparse, so that a shift would make them dense.
    """

    count: float
    mean: Tensor
    variance: Tensor
    largest: float
    smallest: float
    sparse: bool = False

    def mean_square_norm(self, affine: AffineMap) -> float:
        """Return the mean of ‖x̂‖² + 1 over the rows, behind a map: reg is compared with it."""
        spread = self.variance + (self.mean - affine.shift).square()
        return float((affine.scale.square() * spread).sum()) + 1.0


def moments(
    rows: AnyRows,
    communicator: Communicator | None = None,
    weights: Tensor | None = None,
    block_rows: int = BLOCK_ROWS,
) -> Moments:
    """Return the moments of the rows, over all ranks.

    Args:
        rows: This rank's rows.
        communicator: Sums over ranks.
        weights: (N,) ≥ 0, this rank's row weights: a row of weight w is w rows. None counts each row once.
        block_rows: Dense rows that are looked at together; fewer take less memory.

    Numerics:
        Sums are taken about the mean of the first block and in float64, so that a feature with a large mean
        and a small spread keeps its variance.

    Raises:
        InputError: ``x-not-finite`` or ``x-too-large``, with row and column.
    """
    communicator = communicator or local()
    if isinstance(rows, SparseRows):
        return _of_sparse(rows, communicator, weights)
    wide = torch.empty(rows.n_features, dtype=torch.float64, device=rows.device)
    first = guarded_sum(
        communicator, lambda: with_smaller_blocks(block_rows, lambda size: _first_mean(rows, size)), wide
    )
    centre = first / communicator.size
    # rounded to float32, so that it is the same number in either float type
    centre = centre.to(torch.float32).to(torch.float64)
    sums, largest = together(
        communicator, lambda: with_smaller_blocks(block_rows, lambda size: _own_sums(rows, centre, size, weights))
    )
    sums = communicator.all_reduce(sums)
    largest = communicator.all_reduce_max(largest)
    n = float(sums[2, 0])
    offset = sums[0] / n
    variance = (sums[1] / n - offset.square()).clamp_min(0).cpu()
    return Moments(n, (centre + offset).cpu(), variance, float(largest[0]), -float(largest[1]))


def _of_sparse(rows: SparseRows, communicator: Communicator, weights: Tensor | None) -> Moments:
    """Return the moments of sparse rows; their variance is E x² − (E x)², for zeros are most of a column."""
    rows.check_finite()
    n, first, second = weighted_sums(rows, weights)
    sums = communicator.all_reduce(torch.cat([first, second, torch.tensor([n], dtype=torch.float64)]))
    low, top = extremes(rows, weights)
    largest = communicator.all_reduce_max(torch.tensor([top, -low], dtype=torch.float64))
    n, D = float(sums[-1]), rows.n_features
    mean, square = sums[:D] / n, sums[D:-1] / n
    variance = (square - mean.square()).clamp_min(0)
    return Moments(n, mean, variance, float(largest[0]), -float(largest[1]), sparse=True)


def _own_sums(rows: Rows, centre: Tensor, block_rows: int, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (3, D) weighted sums of x − c, its square and 1 over these rows, and the largest |x| and −x."""
    small = rows.n_samples * rows.n_features < WORTH_THREADS
    pool = BlockPool(1 if small or rows.device.type != "cpu" else available_cores())
    spans = block_spans(rows.n_samples, block_rows)
    parts = pool.run(spans, lambda share: _sums(rows, centre, share, block_rows, weights))
    sums = torch.stack([part[0] for part in parts]).sum(dim=0)
    largest = torch.stack([part[1] for part in parts]).amax(dim=0)
    if not bool(sums.isfinite().all()) or float(largest[0]) > 1e15:
        rows.check_finite()
    total = rows.n_samples if weights is None else float(weights.sum())
    count = torch.full_like(sums[:1, :1], total).expand(1, sums.shape[1])
    return torch.cat([sums, count]), largest


def _first_mean(rows: Rows, block_rows: int) -> Tensor:
    stop = min(block_rows, rows.n_samples)
    buffer = torch.empty(stop, rows.n_features, dtype=torch.float64, device=rows.device)
    mean = rows.block(0, stop, buffer).mean(dim=0)
    return torch.where(mean.abs() < 1e15, mean, 0.0).to(torch.float32).to(torch.float64)


def _sums(
    rows: Rows, centre: Tensor, share: Iterator[tuple[int, int]], block_rows: int, weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return (2, D) sums of x − c and its square, and the largest |x| and −x, over the share."""
    dtype = torch.float64 if rows.is_float64 else torch.float32
    total = torch.zeros(2, rows.n_features, dtype=torch.float64, device=rows.device)
    largest = torch.tensor([0.0, -torch.inf], dtype=torch.float64, device=rows.device)
    buffer = rows.scratch(block_rows, dtype)
    shifted = torch.empty(block_rows, rows.n_features, dtype=dtype, device=rows.device)
    shift = centre.to(dtype)
    for start, stop in share:
        block = rows.block(start, stop, buffer)
        own = None if weights is None else weights[start:stop].to(block)
        largest = torch.maximum(largest, _extremes(block, own))
        difference = torch.sub(block, shift, out=shifted[: stop - start])
        total[0] += _weighted_sum(difference, own)
        total[1] += _weighted_sum(difference.square_(), own)
    return total, largest


def _weighted_sum(block: Tensor, weights: Tensor | None) -> Tensor:
    """Return Σ w_i x_i (D,) over a block's rows; not-a-number times 0 stays what it is, and is found."""
    return block.sum(dim=0) if weights is None else weights @ block


def _extremes(block: Tensor, weights: Tensor | None) -> Tensor:
    """Return the largest |x| and the largest −x (2,) float64 over the rows of positive weight."""
    counted = block if weights is None or bool((weights > 0).all()) else block[weights > 0]
    if not len(counted):
        return torch.tensor([0.0, -torch.inf], dtype=torch.float64, device=block.device)
    low, high = counted.aminmax()
    return torch.stack([torch.maximum(low.abs(), high.abs()), -low]).to(torch.float64)


def fit_affine(
    rows: AnyRows,
    kind: str = "auto",
    image_shape: tuple[int, ...] | None = None,
    communicator: Communicator | None = None,
    weights: Tensor | None = None,
) -> AffineMap:
    """Fit the map from raw rows to the classifier's, on these rows alone.

    Args:
        rows: The training rows.
        kind: "none"; "center" (feature means to 0); "channel" (means of each image channel to 0, the notes' step
            1); "pixels" (values to [0, 1] of their full scale, then "channel"); "standardize" (means 0, standard
            deviations 1, constant features switched off); "auto" is "pixels" for images, "none" for sparse rows,
            "standardize" otherwise.
        image_shape: (channels, height, width) where rows are images.
        communicator: Sums over ranks.
        weights: (N,) row weights, as in `moments`.

    Raises:
        InputError: ``preprocess-unknown``, or ``preprocess-needs-images``.
    """
    return affine_from(moments(rows, communicator, weights), kind, image_shape)


def fitted_map(
    rows: AnyRows, kind: str, image_shape: tuple[int, ...] | None, weights: Tensor | None
) -> tuple[AffineMap, tuple[float, float]]:
    """Return the map of `fit_affine`, and (smallest entry, largest |entry|) of rows of positive weight.

    Sparse rows that stay as they are need no sums, which take as long as some epochs over them.
    """
    if isinstance(rows, SparseRows) and kind in UNSCALED:
        rows.check_finite()
        return AffineMap.identity(rows.n_features), extremes(rows, weights)
    facts = moments(rows, weights=weights)
    return affine_from(facts, kind, image_shape), (facts.smallest, facts.largest)


def _of_sparse_rows(kind: str, n_features: int) -> AffineMap:
    if kind not in UNSCALED:
        mend = "use 'none', and scale before, as by sklearn.preprocessing.MaxAbsScaler; or give dense rows"
        raise InputError("preprocess-sparse", f"preprocess {kind!r} would make sparse rows dense", mend=mend)
    return AffineMap.identity(n_features)


def affine_from(facts: Moments, kind: str, image_shape: tuple[int, ...] | None = None) -> AffineMap:
    """Return the map of `fit_affine` from the moments of the training rows."""
    n_features = len(facts.mean)
    if kind not in KINDS:
        raise InputError("preprocess-unknown", f"preprocess is {kind!r}", mend=f"one of: {', '.join(KINDS)}")
    if facts.sparse:
        return _of_sparse_rows(kind, n_features)
    if kind == "auto":
        kind = "pixels" if image_shape is not None else "standardize"
    if kind in {"channel", "pixels"} and image_shape is None:
        raise InputError("preprocess-needs-images", f"preprocess {kind!r} needs images", mend="use 'standardize'")
    if kind == "none":
        return AffineMap.identity(n_features)
    ones = torch.ones(n_features, dtype=torch.float64)
    if kind == "center":
        return AffineMap(facts.mean, ones, kind)
    if kind == "standardize":
        spread = facts.variance.sqrt()
        constant = spread <= 1e-9 * (facts.mean.abs() + facts.largest * 1e-6)
        return AffineMap(facts.mean, torch.where(constant, 0.0, 1 / spread.clamp_min(1e-300)), kind)
    assert image_shape is not None
    shift = facts.mean.view(image_shape[0], -1).mean(dim=1).repeat_interleave(n_features // image_shape[0])
    scale = 1.0 if kind == "channel" else next((1 / s for s in FULL_SCALES if facts.largest <= s), 1.0)
    return AffineMap(shift, ones * scale, kind)


def weighted_sums(rows: SparseRows, weights: Tensor | None) -> tuple[float, Tensor, Tensor]:
    """Return Σ w_i, Σ w_i x_i (D,) and Σ w_i x_i² (D,), float64; no weights count each row once."""
    data = rows.data.astype(np.float64, copy=False)
    total, weighted = float(rows.n_samples), data
    if weights is not None:
        each = weights.double().numpy()
        total, weighted = float(each.sum()), np.repeat(each, np.diff(rows.indptr)) * data
    first = np.bincount(rows.indices, weighted, minlength=rows.n_features)
    second = np.bincount(rows.indices, weighted * data, minlength=rows.n_features)
    return total, torch.from_numpy(first), torch.from_numpy(second)


def extremes(rows: SparseRows, weights: Tensor | None) -> tuple[float, float]:
    """Return (smallest entry, largest |entry|) of rows of positive weight; what is not stored is 0."""
    data, n_rows = rows.data, rows.n_samples
    if weights is not None:
        counted = weights.numpy() > 0
        data, n_rows = data[np.repeat(counted, np.diff(rows.indptr))], int(counted.sum())
    low = 0.0 if len(data) < n_rows * rows.n_features else float(data.min())
    if not len(data):
        return 0.0, 0.0
    return min(low, float(data.min())), max(abs(float(data.min())), abs(float(data.max())))
