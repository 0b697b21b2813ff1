"""Sparse rows as plain arrays with names: how they lie in an ``.npz`` or a safetensors file.

A matrix ``X_train`` is four arrays: ``X_train_data``, ``X_train_indices``, ``X_train_indptr``, ``X_train_shape``.
`scipy.sparse.save_npz` leaves the name out, for it keeps one matrix a file.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from straightedge.data.checks import checked_rows
from straightedge.errors import InputError

FULL = 0.5  # share of stored entries from which rows are a table, standardised as tables are: it is then no larger
PARTS = ("data", "indices", "indptr", "shape")


def sparse_or_table(X: Any, where: str, first: int = 0) -> Any:
    """Return sparse rows as they are, or as a table where most of their entries are stored."""
    if X.nnz >= FULL * X.shape[0] * X.shape[1]:
        return checked_rows(X.toarray(), where)
    X.sum_duplicates()
    bad = ~np.isfinite(X.data)
    if bad.any():
        place = int(bad.argmax())
        row = int(np.searchsorted(X.indptr, place, side="right")) - 1
        what = f"the value {X.data[place]} is not a number"
        where = f"{where}, row {row}, feature {int(X.indices[place]) + first}"
        raise InputError("rows-not-finite", what, where, "replace or remove such rows")
    return X


def to_members(name: str, X: Any) -> dict[str, np.ndarray]:
    """Return the arrays of one sparse matrix by name."""
    rows = X.tocsr()
    shape = np.array(rows.shape, dtype=np.int64)
    indptr = rows.indptr.astype(np.int64)
    return dict(zip((f"{name}_{part}" for part in PARTS), (rows.data, rows.indices, indptr, shape), strict=True))


def with_matrices(members: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return members in which the arrays of sparse matrices are matrices of rows.

    Raises:
        InputError: ``sparse-broken`` where the arrays do not fit together.
    """
    found = dict(members)
    for key in [key for key in members if key == "indptr" or key.endswith("_indptr")]:
        name = key.removesuffix("indptr")
        names = {part: name + part for part in PARTS}
        if not all(one in members for one in names.values()):
            continue
        arrays = {part: np.asarray(members[one]) for part, one in names.items()}
        for one in (*names.values(), name + "format"):
            found.pop(one, None)
        found[name.removesuffix("_") or "X"] = _matrix(arrays, members.get(name + "format"), where)
    return found


def _matrix(arrays: Mapping[str, np.ndarray], form: Any, where: str) -> Any:
    from scipy import sparse

    kind = form.item() if isinstance(form, np.ndarray) and form.size == 1 else "csr"
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    make = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(kind)
    if make is None:
        raise _broken(f"a sparse matrix in the form {kind!r}", where)
    _check(arrays, kind, where)
    shape = tuple(int(side) for side in arrays["shape"])
    return make((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape).tocsr()


def _check(arrays: Mapping[str, np.ndarray], kind: str, where: str) -> None:
    """Refuse arrays that point outside of what they belong to: compiled loops trust them."""
    shape, indptr, indices = arrays["shape"], arrays["indptr"], arrays["indices"]
    whole = all(arrays[part].ndim == 1 and arrays[part].dtype.kind in "iu" for part in PARTS[1:])
    if not whole or shape.shape != (2,) or (shape < 0).any():
        raise _broken("the parts of a sparse matrix are no lists of whole numbers", where)
    rows, columns = shape if kind == "csr" else shape[::-1]
    data = arrays["data"]
    fits = len(indptr) == rows + 1 and indptr[0] == 0 and indptr[-1] == len(indices) == len(data) == data.size
    fits = fits and bool((indptr[1:] >= indptr[:-1]).all()) and data.dtype.kind in "biuf"
    if not fits or (len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= columns)):
        raise _broken("the parts of a sparse matrix do not fit together", where)


def _broken(what: str, where: str) -> InputError:
    return InputError("sparse-broken", what, where, 'write it again: scipy.sparse.save_npz("X.npz", X.tocsr())')
