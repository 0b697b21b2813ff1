"""Frames and arrays of objects: numbers are taken, and the first value that is none is named."""

import numpy as np
import pytest

from straightedge import SoftmaxClassifier
from straightedge.data.cells import as_numbers, as_table
from straightedge.errors import InputError

pd = pytest.importorskip("pandas")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(X, columns=list("abcd"))


def test_objects_that_are_numbers_become_floats():
    array = np.array([[1, 2.5], ["3", True]], dtype=object)
    assert as_numbers(array).tolist() == [[1, 2.5], [3, 1]]
    assert np.array_equal(as_table(FRAME.convert_dtypes()), X)


def test_a_missing_value_of_a_frame_is_named_with_row_and_column():
    frame = FRAME.convert_dtypes()
    frame.iloc[7, 2] = pd.NA
    with pytest.raises(InputError, match=r"row 7, column 'c'.*x-missing"):
        SoftmaxClassifier().fit(frame, y)


def test_text_in_a_frame_is_named_with_row_and_column():
    with pytest.raises(InputError, match=r"'x'.*row 0, column 't'.*x-dtype"):
        SoftmaxClassifier().fit(FRAME.assign(t="x"), y)
    table = pytest.importorskip("pyarrow").Table.from_pandas(FRAME.assign(t="x"), preserve_index=False)
    with pytest.raises(InputError, match=r"'x'.*row 0, column 't'.*x-dtype"):
        SoftmaxClassifier().fit(table, y)
    with pytest.raises(InputError, match=r"row 1, column 0"):
        as_numbers(np.array([[1], ["x"]], dtype=object))


@pytest.mark.parametrize("dtype", ["string", "category", object])
def test_a_missing_label_is_named_with_its_row(dtype):
    labels = pd.Series(np.where(y, "dog", "cat"), dtype=dtype)
    labels.iloc[5] = None
    with pytest.raises(InputError, match=r"is missing \(1 such labels\).*row 5.*labels-missing"):
        SoftmaxClassifier().fit(FRAME, labels)
