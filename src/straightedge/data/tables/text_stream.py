"""Large text tables, parsed once into an Arrow file of the cache, a part at a time: memory stays near a block."""

import atexit
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

from straightedge.atomic import disk
from straightedge.data.cache import cache_folder
from straightedge.data.tables.files import arrow, release_memory, use_system_memory
from straightedge.data.tables.text_bytes import LARGEST_TEXT, refuse_nul, refuse_unmarked, unpacking
from straightedge.data.tables.text_cache import CachedTable, CellWriter
from straightedge.data.tables.text_columns import finite
from straightedge.data.tables.text_file import TextRead, csv_options, format_of, ragged, typed, unparsed
from straightedge.data.tables.text_format import LOOKED_AT_BYTES, TextFormat, table_empty
from straightedge.errors import InputError, warn
from straightedge.leftovers import temporary_name
from straightedge.special_files import open_regular

STREAMED_FROM = 2**25
"""Bytes of a file from which it is parsed in parts; smaller ones are parsed faster in memory, in six times that."""
BLOCK_BYTES = 2**21  # bytes of text parsed at a time: Arrow holds several such blocks, each as text and as columns
VERSION = 3  # raised when parsing changes, so that old files of the cache are not read
ORDER = ("int64", "double", "string")  # kinds of columns; each holds what those before it hold


def streamed_table(path: Path, how: TextRead) -> CachedTable | None:
    """Read a large text table through the cache; None where it is small, or has to be read whole.

    Whole are read: other encodings than UTF-8, runs of blanks, line ends of carriage returns alone, zip files.

    Raises:
        InputError: As `read_text_table`.
    """
    with open_regular(path) as file:
        large = os.fstat(file.fileno()).st_size >= STREAMED_FROM
        head = _head(file, path) if large and (how.encoding or "utf-8").lower() in ("utf-8", "utf8") else None
    if head is None:
        return None
    form = format_of(head, path, how)
    if form.delimiter == " " or f'{form.delimiter} "'.encode() in head:
        return None
    use_system_memory()
    return _stored(path, form, how, b'"' in head)


def _head(file: Any, path: Path) -> bytes | None:
    """Return the first bytes of the text, or None where it has to be read whole."""
    with suppress(OSError, EOFError):
        head: bytes = unpacking(file).read(LOOKED_AT_BYTES)
        head = head.removeprefix(b"\xef\xbb\xbf")
        whole = head.startswith((b"\n", b"\r", b"|", b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04"))
        if not whole:
            refuse_unmarked(head, path)
        if not whole and b"\n" in head:
            return head
    return None


def _stored(path: Path, form: TextFormat, how: TextRead, quotes: bool) -> CachedTable | None:
    """Return the table in the cache, made if it is not there whole; `quotes` as `_Parsing` has it."""
    state = path.stat()
    facts = (VERSION, str(path.resolve()), state.st_size, state.st_mtime_ns, form, sorted(how.as_text))
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:40]
    folder = cache_folder() / "tables"
    try:
        if not how.cache:
            raise OSError("the cache is not to be used")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="straightedge-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = folder / f"v{VERSION}-{key}.arrow"
    if target.exists() and (found := _opened(path, target, form)) is not None:
        return found
    temporary = folder / temporary_name(target.name)
    try:
        done = _Parsing(path, form, how, quotes).write(temporary)
        if done:
            disk.replace(temporary, target)
        return _opened(path, target, form) if done else None
    except OSError as error:
        warn("cache-not-written", f"the parsed table cannot be kept: {error.strerror or error}")
        return None
    finally:
        temporary.unlink(missing_ok=True)
        release_memory()


def _opened(path: Path, stored: Path, form: TextFormat) -> CachedTable | None:
    """Return the table of a file of the cache, or None where that is damaged or has other columns."""
    about = form.described("UTF-8", None) + ", kept parsed in the cache"
    with suppress(InputError):
        found = CachedTable(path, stored, about, form.header)
        if tuple(found.schema.names) == form.names:
            return found
    return None


class _Parsing:
    """One text table on its way into a file of the cache.

    Arrow turns numbers as they are usually written into columns while it parses. A column in which it finds
    another text is taken as text from then on, and typed as in `text_file`: thousands, blanks, words. That
    there are quotes, whose cells may hold line ends, is known from the beginning or from the end of the text.
    """

    def __init__(self, path: Path, form: TextFormat, how: TextRead, quotes: bool) -> None:
        self.path, self.form, self.names, self.how = path, form, form.names, how
        self.kinds: list[str] = []
        self.as_text = [name in how.as_text for name in form.names]
        self.quotes = quotes

    def write(self, target: Path) -> bool:
        """Parse until the kinds of columns hold what is in them; False where the text has to be read whole."""
        pa = arrow()
        while True:
            before = list(self.kinds), list(self.as_text), self.quotes
            try:
                rows = self._once(target)
            except (pa.ArrowInvalid, UnicodeError) as error:
                if self._learnt_from(error) or self.quotes != before[2]:
                    continue
                if "UTF8" in str(error):
                    return False
                raise unparsed(error, self.path) from None
            if rows == 0:
                raise table_empty("the table has a header and no rows", self.path)
            if not before[0] or before == (self.kinds, self.as_text, self.quotes):
                return True

    def _learnt_from(self, error: Exception) -> bool:
        """Whether an error names a column, which is then taken for wider numbers, or as text."""
        found = re.search(r"In CSV column #(\d+):.*CSV conversion error", str(error))
        if found is None or self.as_text[place := int(found[1])]:
            return False
        if self.kinds[place] == "int64":
            self.kinds[place] = "double"
        else:
            self.kinds[place], self.as_text[place] = "int64", True
        return True

    def _once(self, target: Path) -> int:
        """Parse the text once and write it for as long as the kinds of its columns stay; return its rows."""
        writer, rows = None, 0
        if not self.kinds:
            self._first_kinds()
        try:
            for batch in self._batches():
                columns = self._typed(batch, rows)
                rows += batch.num_rows
                writer = writer or CellWriter(target, self._schema())
                if self._schema() == writer.schema:
                    writer.add(columns)
        finally:
            if writer is not None:
                writer.close()
        return rows

    def _first_kinds(self) -> None:
        """Find the kinds of columns from the first block, as text."""
        kinds, self.as_text, known = ["int64"] * len(self.names), [True] * len(self.names), self.as_text
        self.kinds = kinds
        batches = self._batches()
        first = next(batches, None)
        batches.close()
        self.as_text = known
        if first is not None:
            self._typed(first, 0)

    def _schema(self) -> Any:
        pa = arrow()
        kinds = {"int64": pa.int64(), "double": pa.float64(), "string": pa.string()}
        return pa.schema([(name, kinds[kind]) for name, kind in zip(self.names, self.kinds, strict=True)])

    def _typed(self, batch: Any, row: int) -> list[Any]:
        """Return the columns of a batch by their kinds, which grow where a value asks for it."""
        pa, out = arrow(), []
        for place, name in enumerate(self.names):
            column = pa.chunked_array([batch.column(place)])
            where = f"{self.path}, column {name!r}, from row {row} on"
            is_text = str(column.type) == "string"
            words = self.kinds[place] == "string"
            found = (
                typed(column, name, self.form, self.how, where, as_text=words) if is_text else finite(column, where)
            )
            kind = str(found.type)
            if ORDER.index(kind) > ORDER.index(self.kinds[place]):
                self.kinds[place] = kind
            if self.kinds[place] == "string" and kind != "string":
                self.as_text[place] = True
                found = typed(column, name, self.form, self.how, where, as_text=True) if is_text else column
            wider = self.kinds[place] == "double" and kind == "int64"
            out.append(found.cast(pa.float64(), safe=False) if wider else found)
        return out

    def _batches(self) -> Generator[Any]:
        bad: list[Any] = []
        with open_regular(self.path) as file:
            plain = unpacking(file)
            text = _Watched(plain, self, plain is not file)
            try:
                yield from self._csv(text, bad)
            except arrow().ArrowInvalid:
                if bad and text.knew_quotes:
                    raise ragged(bad[0], self.path) from None
                while text.read(BLOCK_BYTES):
                    pass  # the rest of the text tells whether quotes are the reason
                text.check_quotes()
                raise
        text.check_quotes()

    def _csv(self, text: Any, bad: list[Any]) -> Any:
        """Return the reader of a text; a row of another length joins ``bad``."""
        pa = arrow()
        numbers = {"int64": pa.int64(), "double": pa.float64()}
        kinds = zip(self.kinds, self.as_text, strict=True)
        types = [pa.string() if words else numbers.get(kind, pa.string()) for kind, words in kinds]
        convert = {"null_values": list(self.form.missing), "decimal_point": self.form.decimal}
        options = csv_options(self.form, BLOCK_BYTES, self.quotes, bad, types, **convert)
        return arrow("pyarrow.csv").open_csv(text, **options)


class _Watched(io.RawIOBase):
    """Text as it is read, watched for NUL bytes and quotes that never end."""

    def __init__(self, file: Any, parsing: _Parsing, is_packed: bool) -> None:
        self._file, self._parsing, self._lines, self._quotes, self._bytes = file, parsing, 0, 0, 0
        self._packed = is_packed

    def readable(self) -> bool:
        return True

    @property
    def knew_quotes(self) -> bool:
        """Whether the parser was told of every quote that there is."""
        return self._parsing.quotes or not self._quotes

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        if self._bytes == 0:
            data = data.removeprefix(b"\xef\xbb\xbf")
        self._bytes += len(data)
        if self._packed and self._bytes > LARGEST_TEXT:
            what = f"the table has more than {LARGEST_TEXT} bytes of text"
            raise InputError("table-bomb", what, str(self._parsing.path), "save it as Parquet")
        refuse_nul(data, self._parsing.path, self._lines)
        self._lines += data.count(b"\n")
        self._quotes += data.count(b'"')
        return data

    def check_quotes(self) -> None:
        """Let the parser know of quotes that it was not told of; refuse one that never ends."""
        if self._quotes % 2:
            mend = "close it, or double a quote that is part of the text"
            raise InputError("table-quote", "a quote begins and never ends", str(self._parsing.path), mend)
        if self._quotes:
            self._parsing.quotes = True
