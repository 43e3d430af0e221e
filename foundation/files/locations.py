"""Where the files of a data set are: below the folder that KOOPMAN_DATA names, or in the user's cache, checked."""

from __future__ import annotations

import os
from pathlib import Path

from foundation.mistakes import Mistake

DATA_ENV = "KOOPMAN_DATA"
ASSETS = Path(__file__).resolve().parents[2] / "assets"


class DataError(Mistake):
    """Data that cannot be used; `field` is the argument or the part of a file that is at fault."""


def provided(name: str) -> Path | None:
    """A file or folder below the folder that KOOPMAN_DATA names, if it is there."""
    root = os.environ.get(DATA_ENV)
    path = Path(root).expanduser() / name if root else None
    return path if path and path.exists() else None


def download(name: str, url: str, known_hash: str, cure: str) -> Path:
    """One file from the web into the user's cache, checked; at once from there the next time.

    Args:
        name: subfolder of the cache.
        url: of the file.
        known_hash: "sha256:..." or "md5:...".
        cure: sentence on what to do when this fails.

    Raises:
        DataError: no network, no such page, or other bytes than expected.
    """
    import pooch  # only here: most runs never download

    try:
        cache = pooch.os_cache("koopman") / name
        return Path(pooch.retrieve(url, known_hash, fname=url.rsplit("/", 1)[1], path=cache))
    except Exception as error:  # no network, no such page, wrong hash, disk full: one thing to the user
        raise DataError(f"Could not download {url} ({type(error).__name__}). {cure}") from error
