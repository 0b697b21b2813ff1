"""Where a model's file lies: in a folder, or in a repository of the Hugging Face hub, from which it is fetched."""

import os
import re
from pathlib import Path

from straightedge.errors import InputError, MachineError, MissingExtraError

HUB_FILE = "model.safetensors"
"""The file of a repository that is read; nothing else of it is fetched, and nothing of it is run."""
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
"""Names of repositories: an owner, a slash and a name."""


def model_file(place: str | os.PathLike[str], revision: str | None = None) -> Path:
    """Return the path of a model, which is fetched where `place` names no file or folder.

    Args:
        place: A folder, a file, or a repository as ``owner/name``.
        revision: A branch, tag or commit of the repository.

    Raises:
        InputError: ``model-missing``; ``hub-missing`` where the hub has no such repository, revision or model;
            MissingExtraError without huggingface_hub.
        MachineError: ``hub-failed`` where the hub cannot be reached.
    """
    if Path(place).exists():
        return Path(place)
    if not REPOSITORY.fullmatch(os.fspath(place)):
        mend = "give a folder that was exported with --to hub, or owner/name of a repository"
        raise InputError("model-missing", "there is no such folder, and it names no repository", str(place), mend)
    return _fetched(os.fspath(place), revision)


def _fetched(repository: str, revision: str | None) -> Path:
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ModuleNotFoundError as error:
        raise MissingExtraError("huggingface_hub", "hub", "reading models from a hub") from error
    absent = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError)
    try:
        return Path(huggingface_hub.hf_hub_download(repository, HUB_FILE, revision=revision))
    except (OSError, ValueError) as error:
        if isinstance(error, absent) and not isinstance(error, errors.LocalEntryNotFoundError):
            what = f"the hub has no {HUB_FILE} there ({type(error).__name__})"
            mend = "check owner, name and revision; `hf auth login` for what is private"
            raise InputError("hub-missing", what, repository, mend) from error
        what = f"the hub could not be asked ({type(error).__name__}: {str(error)[:200]})"
        raise MachineError("hub-failed", what, repository, "try again, or give a folder") from error
