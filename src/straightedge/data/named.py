"""The named sources that have files to download: which files, where they are kept, getting them all."""

from pathlib import Path

from straightedge.data import cifar10, idx
from straightedge.data.cache import cache_folder
from straightedge.data.download import Remote, fetch
from straightedge.errors import InputError, did_you_mean


def remotes(name: str) -> tuple[Remote, ...]:
    """Return the files of a named source; none for one that comes with a package."""
    known: dict[str, tuple[Remote, ...]] = {"digits": (), "cifar10": (cifar10.REMOTE,), **idx.REMOTES}
    if name not in known:
        mend = f"{did_you_mean(name, known)}names: {', '.join(known)}"
        raise InputError("source-missing", f"no data set is called {name!r}", mend=mend)
    return known[name]


def folder_of(name: str, root: Path | None) -> Path:
    """Return the folder in which the files of a source are kept."""
    if root is not None:
        return root
    downloads = cache_folder() / "downloads"
    return downloads / name if name in idx.REMOTES else downloads


def missing(name: str, root: Path | None = None) -> list[Remote]:
    """Return the files that are not on this machine."""
    folder = folder_of(name, root)
    return [remote for remote in remotes(name) if not (folder / remote.name).is_file()]


def fetch_all(name: str, root: Path | None = None) -> list[Path]:
    """Download the files that are missing and verify the others; return the paths of all.

    Raises:
        InputError: ``source-missing``, ``download-hash``.
        MachineError: ``download-failed``.
    """
    return [fetch(remote, folder_of(name, root)) for remote in remotes(name)]
