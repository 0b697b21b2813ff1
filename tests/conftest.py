"""What every test shares: a cache folder of its own, and a gate on skips."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SKIPS = Path(__file__).with_name("skips.txt")
collect_ignore = [] if os.environ.get("STRAIGHTEDGE_WHEEL") else ["test_wheel.py"]  # make test-wheel


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep decoded images and features of the tests out of the user's cache."""
    former = os.environ.get("STRAIGHTEDGE_CACHE")
    os.environ["STRAIGHTEDGE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if former is None:
        del os.environ["STRAIGHTEDGE_CACHE"]
    else:
        os.environ["STRAIGHTEDGE_CACHE"] = former


def _allowed() -> re.Pattern[str]:
    lines = [line.strip() for line in SKIPS.read_text().splitlines()]
    return re.compile("|".join(line for line in lines if line and not line.startswith("#")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In CI a skip that is not listed is a failure: an oracle went missing in silence."""
    allowed = _allowed()
    unlisted = []
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not allowed.search(reason):
            unlisted.append(f"{report.nodeid}: {reason}")
    if unlisted and os.environ.get("CI"):
        terminalreporter.write_sep("=", "skips that tests/skips.txt does not list")
        terminalreporter.write_line("\n".join(unlisted))
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
