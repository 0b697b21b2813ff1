"""Troubles that every format and command meets alike: special files, bombs, forks, encodings of the terminal."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from straightedge.cli.app import speak_any_encoding
from straightedge.cli.guarded import OWN
from straightedge.data import load_dataset, npz
from straightedge.data.arrays import read_label_file
from straightedge.data.endings import TEXT_TABLES
from straightedge.data.finding import SUFFIXES
from straightedge.data.layer_files import LayerFiles
from straightedge.errors import InputError, MachineError
from straightedge.memory import free_memory
from straightedge.special_files import open_regular
from support.commands import run_commands
from support.troubles.formats import FORMATS
from support.troubles.run import troubles_of


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    """A socket; its name has to be short, so that it is made from inside its folder."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


TROUBLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (pipe, "a pipe"),
    "socket": (listening, "a socket"),
    "link to a device": (device, "a device"),
    "link to itself": (circle, "it cannot be read"),
}
FORMS = sorted({*SUFFIXES, *TEXT_TABLES, "", ".png", ".joblib", ".unknown"})


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_format_opens_a_special_file(trouble: str, tmp_path: Path) -> None:
    make, words = TROUBLES[trouble]
    for ending in FORMS:
        path = tmp_path / f"x{ending}"
        make(path)
        with pytest.raises(InputError, match=rf"{words}.*\[file-(special|unreadable)\]"):
            load_dataset(path, progress=False)
        with pytest.raises(InputError, match=words):
            open_regular(path)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_labels_layers_and_pairs_open_no_special_file(trouble: str, tmp_path: Path) -> None:
    make, words = TROUBLES[trouble]
    np.save(tmp_path / "X.npy", np.zeros((4, 2)))
    for ending in (".npy", ".txt", ".npz", ".pkl", ".h5"):
        path = tmp_path / f"y{ending}"
        make(path)
        for read in (
            lambda path=path: read_label_file(path),
            lambda path=path: LayerFiles(path),
            lambda path=path: load_dataset(f"{tmp_path / 'X.npy'},{path}"),
            lambda path=path: load_dataset(tmp_path / "X.npy", labels=path),
        ):
            with pytest.raises(InputError, match=words):
                read()


def test_special_files_in_a_folder_are_no_part_of_it(tmp_path: Path) -> None:
    from test_data_manifests import plain

    plain(tmp_path)
    for name, (make, _) in TROUBLES.items():
        make(tmp_path / f"{name}.png")
        make(tmp_path / f"{name}.csv")
        make(tmp_path / f"{name}.npy")
    assert load_dataset(tmp_path, progress=False, cache=False).train.n == 12


def test_an_array_that_unfolds_too_far_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "RATIO_FROM", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", X=np.zeros((2000, 200)), y=np.arange(2000) % 2)
    with pytest.raises(InputError, match=r"packed bytes claim to hold 3200128.*archive-bomb"):
        load_dataset(tmp_path / "bomb.npz")


BOMBS = {
    (".tar.gz", "an extended header of 300 MB"): "archive-bomb",
    (".tar", "an extended header of 8 GB that is not there"): "archive-bomb",
    (".tar", "an extended header of a megabyte without a record"): "archive-bomb",
    (".tar.gz", "ten thousand extended headers for one file"): "archive-broken",
    (".tar.gz", "a member that unfolds to 3 GB"): "archive-bomb",
    (".svm", "eight gigabytes of zeros that take no room"): "svmlight-broken",
    (".tar", "eight gigabytes of zeros that take no room"): "no-class-folders",
    (".csv", "one byte"): "table-empty",
    (".csv", "a gigabyte of one line, packed"): "table-bomb",
    (".mat", "its own bytes, then three gigabytes of zeros"): "matlab-broken",
    ("folder of images", "its own bytes, then three gigabytes of zeros"): "file-too-large",
    ("folder of images", "a progressive JPEG of 5,000 scans"): "image-too-large",
}


@pytest.mark.parametrize(("ending", "name"), BOMBS, ids=" ".join)
def test_what_claims_too_much_is_refused_at_once(ending: str, name: str, tmp_path: Path) -> None:
    source = FORMATS[ending](tmp_path, ending)
    troubles_of(ending)[name](tmp_path / source.file)
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / source.words, progress=False, cache=False)
    assert caught.value.code == BOMBS[ending, name]
    assert time.process_time() - began < 8.0


MAPPED = {".npy", ".safetensors", ".pt", ".pkl"}
"""Formats whose arrays are mapped where they lie: they take no memory of their own."""


def old_pickle(folder: Path) -> Path:
    (folder / "old.pkl").write_bytes(pickle.dumps({"X": np.eye(40), "y": np.arange(40) % 2}, protocol=2))
    return folder / "old.pkl"


def packed_table(folder: Path) -> Path:
    (folder / "packed.csv.gz").write_bytes(gzip.compress(b"p,label\n" + b"1,a\n2,b\n" * 99))
    return folder / "packed.csv.gz"


def test_what_memory_cannot_hold_is_refused_with_the_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {writer: ending for ending, writer in reversed(FORMATS.items())}.values()
    sources = {}
    for number, ending in enumerate(first):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = FORMATS[ending](folder, ending)
        sources[ending] = folder / made.words if "," not in made.words else folder / made.file
    sources |= {"an old pickle": old_pickle(tmp_path), "a packed table": packed_table(tmp_path)}
    monkeypatch.setattr("straightedge.memory.SURELY_FREE", 0)
    monkeypatch.setattr("straightedge.memory.free_memory", lambda: 100.0)
    for ending, path in sources.items():
        labels = {".npy": str(path).replace("rows", "labels")}.get(ending)
        if ending in MAPPED:
            assert load_dataset(path, labels=labels, progress=False, cache=False).train.n == 36
            continue
        with pytest.raises(MachineError, match=r"\[out-of-memory\]") as caught:
            load_dataset(path, progress=False, cache=False)
        assert "0 MiB are free" in caught.value.what and caught.value.mend, ending
        assert (caught.value.where or "").startswith(str(path)), ending


@pytest.mark.long
def test_an_image_that_takes_too_long_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FORMATS["folder of images"](tmp_path, "")
    Image.new("RGBA", (5000, 5000)).save(tmp_path / "data/b/slow.png", compress_level=1)
    monkeypatch.setattr("straightedge.data.decode_pool.SECONDS_AN_IMAGE", 0.25)
    with pytest.raises(InputError, match=r"b/slow.png.*\[image-too-slow\]"):
        load_dataset(tmp_path / "data", size=6, progress=False, cache=False)
    read = load_dataset(tmp_path / "data", size=6, progress=False, cache=False, skip_bad=True)
    assert read.train.n == 36
    assert "skipped: b/slow.png (it takes more than 0.25 s to decode)" in read.notes


def test_a_control_group_limits_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("straightedge.memory.GROUPS", tmp_path)
    before = free_memory()
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("4500000\n")
    assert free_memory() == 500_000.0
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 250000\n")
    assert free_memory() == 750_000.0
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > min(before / 2, 750_000.0)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_survives_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    speak_any_encoding()
    print("gap ≤ 1e-4 · 3 × 3")
    print(json.dumps({"name": "Hündin 😀 \udcff"}, ensure_ascii=False))
    stream.flush()
    first, second = raw.getvalue().decode(encoding).splitlines()
    assert first in ("gap ≤ 1e-4 · 3 × 3", "gap <= 1e-4 - 3 x 3", "gap <= 1e-4 · 3 × 3"), first
    assert json.loads(second)["name"] == "Hündin 😀 \udcff"


EVIL = "\x1b[2Jevil\x07 \u202egpj"
STEERED = """
import json
import sys
import tarfile
from contextlib import suppress
from pathlib import Path
from support.troubles.run import say
for number, words in enumerate(json.loads(Path("commands").read_text())):
    say(words, Path(f"told-{number}"))
"""


@pytest.mark.long
def test_no_name_of_a_file_class_or_column_steers_the_terminal(tmp_path: Path) -> None:
    FORMATS["folder of images"](tmp_path, "")
    for path in [*(tmp_path / "data").glob("*/*"), *(tmp_path / "data").iterdir()]:
        path.rename(path.with_name(f"{EVIL}{path.name}"))
    rows = "".join(f"{place},{place % 7},{EVIL}{place % 3}\n" for place in range(60))
    (tmp_path / f"{EVIL}.csv").write_text(f"{EVIL}p,q,label\n{rows}")
    write_members(tmp_path)
    pictures, table, run, other = "data", f"{EVIL}.csv", f"{EVIL}run", "other"
    commands = [
        ["fit", pictures, "--size", "6", "--reg", "0.1", "--out", run, "--no-cache"],
        ["evaluate", run, pictures],
        ["predict", run, pictures],
        ["fit", table, "--reg", "0.1", "--out", other, "--labels", "label"],
        ["predict", other, table],
        ["evaluate", other, table, "--json"],
        ["fit", f"{EVIL}no.csv"],
        ["fit", "good.zip", "--size", "6", "--reg", "0.1", "--out", "of-zip", "--no-cache"],
        ["predict", "of-zip", "good.zip"],
        ["fit", "bad.zip", "--size", "6", "--no-cache"],
        ["fit", "outside.tar"],
        ["fit", "keys.npz"],
        ["fit", table, "--labels", EVIL],
        ["features", pictures, "--extractor", EVIL, "--out", "f.npz"],
        ["runs", "."],
        ["report", run],
        ["export", run, "--to", "torch", "--out", f"{EVIL}out"],
        ["compare", run, other],
        ["check-gradients", f"{EVIL}.py"],
        ["layers", f"{EVIL}.npy"],
        ["data", "fetch", EVIL],
        ["translate", "--C", EVIL],
        ["bench", "--only", EVIL],
        [EVIL],
    ]
    (tmp_path / "commands").write_text(json.dumps(commands))
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", STEERED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=200,
    )
    assert done.returncode == 0
    for number, words in enumerate(commands):
        told = (tmp_path / f"told-{number}").read_text(errors="replace")
        assert told.strip() and "Traceback" not in told and "[internal]" not in told, (words, told)
        assert not set(told) & set("\x1b\x07\u202e"), (words, told)


def write_members(folder: Path) -> None:
    """Write archives whose members have such names: good pictures, bad ones, a way out, arrays without labels."""
    with zipfile.ZipFile(folder / "good.zip", "w") as good, zipfile.ZipFile(folder / "bad.zip", "w") as bad:
        for path in sorted((folder / "data").glob("*/*")):
            good.write(path, path.relative_to(folder / "data"))
            bad.writestr(str(path.relative_to(folder / "data")), path.read_bytes()[:60])
    with tarfile.open(folder / "outside.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(f"../{EVIL}.png"))
    np.savez(folder / "keys.npz", **{EVIL: np.zeros((3, 2))})


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_bars_and_tables_of_a_real_terminal_carry_no_foreign_sequence(tmp_path: Path) -> None:
    rows = "".join(f"{place},{place % 7},{EVIL}{place % 3}\n" for place in range(60))
    (tmp_path / f"{EVIL}.csv").write_text(f"{EVIL}p,q,label\n{rows}")
    told = in_terminal(["fit", f"{EVIL}.csv", "--reg", "0.1", "--out", f"{EVIL}run"], tmp_path)
    assert "\x1b[" in told and "evil" in told  # there are colours, and the names are told
    assert not set(OWN.sub("", told)) & set("\x1b\x07\u202e"), told
    assert "\x1b[2J" not in told, told


def in_terminal(words: list[str], folder: Path) -> str:
    """Run one command at a pseudo-terminal and return all that it wrote there."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "straightedge", *words]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen(command, cwd=folder, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    told = b""
    with suppress(OSError):  # the end of a pseudo-terminal is an error
        while part := os.read(ours, 65536):
            told += part
    os.close(ours)
    assert process.wait(100) == 0, told.decode(errors="replace")
    return told.decode(errors="replace")


COMMANDS = (
    "data list",
    "check-gradients digits --loss softmax",
    "fit digits --reg 0.01 --out run",
    "evaluate run digits",
    "report run",
    "runs .",
    "export run --out model.onnx",
    "translate --C 1 --n 50",
    "features digits --extractor raw --out f.npz",
    "predict run f.npz",
    "fit digits --loss svm --reg 0.01 --out other",
    "compare run other",
    "layers layers.npy --labels y.npy",
    "--help",
    "fit --help",
)


@pytest.mark.long
@pytest.mark.parametrize("setting", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "cp1252"}], ids=["C", "cp1252"])
def test_every_command_runs_in_every_encoding(setting: dict[str, str], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.save(tmp_path / "layers.npy", random.normal(size=(80, 2, 5)).astype(np.float32))
    np.save(tmp_path / "y.npy", np.arange(80) % 2)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    environment = own | setting | {"STRAIGHTEDGE_CACHE": str(tmp_path / "cache")}
    commands = [words.split() for words in COMMANDS]
    statuses, said = run_commands(commands, tmp_path, environment, "-X", "utf8=0")
    assert b"UnicodeEncodeError" not in said and b"[internal]" not in said, said[-2000:]
    assert statuses == [0] * len(COMMANDS), said[-2000:]


INTERRUPTED = """
import atexit, os, signal, sys, time
from straightedge.cli import main
import straightedge.workflow.reading
def press(*words, **options):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
if sys.argv[1] == "twice":
    atexit.register(press)
straightedge.workflow.reading.load_dataset = press
sys.argv[1:] = ["fit", "digits"]
main()
"""


@pytest.mark.long
@pytest.mark.parametrize(("times", "status"), [("once", 130), ("twice", -signal.SIGINT)])
def test_ctrl_c_while_reading_and_a_second_one_leave_no_traceback(times: str, status: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, times],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stderr.strip().splitlines()[-1:], done.returncode) == (["stopped"], status), done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "runs").exists()


FORKED = """
import multiprocessing, warnings
import numpy as np
warnings.simplefilter("ignore")
from straightedge import SoftmaxClassifier, SVMClassifier
random = np.random.default_rng(0)
X, y = random.normal(size=(500, 60)).astype(np.float32), random.integers(0, 5, 500)
def fit(turn):
    kinds = (SoftmaxClassifier(reg=1e-3), SVMClassifier(reg=1e-3), SoftmaxClassifier(reg=1e-3, solver="lbfgs"))
    return [kind.fit(X, y).score(X, y) for kind in kinds]
if __name__ == "__main__":
    here = fit(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map_async(fit, range(6)).get(timeout=120)
    assert all(np.allclose(one, here) for one in there), (here, there)
    print("the same")
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_fits_with_threads_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "forked.py").write_text(FORKED)
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # as many as the machine has
    environment = {name: value for name, value in os.environ.items() if name not in threads}
    done = subprocess.run(
        [sys.executable, tmp_path / "forked.py"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout.strip() == "the same", done.stderr[-2000:]
