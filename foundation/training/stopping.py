"""A run that is asked to stop ends between two steps; where a step takes too long, its state is saved meanwhile."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

GRACE = 5.0  # seconds for the step under way; containers kill 10 s after they asked, torch's launchers 30 s
POLL = 0.5  # seconds


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag that the loop reads between steps.

    A launcher passes Ctrl-C on and kills its workers some time later, so a second signal does no more than the first,
    and a thread saves what the last whole step left when the step under way lasts longer than `GRACE`. (Python's own
    handler would not do: it waits for the end of whatever torch is working on.) A launcher that dies leaves its workers
    alone with nobody to stop them: they are asked to stop by that, and end after `GRACE` even amid a step.

    Attributes:
        asked: whether the run is to stop.
        updating: hold this lock while weights and counters do not belong together.

    Args:
        save: writes the state; called by the thread, with `updating` held.
        launched: whether a launcher started this process as one of several.
    """

    def __init__(self, save: Callable[[], None], launched: bool = False):
        self.asked = False
        self.updating = threading.Lock()
        self._save, self._launched, self._parent = save, launched, os.getppid()
        self._before: dict = {}
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # no signals here: the caller stops us by other means
        for sig in (signal.SIGINT, signal.SIGTERM):
            self._before[sig] = signal.signal(sig, self._on)
        self._inbox, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_before = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="stop-request")
        self._thread.start()
        return self

    def _on(self, *_) -> None:
        self.asked = True

    @property
    def _orphaned(self) -> bool:
        return self._launched and os.getppid() != self._parent

    def _watch(self) -> None:
        since = saved = None
        while not self._done.is_set():
            if select.select([self._inbox], [], [], POLL)[0]:
                rung = set(self._inbox.recv(64)) & {signal.SIGINT, signal.SIGTERM}
                since = since or (time.monotonic() if rung else None)
            if self._orphaned:
                self.asked = True
                since = since or time.monotonic()
            if since is None or time.monotonic() - since < GRACE:
                continue
            if saved is None and self.updating.acquire(timeout=POLL):
                saved = self._save_quietly()
                self.updating.release()
            if self._orphaned and saved is not None and not self._done.is_set():
                os._exit(128 + signal.SIGINT)

    def _save_quietly(self) -> bool:
        try:
            self._save()
        except Exception as e:  # a full disk: the state before it is still whole, and the loop will say the same
            print(f"The state could not be saved: {e}", file=sys.stderr, flush=True)
            return False
        return True

    def __exit__(self, *_) -> None:
        if self._thread is None:
            return
        self._done.set()
        signal.set_wakeup_fd(self._bell_before)
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")
        self._thread.join()
        self._inbox.close()
        self._bell.close()
        for sig, handler in self._before.items():
            signal.signal(sig, handler)
