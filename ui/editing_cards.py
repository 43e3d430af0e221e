"""What an edit and a restoration came to, as HTML: pictures in a row, numbers in words, the strip of past results."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import gradio as gr
import numpy as np

from analysis.koopman.editing import EditNumbers
from analysis.workbench.editing import EditResult, RestoreResult
from ui.cards import facts
from ui.pictures import data_uri, figure_html

_CLICKS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (button) trigger("select", { points: [Number(button.dataset.index)] });
});"""


def _row(css: str, *figures: str) -> str:
    return f'<div class="{css}">{"".join(figures)}</div>'


EDIT_PLACEHOLDER = '<p class="ks-line">The first edit appears in a moment.</p>'


def sigma_line(tau: float, sigma: float) -> str:
    """The edit time as a noise level."""
    return f'<p class="ks-line">τ = {tau:.2f} is noise level σ = {sigma:.3g}.</p>'


def edit_pictures(result: EditResult, ratio: float, of: str, model: str, seed: int) -> str:
    """Original, edit, control, reference; below, smaller: the edit at five ratios, and what the reference encodes to.

    Args:
        result: the edit.
        ratio: 0 to 1.
        of: what the reference is.
        model, seed: of the original.
    """
    name = f"{model}-seed{seed}-edit"
    large = _row(
        "ks-pictures ks-four",
        figure_html(result.original, "Original", f"seed {seed}"),
        figure_html(result.edited, "Edited", f"chosen bands, {ratio:.0%}", f"{name}.png"),
        figure_html(result.control, "Control", f"all bands, {ratio:.0%}", f"{name}-control.png"),
        figure_html(result.reference, "Reference", of),
    )
    small = [figure_html(p, f"{r:.0%}") for p, r in zip(result.strip, result.strip_ratios, strict=True)]
    small.append(figure_html(result.encoded, "Limit"))
    said = "The edit at five ratios; on the right its limit: all bands, everywhere, 100 %."
    return f'{large}<p class="ks-line ks-after">{said}</p>{_row("ks-strip", *small)}'


MEASURED = (
    ("outside", "change outside the region", "mean squared; 0 = untouched"),
    ("high_correlation", "detail shared with the reference inside", "correlation of the high-pass parts; 1 = the same"),
    ("low_distance", "layout moved away from the original", "mean squared, low-pass parts; 0 = in place"),
)


def edit_numbers(result: EditResult) -> str:
    """The three numbers of edit and control side by side, and one sentence."""

    def shown(numbers: EditNumbers, name: str) -> str:
        value = getattr(numbers, name)
        if value is None:
            return "nothing to measure"
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"

    rows = "".join(
        f"<tr><th>{title} <small>{how}</small></th><td>{shown(result.numbers, name)}</td>"
        f"<td>{shown(result.numbers_control, name)}</td></tr>"
        for name, title, how in MEASURED
    )
    table = (
        '<table class="ks-bands"><thead><tr><th></th><td>edited</td><td>control</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return f'<p class="ks-verdict">{html.escape(in_words(result))}</p><div class="ks-numbers">{table}</div>'


def in_words(result: EditResult) -> str:
    """One sentence that says what the numbers say, whichever way they fall."""
    mixed = f"{result.share:.0%} of all modes take part. "
    edit, control = result.numbers, result.numbers_control
    if edit.low_distance == 0 and control.low_distance == 0:
        return mixed + "Nothing changed: raise the ratio."
    layout = _compared(edit.low_distance, control.low_distance, "Beside the control, the edit moved the layout")
    if edit.high_correlation is None or control.high_correlation is None:
        return f"{mixed}{layout}."
    difference = edit.high_correlation - control.high_correlation
    if abs(difference) < 0.005:
        return f"{mixed}{layout}, and shares as much fine detail with the reference."
    return f"{mixed}{layout}, and shares {'more' if difference > 0 else 'less'} fine detail with the reference."


def _compared(a: float, b: float, what: str) -> str:
    if max(a, b) <= 1.02 * min(a, b):
        return f"{what} as much"
    if a < b:
        return f"{what} {b / a:.1f} times less" if a > 0 else f"{what} not at all"
    return f"{what} {a / b:.1f} times more" if b > 0 else f"{what}, which the control did not"


# ---------------------------------------------------------------------------------------------------------------------
# Past results


def history_strip(**kwargs) -> gr.HTML:
    """Small pictures of past results; a click triggers `select`, to be read with `ui.plots.points`.

    Value: `history_html(...)`.
    """
    return gr.HTML(history_html((), -1), js_on_load=_CLICKS, **kwargs)


def history_html(pictures: Sequence[np.ndarray | None], at: int) -> str:
    """One button a result, the one that is shown marked; a number where the picture is not at hand any more."""
    if not pictures:
        return '<p class="ks-line">Every result of this visit will be kept here.</p>'
    buttons = "".join(
        f'<button type="button" data-index="{i}" aria-label="Result {i + 1}"{_current(i == at)}>'
        + (f"<span>{i + 1}</span>" if p is None else f'<img src="{data_uri(p)}" alt="">')
        + "</button>"
        for i, p in enumerate(pictures)
    )
    return f'<div class="ks-history" role="group" aria-label="Past results">{buttons}</div>'


def _current(yes: bool) -> str:
    return ' aria-current="true"' if yes else ""


# ---------------------------------------------------------------------------------------------------------------------
# Restoration


def restore_pictures(given: np.ndarray, shown: np.ndarray, truth: np.ndarray | None, task: str, name: str = "") -> str:
    """What was given, what was made so far, and the truth where it is known.

    Args:
        given, shown, truth: uint8 (H, W, 3).
        task: "inpaint" or "colorize".
        name: of the file that is offered for saving; none when empty.
    """
    return _row(
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
