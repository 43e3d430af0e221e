"""Tab "Restore": which picture, which hole, and the run that shows every step and can be cancelled."""

from __future__ import annotations

import functools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.koopman.restoration import LUMA, Stop
from analysis.recipes import recipe
from analysis.recipes.settings import ColorizeSettings, InpaintSettings
from analysis.workbench.editing import ColorizeRequest, InpaintRequest, RestoreResult
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from ui.components.html import facts, figure_html, group_html
from ui.components.painter import canvas_value, hole, painted
from ui.components.picture_chooser import fitted, side_of
from ui.components.save_bar import save_value
from ui.server.errors import guarded
from ui.server.runs import Latest, Superseded, allowed
from ui.source import fitting_label, usable_seed

# ---------------------------------------------------------------------------------------------------------------------
# Restoration


def restore_pictures(given: np.ndarray, shown: np.ndarray, truth: np.ndarray | None, task: str, name: str = "") -> str:
    """What was given, what was made so far, and the truth where it is known.

    Args:
        given, shown, truth: uint8 (H, W, 3).
        task: "inpaint" or "colorize".
        name: of the file that is offered for saving; none when empty.
    """
    return group_html(
        "ks-pictures",
        figure_html(given, "Given", "grey = unknown" if task == "inpaint" else "its luma"),
        figure_html(shown, "Restored" if name else "So far", "", name),
        figure_html(truth, "Truth", "never looked at while restoring") if truth is not None else "",
    )


def progress_line(done: int, steps: int) -> str:
    """How far it is, as text and as a bar."""
    return (
        f'<div class="ks-progress"><progress max="{steps}" value="{done}" aria-label="Steps done"></progress>'
        f'<span role="status">step {done} of {steps}</span></div>'
    )


def done_line(result: RestoreResult, steps: int) -> str:
    """What was done, in words."""
    calls = f"{result.nfe} network call" + ("" if result.nfe == 1 else "s")
    done = len(result.sigma)
    if not result.stopped:
        return f'<p class="ks-line" role="status">Done in {calls}.</p>'
    return (
        f'<p class="ks-line" role="status">Stopped after {done} of {steps} steps ({calls}); the picture of the last '
        "step is kept. No recipe makes an unfinished picture again: save it as PNG.</p>"
    )


def hole_numbers(result: RestoreResult, task: str) -> str:
    """PSNR, SSIM and LPIPS against the truth; empty when that is not known."""
    numbers = result.numbers
    if numbers is None:
        return ""
    where = "of the hole" if task == "inpaint" else "of the picture"
    pairs = [("identical" if math.isinf(numbers.psnr) else f"{numbers.psnr:.1f} dB", f"PSNR {where}, to the truth")]
    if numbers.ssim is not None:
        pairs.append((f"{numbers.ssim:.3f}", f"SSIM {where}"))
    if numbers.lpips is not None:
        pairs.append((f"{numbers.lpips:.3f}", "LPIPS of the whole picture"))
    return facts(*pairs)


TASKS = (("fill a hole", "inpaint"), ("give colours", "colorize"))
ORIGINS = (("your seed's", "seed"), ("another picture", "picture"))
METHODS = (("step by step", "iterative"), ("at once, in latent space", "latent"))
FIRST_HOLE = "centre square"
PATIENCE = 300.0  # seconds that a run may take
GO = "go"


def guarded_steps(fn: Callable[..., Iterator]) -> Callable[..., Iterator]:
    """`guarded` for a generator, whose failures come while it runs."""

    @functools.wraps(fn)
    def safe(*args, **kwargs):
        steps = fn(*args, **kwargs)
        advance = guarded(lambda: next(steps, None))
        try:
            while (shown := advance()) is not None:
                yield shown
        finally:
            steps.close()

    return safe


class RestoreTab:
    """The handlers; each can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library
        self.latest = Latest()

    # -----------------------------------------------------------------------------------------------------------------
    # The picture and its hole

    def picture(self, model: str, seed: int, label: int, origin: str, brought: np.ndarray) -> np.ndarray:
        """The picture to restore, uint8 (side, side, 3)."""
        if origin == "picture":
            return fitted(brought, side_of(self.library, model))
        request = GenerateRequest((seed,), fitting_label(self.library, model, label))
        return self.library.get(model).generate(request).pictures[0]

    def look(self, seen: bool, before, model, seed, label, origin, brought, mask) -> tuple:
        """Another picture, maybe: canvas, preview, and an empty result where it is another one.

        Args:
            seen: whether the tab is looked at.
            before: the picture that the page shows now, None at first.
            model, seed, label: of the source bar.
            origin: "seed" or "picture".
            brought: the photograph or upload.
            mask: the hole.

        Returns:
            The picture, canvas, preview, and the four parts of the result.
        """
        if not seen or (origin == "seed" and not usable_seed(seed)):
            return (gr.skip(),) * 7
        now = self.picture(model, seed, label, origin, brought)
        if before is not None and np.array_equal(now, before):
            return (gr.skip(),) * 7
        title = f"seed {seed}" if origin == "seed" else "your choice"
        side = len(now)
        return now, canvas_value(now, None if mask is None else fitted(mask, side)), preview(now, title), *EMPTY

    def ready_made(self, name: str, picture: np.ndarray) -> tuple:
        """One of the ready-made holes: mask and canvas."""
        mask = hole(name, len(picture))
        return mask, canvas_value(picture, mask)

    def stroke(self, event: gr.EventData, picture: np.ndarray) -> np.ndarray | None:
        """A stroke on the canvas: the mask."""
        return painted(event, len(picture))

    # -----------------------------------------------------------------------------------------------------------------
    # The run

    def request(
        self, model, seed, label, origin, brought, task, mask, steps, method, tau, made_up, truth
    ) -> InpaintRequest | ColorizeRequest:
        """What the controls ask for.

        Raises:
            UserError: no hole, or a value out of range.
        """
        picture, label = self.picture(model, seed, label, origin, brought), fitting_label(self.library, model, label)
        if task == "colorize":
            return ColorizeRequest(picture, made_up, label, steps, truth)
        if mask is None:
            raise UserError("Nothing is painted: paint over what is to be made up, or take a ready-made hole.")
        return InpaintRequest(picture, fitted(mask, len(picture)), made_up, label, steps, method, tau, truth)

    def wish(self, request: gr.Request) -> None:
        """The visitor wants a run; noted ahead of the queue, so that it can be cancelled while it waits."""
        self.latest.wish(request.session_hash, GO)

    def cancel(self, request: gr.Request) -> None:
        """The visitor wants no run any more: it ends after its step, and what was made stays."""
        self.latest.wish(request.session_hash, "")

    def _wanted(self, visitor: gr.Request) -> bool:
        try:
            self.latest.check(visitor.session_hash, GO)
        except Superseded:
            return False
        return True

    def run(
        self, model, seed, label, origin, brought, task, mask, steps, method, tau, made_up, truth, visitor: gr.Request
    ) -> Iterator[tuple]:
        """Restore, step by step; arguments as in `request`, and Gradio's request.

        Yields:
            Pictures, progress, numbers, what can be kept, and the buttons "Restore" and "Cancel".
        """
        if not self._wanted(visitor):
            yield gr.skip(), _line("Cancelled before it began."), gr.skip(), gr.skip(), *idle()
            return
        bench = self.library.get(model)
        request = self.request(
            model, seed, label, origin, brought, task, mask, steps, method, tau, made_up, truth
        )  # fmt: skip
        steps = 1 if task == "inpaint" and request.method == "latent" else request.steps
        known = request.picture if request.truth else None
        given = _given(request)
        messages: queue.SimpleQueue = queue.SimpleQueue()
        leave, end = threading.Event(), time.monotonic() + allowed(PATIENCE)

        def progress(share: float, picture: np.ndarray) -> None:
            messages.put((share, picture))
            if leave.is_set() or time.monotonic() > end or not self._wanted(visitor):
                raise Stop

        def work() -> None:
            try:
                messages.put(getattr(bench, task)(request, progress))
            except Exception as e:  # told in the visitor's own thread
                messages.put(e)

        yield restore_pictures(given, given, known, task), progress_line(0, steps), "", "", *_buttons(running=True)
        # a thread, since the Workbench tells its steps by a callback and Gradio wants them from a generator
        threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                message = messages.get()
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, RestoreResult):
                    break
                share, picture = message
                line = progress_line(round(share * steps), steps)
                yield restore_pictures(given, picture, known, task), line, "", "", *_buttons(running=True)
        finally:
            leave.set()  # the page was left: the thread ends after its step
        name = f"{bench.name}-{task}-seed{request.seed}"
        yield (
            restore_pictures(message.given, message.picture, known, task, f"{name}.png"),
            done_line(message, steps),
            hole_numbers(message, task),
            "" if message.stopped else save_value(message.picture, recipe.describe(request, bench), name),
            *_buttons(running=False),
        )


def _given(request: InpaintRequest | ColorizeRequest) -> np.ndarray:
    """What is known, for the eye, until the Workbench gives its own: holes mid-grey, or no colour."""
    if isinstance(request, InpaintRequest):
        return np.where((request.mask >= 128)[..., None], np.uint8(128), request.picture)
    luma = request.picture @ (np.array(LUMA) / sum(LUMA))
    return np.repeat(np.round(luma).astype(np.uint8)[..., None], 3, axis=2)


def _line(text: str) -> str:
    return f'<p class="ks-line" role="status">{text}</p>'


def _buttons(running: bool) -> tuple:
    return gr.update(interactive=not running), gr.update(interactive=running)


def idle() -> tuple:
    """The buttons when nothing runs, however it ended."""
    return _buttons(running=False)


def preview(picture: np.ndarray, title: str) -> str:
    """The picture at hand, small."""
    return figure_html(picture, "Picture", title, css="ks-preview")


EMPTY = (_line("Press “Restore”: every step is shown here."), "", "", "")


def of_task(task: str, method: str) -> tuple:
    """Which controls are there: hole, preview instead of it, method, encoding time, steps."""
    filling = task == "inpaint"
    latent = filling and method == "latent"
    return tuple(gr.update(visible=on) for on in (filling, not filling, filling, latent, not latent))


def of_origin(origin: str) -> dict:
    """Whether a picture is to be chosen."""
    return gr.update(visible=origin == "picture")


def fill(settings: InpaintSettings | ColorizeSettings) -> tuple:
    """A restoration's settings as values of the controls, see `Opens`."""
    request = settings.request()
    filling = settings.kind == "inpaint"
    method = settings.method if filling else "iterative"
    hole_box, preview_box, method_box, tau, steps = of_task(settings.kind, method)
    return (
        "picture",
        of_origin("picture"),
        request.picture,
        None,
        settings.kind,
        request.mask if filling else gr.skip(),
        hole_box,
        preview_box,
        {**method_box, "value": method},
        {**tau, "value": settings.tau} if filling else tau,
        {**steps, "value": settings.steps},
        settings.seed,
        settings.truth,
    )
