"""Measurements that take seconds to minutes: started by a button, followed by a bar, stopped by another button."""

from __future__ import annotations

import html
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.progress import Report, wanted_while
from ui.server.errors import guarded, sentence_of, watching
from ui.server.queue import PRIVATE


class Superseded(Exception):
    """The visitor has moved on; nothing needs to be shown."""


class Latest:
    """The latest wish of each visitor.

    A running function cannot be cancelled by Gradio, so it looks here between its steps. Bounded: the oldest visitors
    are forgotten, and the wish of a forgotten visitor counts as still wanted.
    """

    def __init__(self, capacity: int = 256):
        self._capacity = capacity
        self._wishes: OrderedDict[str, Hashable] = OrderedDict()
        self._lock = threading.Lock()

    def wish(self, session: str | None, key: Hashable) -> None:
        """Note what a visitor wants now."""
        if session is None:
            return
        with self._lock:
            self._wishes[session] = key
            self._wishes.move_to_end(session)
            while len(self._wishes) > self._capacity:
                self._wishes.popitem(last=False)

    def check(self, session: str | None, key: Hashable) -> None:
        """Raises Superseded when `key` is no longer what the visitor wants."""
        with self._lock:
            if session is not None and self._wishes.get(session, key) != key:
                raise Superseded

    def wants_none(self, session: str | None) -> bool:
        """Whether a visitor has stopped and asked for nothing since."""
        with self._lock:
            return session in self._wishes and self._wishes[session] is None


# not the queue of the quick answers: a slider must not wait for a measurement
LONG_QUEUE = {"concurrency_id": "long", "concurrency_limit": 1}
RUN_SECONDS = 300.0  # that a measurement may take where nobody sets less
PROGRESS = gr.Progress()  # Gradio sees it as a default argument and fills in the visitor's own
STOPPED = '<p class="ks-line" role="status">Stopped. What was shown before is kept.</p>'


def deadline(seconds: float, report: Report | None = None) -> Report:
    """A progress callback that gives up after so many seconds from now, or when the visitor who asked has left.

    Args:
        seconds: how long the work may take; infinity for as long as the visitor is there.
        report: a further callback.

    Raises:
        UserError: from the callback, when time is up.
        Abandoned: from the callback, when nobody waits any more.
    """
    end, check = time.monotonic() + seconds, watching()

    def watch(share: float, what: str) -> None:
        check()
        if time.monotonic() > end:
            spent = f"{max(seconds, 0):.0f} s"
            raise UserError(f"This takes longer than {spent} here: ask for fewer seeds, pairs or steps.", "patience")
        if report is not None:
            report(share, what)

    return watch


class LongRun:
    """One kind of measurement: which of its runs each visitor still wants.

    Args:
        patience: seconds that one run may take.
    """

    def __init__(self, patience: float = RUN_SECONDS):
        self.patience = patience
        self._latest = Latest()

    def ask(self, session: str | None, key: Hashable) -> None:
        """A visitor wants this run, and no earlier one."""
        self._latest.wish(session, key)

    def stop(self, session: str | None) -> None:
        """A visitor wants none."""
        self._latest.wish(session, None)

    def stopped(self, session: str | None) -> bool:
        """Whether a visitor wants none."""
        return self._latest.wants_none(session)

    def report(self, session: str | None, key: Hashable, progress: gr.Progress) -> Report:
        """What the measurement calls after every step.

        Raises:
            Superseded: at once and from the callback, when the visitor does not want this run any more.
            UserError: from the callback, when it takes too long.
        """
        self._latest.check(session, key)

        def step(share: float, what: str) -> None:
            self._latest.check(session, key)
            progress(share, desc=what)

        return deadline(self.patience, step)


@dataclass(frozen=True)
class RunButtons:
    """Attributes: start, stop: the two buttons of a run."""

    start: gr.Button
    stop: gr.Button


def run_buttons(text: str, name: str) -> RunButtons:
    """A button that starts and one that stops, which can be pressed while something runs."""
    with gr.Row(elem_classes="ks-buttons"):
        start = gr.Button(text, size="md", variant="primary", elem_id=f"{name}-start", min_width=190, scale=0)
        stop = gr.Button("Cancel", size="md", interactive=False, elem_id=f"{name}-stop", min_width=90, scale=0)
    return RunButtons(start, stop)


def idle(buttons: RunButtons, running: bool = False) -> dict:
    """Which of the two buttons can be pressed."""
    return {buttons.start: gr.update(interactive=not running), buttons.stop: gr.update(interactive=running)}


def problem(sentence: str) -> str:
    """A sentence in the place of a measurement's words."""
    return f'<p class="ks-line ks-todo" role="alert">{html.escape(sentence)}</p>'


def wire_run(
    run: LongRun,
    buttons: RunButtons,
    measure: Callable[..., dict],
    inputs: Mapping[str, Component],
    outputs: Sequence[Component],
) -> Dependency:
    """Connect a run: wish noted, buttons swapped, measured, buttons swapped back by the answer itself.

    However a run ends, also by a mistake, its answer makes the buttons usable again and says what happened.

    Args:
        run: who wants what.
        buttons: of the run.
        measure: called with the inputs' values by name and a `report`; gives {component: value}.
        inputs: its inputs by the names of its arguments; their values are the run's key.
        outputs: its outputs; progress is shown on the first, and a word when the run was stopped or failed.

    Returns:
        The event "it was measured, or stopped".
    """

    def start(request: gr.Request, **values):
        run.ask(request.session_hash, _key(values))
        return idle(buttons, running=True)

    def watched(request: gr.Request, progress=PROGRESS, **values):
        session = request.session_hash
        try:
            with wanted_while(watching()):
                shown = measure(**values, report=run.report(session, _key(values), progress))
        except Superseded:
            if not run.stopped(session):  # a later run has the buttons
                return gr.skip()
            shown = {outputs[0]: STOPPED}
        except Exception as e:
            shown = {outputs[0]: problem(sentence_of(e))}
        return {**({} if shown == gr.skip() else shown), **idle(buttons)}

    def stop(request: gr.Request):
        run.stop(request.session_hash)
        return idle(buttons)

    swap = {"queue": False, "show_progress": "hidden", **PRIVATE}
    pair = [buttons.start, buttons.stop]
    started = buttons.start.click(guarded(start), inputs_kwargs=dict(inputs), outputs=pair, **swap)
    done = started.success(
        watched, inputs_kwargs=dict(inputs), outputs=[*outputs, *pair], show_progress_on=outputs[0], **LONG_QUEUE,
        **PRIVATE,
    )  # fmt: skip
    buttons.stop.click(guarded(stop), None, pair, **swap)
    return done


def _key(values: Mapping) -> str:
    """Values of controls as something that can be compared, whatever a browser sent."""
    return repr(sorted(values.items()))
