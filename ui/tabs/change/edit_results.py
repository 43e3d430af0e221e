"""What an edit shows: the pictures, the numbers beside those of the control, and what they say in words."""

from __future__ import annotations

import html

from analysis.koopman.editing import EditNumbers
from analysis.workbench.editing import EditResult
from ui.components.html import Figure, figures_html, group_html
from ui.components.made import Made


def sigma_line(tau: float, sigma: float) -> str:
    """The edit time as a noise level."""
    return f'<p class="ks-line">τ = {tau:.2f} is noise level σ = {sigma:.3g}.</p>'


def edit_pictures(result: EditResult, ratio: float, of: str, made: Made) -> str:
    """Original, edit, control, reference; below, smaller: the edit at five ratios, and what the reference encodes to.

    Args:
        result: the edit.
        ratio: 0 to 1.
        of: what the reference is.
        made: what the original was made with.
    """
    name = f"{made.model}-seed{made.seed}-edit"
    large = [
        Figure(result.original, "Original", f"seed {made.seed}"),
        Figure(result.edited, "Edited", f"chosen bands, {ratio:.0%}", f"{name}.png"),
        Figure(result.control, "Control", f"all bands, {ratio:.0%}", f"{name}-control.png"),
        Figure(result.reference, "Reference", of),
    ]
    small = [Figure(p, f"{r:.0%}") for p, r in zip(result.strip, result.strip_ratios, strict=True)]
    figures = figures_html([*large, *small, Figure(result.encoded, "Limit")])
    row, strip = group_html("ks-pictures ks-four", *figures[:4]), group_html("ks-strip", *figures[4:])
    note = "The edit at five ratios; on the right its limit: all bands, everywhere, 100 %."
    return f'{row}<p class="ks-line ks-after">{note}</p>{strip}{made.line()}'


MEASURED = (
    ("outside", "change outside the region", "mean squared; 0 = untouched"),
    ("high_correlation", "detail shared with the reference inside", "correlation of the high-pass parts; 1 = the same"),
    ("low_distance", "layout moved away from the original", "mean squared, low-pass parts; 0 = in place"),
)


def edit_numbers(result: EditResult) -> str:
    """The three numbers of edit and control side by side, and one sentence."""

    def text(numbers: EditNumbers, name: str) -> str:
        value = getattr(numbers, name)
        if value is None:
            return "nothing to measure"
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"

    leaked = (_share(result.leakage), _share(result.leakage_control))
    rows = "".join(
        f"<tr><th>{title} <small>{how}</small></th><td>{text(result.numbers, name)}</td>"
        f"<td>{text(result.numbers_control, name)}</td></tr>"
        for name, title, how in MEASURED
    )
    rows += (
        "<tr><th>leakage <small>change outside the region over that inside; 0 = none</small></th>"
        f"<td>{leaked[0]}</td><td>{leaked[1]}</td></tr>"
    )
    table = (
        '<table class="ks-bands"><thead><tr><th></th><td>edited</td><td>control</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return f'<p class="ks-verdict">{html.escape(in_words(result))}</p><div class="ks-numbers">{table}</div>'


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


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
