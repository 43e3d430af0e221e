"""Files that are whole or not there: written under another name first, then renamed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a name to write under; what is there on leaving takes the place of `path`.

    Where the block raises, `path` stays as it was and what was written is removed. Two processes, or two threads of
    one, do not write under the same name: the last to finish is what stays.

    Args:
        path: the file; its folder is there.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    try:
        part.touch()
        mode = part.stat().st_mode  # what the user's umask gives; safetensors makes a file that only its owner reads
        yield part
        part.chmod(mode)
        with open(part, "r+b") as f:  # writable: Windows flushes no other handle
            os.fsync(f.fileno())  # else a power cut may leave the new name and not the bytes
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
