"""What an edit shows: the pictures, the numbers beside those of the control, and what they say in words."""

from __future__ import annotations

import html

from analysis.core.images import change_of
from analysis.koopman.editing import EditNumbers
from analysis.workbench.editing import EditRequest, EditResult, region_of
from ui.components.html import Figure, details, figures_html, group_html, outline
from ui.components.made import Made

CHANGE_TIMES = 3  # of what an edit changed; fixed, so that a smaller ratio shows less


def sigma_line(tau: float, sigma: float) -> str:
    """The edit time as a noise level."""
    return f'<p class="ks-line">τ = {tau:.2f} is noise level σ = {sigma:.3g}.</p>'


def edit_pictures(result: EditResult, request: EditRequest, of: str, made: Made) -> str:
    """Original, edit and what it changed; reference, control and their limit; below, the edit at five ratios.

    Args:
        result: the edit.
        request: what it answers; its region is outlined.
        of: what the reference is.
        made: what the original was made with.
    """
    name = f"{made.model}-seed{made.seed}-edit"
    ratio, over = request.ratio, outline(region_of(request, *result.original.shape[:2]).numpy())
    changed = change_of(result.edited, result.original, CHANGE_TIMES)
    large = [
        Figure(result.original, "Original", f"seed {made.seed}", over=over),
        Figure(result.edited, "Edited", f"ratio {ratio:.0%}", f"{name}.png", over=over),
        Figure(changed, "What changed", f"× {CHANGE_TIMES}, grey = nothing", over=over),
        Figure(result.reference, "Reference", of),
        Figure(result.control, "Control", f"all bands, {ratio:.0%}", f"{name}-control.png", over=over),
        Figure(result.encoded, "Limit", "all bands, everywhere, 100%"),
    ]
    small = [Figure(p, f"{r:.0%}") for p, r in zip(result.strip, result.strip_ratios, strict=True)]
    figures, at = figures_html([*large, *small]), len(large)
    row, strip = group_html("ks-pictures ks-mixed", *figures[:at]), group_html("ks-strip ks-ratios", *figures[at:])
    return f"{row}{strip}{made.line()}"


MEASURED = (
    ("high_correlation", "detail of the reference", "correlation of the high-pass parts inside; 1 = the same"),
    ("low_distance", "layout moved", "mean squared change of the low-pass parts; 0 = in place"),
    ("outside", "change outside", "of the region, mean squared; 0 = untouched"),
)


def edit_numbers(result: EditResult) -> str:
    """One sentence; behind a sign the numbers of edit and control side by side."""

    def text(numbers: EditNumbers, name: str) -> str:
        value = getattr(numbers, name)
        if value is None:
            return "nothing to measure"
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"

    leaked = (_share(result.leakage), _share(result.leakage_control))
    rows = "".join(
        f"<tr><th>{title}<small>{how}</small></th><td>{text(result.numbers, name)}</td>"
        f"<td>{text(result.numbers_control, name)}</td></tr>"
        for name, title, how in MEASURED
    )
    rows += (
        "<tr><th>leakage<small>change outside over that inside; 0 = none</small></th>"
        f"<td>{leaked[0]}</td><td>{leaked[1]}</td></tr>"
    )
    table = (
        '<table class="ks-bands"><thead><tr><th></th><td>edited</td><td>control</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    share = f'<p class="ks-line">{result.share:.0%} of all modes take part.</p>'
    numbers = details("Details", f'<div class="ks-numbers">{table}</div>{share}')
    return f'<p class="ks-verdict">{html.escape(in_words(result))}</p>{numbers}'


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def in_words(result: EditResult) -> str:
    """One sentence that says what the numbers say, whichever way they fall."""
    edit, control = result.numbers, result.numbers_control
    if edit.low_distance == 0 and control.low_distance == 0:
        return "Nothing changed: raise the ratio."
    layout = _compared(edit.low_distance, control.low_distance, "Beside the control, the edit moved the layout")
    if edit.high_correlation is None or control.high_correlation is None:
        return f"{layout}."
    difference = edit.high_correlation - control.high_correlation
    if abs(difference) < 0.005:
        return f"{layout}, and shares as much fine detail with the reference."
    return f"{layout}, and shares {'more' if difference > 0 else 'less'} fine detail with the reference."


def _compared(a: float, b: float, what: str) -> str:
    if max(a, b) <= 1.02 * min(a, b):
        return f"{what} as much"
    if a < b:
        return f"{what} {b / a:.1f} times less" if a > 0 else f"{what} not at all"
    return f"{what} {a / b:.1f} times more" if b > 0 else f"{what}, which the control did not"
