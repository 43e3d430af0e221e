"""Sixteen visitors ask at once for a minute: every answer is right and one's own, and the server's memory stays.

Each visitor draws new pictures all the time, and moves two sliders on a picture of their own, which nobody else has:
encoded states are as many as visitors then, and what else grows is a leak. The app runs as a process of its own and is
asked over HTTP through gradio_client; what came back is compared afterwards with what the Workbench answers in this
process. A picture counts as wrong where any number differs by more than 1 of 255, which is what another number of
threads can round differently. Target: memory after 500 calls within 10 % of that after 50.
"""

from __future__ import annotations

import base64
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from gradio_client import Client
from PIL import Image

from analysis.core.fields import THIRDS
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from analysis.workbench.workbench import Workbench
from benchmarks.serving import load, resident, served
from benchmarks.timing import print_table

VISITORS, SOAK_SECONDS = 16, 60.0
ANSWER_SECONDS = 120.0  # seconds for one answer: what takes longer counts as an error
EARLY, LATE, GROWTH = 50, 500, 0.10


@dataclass(frozen=True)
class Question:
    """Attributes: kind, the endpoint's name; seed; move, where the slider stands, 0 to 1."""

    kind: str
    seed: int
    move: float = 0.5

    @property
    def gains(self) -> tuple[float, float, float]:
        return 1.0, 2 * self.move, 1.0

    def over_http(self, client: Client, model: str) -> np.ndarray:
        """The answer of the app."""
        if self.kind == "generate":
            text = client.predict(model, [self.seed], -1, api_name="/generate")["pictures"][0]
        elif self.kind == "mask_bands":
            text = client.predict(model, self.seed, -1, THIRDS, self.gains, api_name="/mask_bands")["masked"]
        else:
            text = client.predict(model, self.seed, reference_seed=self.seed + 1, ratio=self.move, api_name="/edit")[
                "edited"
            ]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))

    def directly(self, bench: Workbench) -> np.ndarray:
        """The right answer."""
        if self.kind == "generate":
            return bench.generate(GenerateRequest((self.seed,))).pictures[0]
        if self.kind == "mask_bands":
            return bench.mask_bands(MaskRequest(self.seed, edges=THIRDS, gains=self.gains)).masked
        return bench.edit(EditRequest(self.seed, reference_seed=self.seed + 1, ratio=self.move)).edited


ASKED_KINDS = ("generate", "mask_bands", "edit")


def questions(visitor: int) -> Iterator[Question]:
    """Without end; no two visitors share a seed, no two questions are the same."""
    own = 1_000_000 * (visitor + 1)
    for i in itertools.count():
        move = (0.618034 * i) % 1  # never twice at the same place
        for kind in ASKED_KINDS:
            yield Question(kind, own + 2 + i if kind == "generate" else own, move)


@dataclass
class Soak:
    """What came back.

    Attributes:
        answers: question and picture.
        seconds: of each answer.
        errors: texts of calls that failed.
        memory: by number of calls, MiB of the server.
        lasted: seconds in all.
    """

    answers: list[tuple[Question, np.ndarray]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory: dict[int, float | None] = field(default_factory=dict)
    lasted: float = 0.0


def soak(
    url: str, model: str, weigh: Callable[[], float | None], visitors=VISITORS, seconds=SOAK_SECONDS, calls=LATE
) -> Soak:
    """Ask from many threads for so many seconds, and for at least so many calls.

    Args:
        url: of the app.
        model: name.
        weigh: gives the server's memory.
        visitors: threads, each with a client of its own.
        seconds, calls: when to end: after both.
    """
    found, lock, marks = Soak(), threading.Lock(), sorted({EARLY, LATE})
    clients = [Client(url, verbose=False, httpx_kwargs={"timeout": ANSWER_SECONDS}) for _ in range(visitors)]
    start = time.monotonic()

    def visit(number: int) -> None:
        for question in questions(number):
            with lock:
                if time.monotonic() - start >= seconds and len(found.seconds) + len(found.errors) >= calls:
                    return
            asked = time.monotonic()
            try:
                picture = question.over_http(clients[number], model)
            except Exception as e:  # whatever a client can raise counts as an error of the app
                with lock:
                    found.errors.append(f"{type(e).__name__}: {e}")
                continue
            with lock:
                found.answers.append((question, picture))
                found.seconds.append(time.monotonic() - asked)
                if len(found.seconds) in marks:
                    found.memory[len(found.seconds)] = weigh()

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.lasted = time.monotonic() - start
    return found


def wrong(found: Soak, bench: Workbench) -> int:
    """How many answers are not what the Workbench says."""
    return sum(not same(picture, question.directly(bench)) for question, picture in found.answers)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to 1 of 255."""
    return a.shape == b.shape and int(np.abs(a.astype(int) - b.astype(int)).max()) <= 1


def row(found: Soak, mistakes: int, visitors: int) -> list[str]:
    """A line of the table."""
    p50, p95 = 1e3 * np.percentile(found.seconds, [50, 95]) if found.seconds else (np.nan, np.nan)
    early, late = found.memory.get(EARLY), found.memory.get(LATE)
    grown = f"{100 * (late / early - 1):+.1f} %" if early and late else "not measured"
    kept = "yes" if early and late and late <= (1 + GROWTH) * early else "no"
    shown = [f"{m:.0f}" if m else "not measured" for m in (early, late)]
    return [str(visitors), f"{found.lasted:.0f}", str(len(found.seconds)), str(len(found.errors)), str(mistakes),
            f"{p50:.0f}", f"{p95:.0f}", *shown, grown, kept if early and late else "not measured"]  # fmt: skip


SOAK_COLUMNS = ["visitors", "seconds", "answers", "errors", "wrong answers", "p50, ms", "p95, ms",
           f"MiB after {EARLY} calls", f"MiB after {LATE} calls", "growth", f"within {GROWTH:.0%}"]  # fmt: skip


def run() -> None:
    """The default model of the shipped ones."""
    library = ModelLibrary()
    name = library.default
    before = load()
    with served() as app:
        found = soak(app.url, name, lambda: resident(app.pid))
    mistakes = wrong(found, library.get(name))
    print_table(f"Visitors at once, {name}; {before}", SOAK_COLUMNS, [row(found, mistakes, VISITORS)])
    for text in dict.fromkeys(found.errors):
        print(f"error: {text}")
