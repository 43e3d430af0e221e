"""`python app.py` as a process of its own, for measurements from outside."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

APP = Path(__file__).resolve().parent.parent / "app.py"
START_SECONDS = 900.0  # seconds until the page must be there


@dataclass
class Served:
    """A running app.

    Attributes:
        url: of the page.
        pid: of the process.
        started: when the process was started, by `time.monotonic`.
        told: its lines of output, each with the time when it came.
    """

    url: str
    pid: int
    started: float
    told: list[tuple[float, str]] = field(default_factory=list)

    def when(self, words: str) -> float:
        """Seconds from the start until a line with these words."""
        return next(t for t, line in self.told if words in line) - self.started


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def served(*arguments: str, app_file: Path = APP) -> Iterator[Served]:
    """The app on a free port of this machine, until the end of the block.

    Args:
        arguments: further ones of app.py.
        app_file: app.py of another checkout.

    Raises:
        RuntimeError: it ended, or did not answer in time; with what it said.
    """
    port = free_port()
    command: Sequence[str] = (sys.executable, "-u", str(app_file), "--port", str(port), *arguments)
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    app = Served(f"http://127.0.0.1:{port}/", child.pid, start)

    def listen() -> None:
        for line in child.stdout:
            app.told.append((time.monotonic(), line))

    threading.Thread(target=listen, daemon=True).start()
    try:
        while not _answers(app.url):
            if child.poll() is not None or time.monotonic() > start + START_SECONDS:
                raise RuntimeError(f"The app did not start: {''.join(line for _, line in app.told)[-2000:]}")
            time.sleep(0.05)
        app.told.append((time.monotonic(), "the server answers"))
        yield app
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=START_SECONDS) as answer:
            return answer.status == 200
    except OSError:  # nobody listens yet, or no answer in time
        return False


def resident(pid: int) -> float | None:
    """Memory that a process holds now, MiB; None where the system does not tell as Linux does."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), None)


def load() -> str:
    """How busy the machine is, since seconds mean nothing without it."""
    if not hasattr(os, "getloadavg"):
        return "load unknown"
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
