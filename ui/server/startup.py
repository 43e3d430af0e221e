"""A quick start: what is not needed before the first picture is left out, and the first picture does not wait."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.workbench.library import ModelLibrary

DEFAULT_SEED = 2
DEFAULT_STEPS = 18  # levels of the teacher's grid


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """Within, no garbage is looked for; what was made by then lives as long as the app and is never looked at again.

    The modules and the page are near a million objects, and the collector goes through all of them many times while
    they are made (measured: a fifth of the start).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was:
            gc.enable()


@contextlib.contextmanager
def first_trajectory(library: ModelLibrary) -> Iterator[None]:
    """Within, the page's first trajectory is being worked out, beside the imports; at the end it is there, cached.

    Where the default model cannot be used nothing is done: the page's own question for it says why.
    """
    from analysis.core.errors import UserError  # only here: torch is imported without a look for garbage, too
    from analysis.workbench.images import TrajectoryRequest

    def work() -> None:
        with contextlib.suppress(UserError):
            library.get().trajectory(TrajectoryRequest(DEFAULT_SEED, -1, DEFAULT_STEPS))

    thread = threading.Thread(target=work, name="first trajectory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
