"""Products of a table of rows with few columns of weights, cut into pieces that a BLAS multiplies as they lie.

A BLAS copies both operands into a layout of its own before it multiplies them, which of a table and ten columns
takes as long as the product. OpenBLAS leaves that out for small products on processors with AVX-512: cut into
those, a product with 2 to 30 columns takes half to nine tenths of the time, in float32 and float64. Where a BLAS
knows no such way, pieces take up to a third longer than the whole, and products are not cut.
"""

import numpy as np
from scipy.linalg import blas

PIECE = 1_000_000  # multiplications of a product that OpenBLAS 0.3.30 leaves its operands as they are for
PIECE_NUMBERS = 1200  # of its result where the second operand is transposed,
PIECE_COLUMNS = 32  # and how many numbers a row has at least there
FEWEST_ROWS = 4  # of a piece: with fewer, calls cost what they save
PIECE_BYTES = 400_000  # of rows and sums, which stay in a second cache: more took twice as long
SUMMED_ROWS = 8  # of a piece of `back` at least, since the sums are read and written once a piece
MOST_SUMMED = {4: 40, 8: 16}  # classes up to which pieces of `back` gain, by the bytes of a number


def _leaves_operands() -> bool:
    """Return whether NumPy's BLAS multiplies small operands as they lie: OpenBLAS on a processor with AVX-512."""
    found = np.show_config(mode="dicts")
    features = found.get("SIMD Extensions", {})
    known = [*features.get("baseline", []), *features.get("found", [])]
    blas_name = found.get("Build Dependencies", {}).get("blas", {}).get("name", "")
    return "openblas" in blas_name and any(name.startswith(("AVX512", "X86_V4")) for name in known)


CUT = _leaves_operands()


def forward(W: np.ndarray, X: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the scores W Xᵀ (C, N) of rows X (N, D), in ``out`` where that is given."""
    C, D = W.shape
    N, step = len(X), min(PIECE_NUMBERS // C, PIECE // (C * D))
    S = np.empty((C, N), X.dtype) if out is None else out
    cut = CUT and C > 1 and D >= PIECE_COLUMNS and FEWEST_ROWS <= step < N and X.strides[1] == X.itemsize
    if not cut:
        return _whole(W, X, S)
    n = N // step
    even = n * step
    pieces = S[:, :even].reshape(C, n, step).transpose(1, 0, 2)
    np.matmul(W, X[:even].reshape(n, step, D).transpose(0, 2, 1), out=pieces)
    if even < N:
        np.matmul(W, X[even:].T, out=S[:, even:])
    return S


def _whole(W: np.ndarray, X: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Overwrite S with W Xᵀ, or with (XWᵀ)ᵀ where that takes half to three quarters the time."""
    by_rows = len(W) < X.shape[1] and (X.dtype == np.float32 or W.size * len(X) <= PIECE)
    if not by_rows:
        return np.matmul(W, X.T, out=S)
    S[:] = (X @ W.T).T
    return S


def back(A: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return A X (C, D) for A (C, N) and rows X (N, D) of the same float type."""
    (C, N), D = A.shape, X.shape[1]
    step = PIECE // (C * D)
    if not CUT or not 1 < C <= MOST_SUMMED[X.itemsize] or not SUMMED_ROWS <= step < N or not X.flags.c_contiguous:
        found: np.ndarray = A @ X
        return found
    step = max(SUMMED_ROWS, min(step, (PIECE_BYTES // X.itemsize - C * D) // D))
    V = np.zeros((C, D), X.dtype)
    add = blas.sgemm if X.dtype == np.float32 else blas.dgemm
    for start in range(0, N, step):
        rows, share = X[start : start + step], A[:, start : start + step]
        add(1.0, rows.T, share.T, 1.0, V.T, overwrite_c=True)
    return V
