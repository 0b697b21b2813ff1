"""Which column of a table names images, and what the label of each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.listing import IMAGE_ENDINGS
from straightedge.data.manifests.files import ImageFinder
from straightedge.data.manifests.places import ImageFile, Place
from straightedge.data.split_names import split_of_word
from straightedge.data.tables.files import Table, arrow
from straightedge.data.tables.label_column import choose_label, is_text
from straightedge.errors import InputError

FILE_COLUMNS = (
    *("file_name", "filename", "file", "filepath", "filepaths", "file_path", "path", "image_path"),
    *("image", "image_name", "img_path", "img", "image_id", "id", "name", "uuid"),
)
"""Names of columns that say which image a row is, lower case, in the order in which they are taken."""
LOOKED_AT = 8  # rows whose files are looked for to tell such a column from others
SPLIT_COLUMNS = ("split", "data set", "dataset", "set", "subset", "fold", "phase")


@dataclass
class Manifest:
    """One table that names images.

    Attributes:
        table: The table.
        column: The column of names.
        finder: Finds their files.
        split: The split of all rows, None where a column or the files' folders say it.
    """

    table: Table
    column: str
    finder: ImageFinder
    split: str | None = None
    _values: list[Any] = field(default_factory=list)

    @property
    def names(self) -> list[Any]:
        """The names as they are written."""
        if not self._values:
            self._values = self.table.column(self.column).to_pylist()
        return self._values


def find_manifest(table: Table, place: Place, wanted: str | None = None) -> Manifest | None:
    """Return a table as a manifest if one of its columns names images inside `place`.

    Raises:
        InputError: ``image-file-missing`` where the column that was asked for names no image.
    """
    names = _candidates(table, wanted)
    finder = ImageFinder(table.path, place) if names else None
    for name in names:
        values = _first_values(table, name)
        assert finder is not None
        there = sum(finder.find(value) is not None for value in values)
        if there > len(values) / 2:
            return Manifest(table, name, finder)
    if wanted is not None and names and _looks_like_files(_first_values(table, wanted)):
        raise missing_file(_first_values(table, wanted)[0], 0, table.path, place.root)
    return None


def _candidates(table: Table, wanted: str | None) -> list[str]:
    """Return the columns that may name images, the likeliest first."""
    if wanted is not None:
        return [wanted] if wanted in table.schema.names and _may_name(table, wanted) else []
    known = {name.strip().lower(): name for name in reversed(table.schema.names)}
    named = [known[word] for word in FILE_COLUMNS if word in known and _may_name(table, known[word])]
    others = [
        name
        for name in table.schema.names
        if name not in named
        and is_text(table.schema.field(name).type)
        and _looks_like_files(_first_values(table, name))
    ]
    return named + others


def _may_name(table: Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return is_text(kind) or bool(arrow("pyarrow.types").is_integer(kind))


def _first_values(table: Table, name: str) -> list[Any]:
    for piece, count in enumerate(table.counts):
        if count:
            batch = next(iter(table.blocks(piece, [name], LOOKED_AT)))
            return [value for value in batch.column(0)[:LOOKED_AT].to_pylist() if value is not None]
    return []


def _looks_like_files(values: Sequence[Any]) -> bool:
    return bool(values) and all(Path(str(value)).suffix.lower() in IMAGE_ENDINGS for value in values)


def missing_file(name: Any, row: int, table: Path, root: Path, count: int = 1) -> InputError:
    """Return the error for a name without a file."""
    more = f" ({count} such rows)" if count > 1 else ""
    what = f"the table names {name!r}, and there is no such image inside {root}{more}"
    mend = "give the folder that holds both the table and the images; --skip-bad goes on without such rows"
    return InputError("image-file-missing", what, f"{table}, row {row}", mend)


@dataclass(frozen=True)
class Labels:
    """The labels of a manifest.

    Attributes:
        y: One a row, as written.
        column: The column they stand in; "" where each class has a column of 0 and 1.
        remark: Where they stand, for people.
    """

    y: Any
    column: str
    remark: str


def labels_of(manifest: Manifest, wanted: str | None) -> Labels:
    """Return the label of each row.

    A table with a column of 0 and 1 for each class gives the names of those columns.

    Raises:
        InputError: ``column-missing``, ``labels-regression``.
    """
    from straightedge.data.tables.labels import read_labels, refuse_regression

    table = manifest.table
    others = [name for name in table.schema.names if name not in (manifest.column, split_column(table))]
    if not wanted and (found := _one_hot(table, others)) is not None:
        return Labels(found, "", f"label: the one column of {len(others)} that is 1")
    if not wanted and len(others) == 1:
        wanted = others[0]
    choice = choose_label([table], wanted or None, others)
    y = read_labels([table], choice.name)
    refuse_regression(y, table, choice.name)
    return Labels(y, choice.name, f"label: column {choice.name!r} of {table.path.name}, {choice.reason}")


def _one_hot(table: Table, names: Sequence[str]) -> np.ndarray | None:
    """Return the name of the column that is 1 in each row, None where the columns are no such ones."""
    if len(names) < 2 or any(is_text(table.schema.field(name).type) for name in names):
        return None
    try:
        values = np.column_stack([table.column(name).to_numpy() for name in names])
    except (ValueError, TypeError, NotImplementedError, arrow().ArrowException):
        return None
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all() or (values.sum(1) != 1).any():
        return None
    chosen: np.ndarray = np.array(names)[values.argmax(axis=1)]
    return chosen


def split_column(table: Table) -> str | None:
    """Return the column that says the split of each row: one of the usual names, with words of splits alone."""
    known: dict[str, str] = {name.strip().lower(): name for name in table.schema.names}
    for word in SPLIT_COLUMNS:
        if word in known and is_text(table.schema.field(known[word]).type):
            found = arrow("pyarrow.compute").unique(table.column(known[word])).to_pylist()
            splits = [split_of_word(str(value)) for value in found]
            if "train" in splits and None not in splits:
                return known[word]
    return None


Files = Mapping[int, ImageFile]  # row -> its image


def files_of(manifest: Manifest, root: Path, skip_missing: bool) -> Files:
    """Return the image of every row that has one.

    Raises:
        InputError: ``image-file-missing`` unless rows without an image are left out.
    """
    found = {row: file for row, name in enumerate(manifest.names) if (file := manifest.finder.find(name))}
    if len(found) < len(manifest.names) and not (skip_missing and found):
        row = next(row for row in range(len(manifest.names)) if row not in found)
        missing = len(manifest.names) - len(found)
        raise missing_file(manifest.names[row], row, manifest.table.path, root, missing)
    return found
