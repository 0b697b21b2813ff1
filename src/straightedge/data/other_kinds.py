"""Files that are no data set: what they are, told by their first bytes, and the line that makes one of them.

A further kind is one row of `KINDS`.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from straightedge.errors import InputError

HEAD = 600  # bytes that tell the kind of a file


@dataclass(frozen=True)
class Kind:
    """One kind of file that cannot be read.

    Attributes:
        what: What the file is, for people.
        mend: The shortest command or line of Python that makes a source of it, with places for its path and stem.
        is_kind: Tells it by the first bytes and the ending.
    """

    what: str
    mend: str
    is_kind: Callable[[bytes, str], bool]


def begins(*marks: bytes) -> Callable[[bytes, str], bool]:
    """Return a test for first bytes."""
    return lambda head, ending: head.startswith(marks)


def ends(*endings: str) -> Callable[[bytes, str], bool]:
    """Return a test for the ending of a name."""
    return lambda head, ending: ending in endings


def riff(kind: bytes) -> Callable[[bytes, str], bool]:
    """Return a test for a kind of RIFF file."""
    return lambda head, ending: head[:4] == b"RIFF" and head[8:12] == kind


def pandas(reader: str) -> str:
    """Return the line that makes a CSV of a file by a reader of pandas."""
    return f"python -c \"import pandas; pandas.{reader}({{path!r}}).to_csv('{{stem}}.csv', index=False)\""


FRAMES = "ffmpeg -i {quoted} -vf fps=1 frames/CLASS/%05d.png, a folder for each class; then straightedge fit frames"
SOUND = "make features of it first, such as librosa's melspectrogram: numpy.savez('{stem}.npz', X=X, y=y)"
SQLITE = "sqlite3 -header -csv {quoted} 'select * from TABLE' > {stem}.csv"
ONE_IMAGE = "give a folder of images a class; a model classifies one image: straightedge predict RUN {quoted}"
OF_R = (".rds", ".rda", ".rdata")
NO_VIDEO = (b"M4A ", b"avif", b"heic")  # kinds of files in the form of MP4 that are sounds or images
WEB = (b"<!DOCTYPE", b"<!doctype", b"<html")
IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
UNPACK = "unpack it: {0} {{quoted}}, and give the folder"
SAVE = "numpy.savez('{stem}.npz', X=X, y=y)"
KINDS: Sequence[Kind] = (
    Kind("Python code", "to check a function of it: straightedge check-gradients {quoted}:NAME", ends(".py")),
    Kind("a Jupyter notebook", f"run it, and let its last cell be {SAVE}", ends(".ipynb")),
    Kind("a Stata file", pandas("read_stata"), ends(".dta")),
    Kind("an SPSS file", pandas("read_spss"), ends(".sav")),
    Kind("a SAS file", pandas("read_sas"), ends(".sas7bdat", ".xpt")),
    Kind("a file of R", "in R: write.csv(FRAME, '{stem}.csv', row.names = FALSE)", ends(*OF_R)),
    Kind("a file of TensorFlow records", f"save the arrays with {SAVE}", ends(".tfrecord", ".tfrecords")),
    Kind("a model in ONNX form", "give the data that a model is to be fitted on", ends(".onnx")),
    Kind("JSON in one piece", pandas("read_json"), lambda head, ending: ending == ".json"),
    Kind("an ORC table", pandas("read_orc"), begins(b"ORC")),
    Kind("a SQLite database", SQLITE, begins(b"SQLite format 3")),
    Kind("a video", FRAMES, lambda head, ending: head[4:8] == b"ftyp" and head[8:12] not in NO_VIDEO),
    Kind("a video", FRAMES, riff(b"AVI ")),
    Kind("a video", FRAMES, begins(b"\x1a\x45\xdf\xa3")),
    Kind("a sound", SOUND, riff(b"WAVE")),
    Kind("a sound", SOUND, begins(b"ID3", b"\xff\xfb", b"fLaC", b"OggS")),
    Kind("a PDF document", "images of its pages: pdftoppm -png {quoted} photos/CLASS/page", begins(b"%PDF")),
    Kind("a RAR archive", UNPACK.format("unrar x"), begins(b"Rar!")),
    Kind("a 7-Zip archive", UNPACK.format("7z x"), begins(b"7z\xbc\xaf")),
    Kind("a gzip file of something else", UNPACK.format("gunzip"), begins(b"\x1f\x8b")),
    Kind("a web page in the place of data", "download it again, logged in if need be", begins(*WEB)),
    Kind("one image", ONE_IMAGE, begins(*IMAGES)),
    Kind("an empty file", "write it again", lambda head, ending: not head),
)


def refuse_other_kind(path: Path, head: bytes, readable: Sequence[str]) -> InputError:
    """Return the error for a file that no reader takes: what it is, and what would help."""
    kind = next((kind for kind in KINDS if kind.is_kind(head, path.suffix.lower())), None)
    if kind is None:
        begins_with = f"it begins with {head[:16]!r}"
        mend = f"readable endings: {', '.join(sorted(readable))}"
        return InputError("source-kind", f"the file is of no kind that can be read; {begins_with}", str(path), mend)
    stem = path.stem.replace("{", "").replace("}", "")
    mend = kind.mend.format(path=str(path), quoted=shlex.quote(str(path)), stem=stem)
    return InputError("source-kind", f"the file is {kind.what}", str(path), mend)


def by_ending(path: Path) -> bool:
    """Whether a file has the ending of another kind though its first bytes are those of a form that is read."""
    return path.suffix.lower() in (".py", ".ipynb", *OF_R)
