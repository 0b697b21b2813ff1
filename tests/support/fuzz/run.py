"""Fuzz one parser with atheris for some minutes: ``python tests/support/fuzz/run.py NAME [SECONDS]``.

Ends with status 0 if nothing was found. A finding is written to the folder it was started in (crash-…); mend the
parser and keep the bytes as a case of test_fuzz.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["straightedge"]):
    import parsers


def main() -> None:
    """Fuzz the parser named on the command line."""
    name = sys.argv[1]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    corpus = Path(tempfile.mkdtemp(prefix=f"straightedge-corpus-{name}-"))
    for number, seed in enumerate(parsers.seeds(name)):
        (corpus / str(number)).write_bytes(seed)

    def one(data: bytes) -> None:
        parsers.try_parser(name, data)

    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=20000"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
