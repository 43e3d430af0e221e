"""What the view "Paint and restore" shows of a run: pictures, how far it is, and the measures against the truth."""

from __future__ import annotations

import json
import math

import numpy as np

from analysis.koopman.restoration import LUMA
from analysis.workbench.defaults import restoration_defaults
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest, RestoreResult
from analysis.workbench.workbench import Workbench
from ui.components.html import facts, figure_html, group_html
from ui.components.made import Made


def restore_pictures(
    given: np.ndarray, shown: np.ndarray, truth: np.ndarray | None, task: str, made: Made, by: str, name: str = ""
) -> str:
    """What was given, what was made so far, and the truth where it is known.

    Args:
        given, shown, truth: uint8 (H, W, 3).
        task: "inpaint" or "colorize".
        made: what it is made with.
        by: "model" or "teacher".
        name: of the file that is offered for saving; none when empty.
    """
    who = f"by {made.model}{'’s teacher' if by == 'teacher' else ''}"
    shown_ones = group_html(
        "ks-pictures",
        figure_html(given, "Given", "grey = unknown" if task == "inpaint" else "grey input"),
        figure_html(shown, "Restored" if name else "So far", who, name),
        figure_html(truth, "Truth", "never looked at while restoring") if truth is not None else "",
    )
    return shown_ones + made.line()


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


def measured_words(bench: Workbench, task: str) -> str:
    """Whether this model was measured to restore better than what needs no model; else who does."""
    works = restoration_defaults(bench, task)["works"]
    plain = "biharmonic filling" if task == "inpaint" else "leaving it grey"
    if works is None:
        said = "It was not measured whether this model restores better than what needs no model."
    elif works:
        said = f"On test pictures this model is nearer to the truth than {plain} (LPIPS)."
    else:
        said = f"On test pictures this model is not better than {plain}: let its teacher restore."
    return f'<p class="ks-line" data-works="{json.dumps(works)}">{said}</p>'


def given_picture(request: InpaintRequest | ColorizeRequest) -> np.ndarray:
    """What is known, for the eye, until the Workbench gives its own: holes mid-grey, or no colour."""
    if isinstance(request, InpaintRequest):
        return np.where((request.mask >= 128)[..., None], np.uint8(128), request.picture)
    luma = request.picture @ (np.array(LUMA) / sum(LUMA))
    return np.repeat(np.round(luma).astype(np.uint8)[..., None], 3, axis=2)


def line(text: str) -> str:
    """A sentence that screen readers are told."""
    return f'<p class="ks-line" role="status">{text}</p>'


def preview(picture: np.ndarray, title: str) -> str:
    """The picture at hand, small."""
    return figure_html(picture, "Picture", title, css="ks-preview")
