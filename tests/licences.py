"""Check that every package of the pinned set has a licence that goes with Apache-2.0, and that pins are exact."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ALLOWED = re.compile(
    r"apache|bsd|mit\b|isc|psf|python software|mpl|mozilla|hpnd|historical permission|zlib|unlicense|0bsd|cc0|"
    r"boost|public domain|expat",
    re.IGNORECASE,
)
REFUSED = re.compile(r"\b(agpl|affero|sspl|proprietary|commercial)\b", re.IGNORECASE)
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([A-Za-z0-9_.+!-]+)$")


def pins() -> dict[str, str]:
    """Return the pinned packages; a line that is not an exact pin ends the check."""
    found: dict[str, str] = {}
    for name in ("run.txt", "dev.txt", "no-deps.txt"):
        for line in (Path("requirements") / name).read_text().splitlines():
            line = line.split("#")[0].strip()
            if not line or line.startswith("-r"):
                continue
            match = PIN.match(line)
            if match is None:
                sys.exit(f"requirements/{name}: not an exact pin: {line}")
            found[match[1]] = match[2]
    return found


def licence(name: str) -> str:
    """Return what a package says of its licence, from its metadata."""
    meta = distribution(name).metadata
    words = [meta.get("License-Expression") or "", (meta.get("License") or "")[:200]]
    words += [line for line in meta.get_all("Classifier") or [] if line.startswith("License")]
    if not any(ALLOWED.search(word) for word in words):  # some packages say it in a file alone
        files = distribution(name).files or []
        words += [f.read_text()[:200] for f in files if "LICENSE" in f.name and ".dist-info" in str(f)]
    return " ".join(word for word in words if word)


def main() -> None:
    """Print a line for each problem; exit 1 if there is one."""
    problems = []
    for name, version in pins().items():
        try:
            said, installed = licence(name), distribution(name).version.split("+")[0]
        except PackageNotFoundError:
            problems.append(f"{name}: pinned and not installed")
            continue
        if installed != version:
            problems.append(f"{name}: pinned {version}, installed {installed}")
        if REFUSED.search(said) or not ALLOWED.search(said):
            problems.append(f"{name}: licence not known to go with Apache-2.0: {said!r}")
    print("\n".join(problems) or f"{len(pins())} pinned packages, licences and versions as expected")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
