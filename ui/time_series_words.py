"""What the tab Time series says: names, formulas, numbers, and what follows from them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from analysis.figures.series import singular
from analysis.series.forecast import ForecastResult, SeriesInfo
from analysis.series.loaded import METHOD, MODEL, NFE
from analysis.series.long_run import LongRunResult
from ui.cards import facts

INTRO = """<p class="ks-intro">A small network looks at the last frames of a series and draws the next one by a flow
from noise; its own frames are fed back to it. Many such members make an ensemble, from a moment of the held-out
part. What really came is drawn beside it, and so are forecasts that need no network.</p>
<p class="ks-formula">frame<sub>k+1</sub> = frame<sub>k</sub> + change, change drawn by the flow given the last frames
&nbsp;·&nbsp; CRPS = mean |x<sub>i</sub> − y| − ½ mean |x<sub>i</sub> − x<sub>j</sub>|, smaller is better; the fair one
leaves out i = j &nbsp;·&nbsp; damped persistence: a<sub>L</sub> × last frame, a<sub>L</sub> fitted on the training
part for every lead</p>"""
ASK = f"""<p class="ks-line">Not run yet: 16 runs without any truth to hold on to ({METHOD}, {NFE} calls a frame, as in
the tables of results), compared with the training and the test part of the real series.</p>"""


def choices(models: Sequence[SeriesInfo]) -> list[tuple[str, str]]:
    """For a chooser: the world's title, with the model's name where two share one, and whether files are missing."""
    titles = [m.title for m in models]
    return [
        (
            m.title
            + (f" ({m.name})" if titles.count(m.title) > 1 else "")
            + (" – needs files" if m.needs else ""),
            m.name,
        )
        for m in models
    ]  # fmt: skip


def time_span(dt: float, unit: str) -> str:
    """So many time units: 1 day, 0.035 time units."""
    return f"{dt:g} {singular(unit) if dt == 1 else unit}"


def unit_of_scores(result: ForecastResult) -> str:
    """What CRPS and RMSE are in, short."""
    return "rad" if result.period is not None else "sd"


def _long_unit(result: ForecastResult) -> str:
    return "radians" if result.period is not None else "standard deviations of the training part"


def problem(sentence: str, models: Sequence[SeriesInfo]) -> str:
    """A sentence in the place of a forecast, and the worlds that can be looked at."""
    others = [m.title for m in models if not m.needs]
    also = f" These worlds are at hand: {'; '.join(others)}." if others else ""
    return f'<p class="ks-verdict" role="status">{html.escape(sentence + also)}</p>'


def numbers(r: ForecastResult) -> str:
    """The scores and the cost of one forecast."""
    mine, unit = r.marks[MODEL], unit_of_scores(r)
    calls = "network calls a frame" + (f", and {r.derivatives} derivatives" if r.derivatives else "")
    return facts(
        (f"{mine.crps_fair:.3g} {unit}", "fair CRPS"),
        (f"{r.marks[r.reference].crps_fair:.3g} {unit}", f"that of {r.reference}"),
        (f"{mine.rmse:.3g} {unit}", "RMSE of the mean"),
        (f"{mine.spread:.3g} {unit}", "spread"),
        (f"{100 * r.inside:.0f} %", "of the truth in the 5 to 95 % band"),
        (str(r.nfe), calls),
        (f"{r.seconds:.2f} s", f"for {len(r.members)} members of {len(r.truth)} frames"),
    )


def verdict(r: ForecastResult) -> str:
    """Whether the forecast beats the baselines here, and how that is over many starts."""
    mine, other = r.marks[MODEL], r.marks[r.reference]
    gap = mine.crps_fair - other.crps_fair
    share = f"{abs(gap) / other.crps_fair:.0%} {'less' if gap < 0 else 'more'}" if other.crps_fair > 0 else "more"
    absent = " (damped persistence is not defined for angles)" if r.period is not None else ""
    words = f"Here the forecast {'beats' if gap < 0 else 'does not beat'} {r.reference}{absent}: its fair CRPS is "
    words += f"{mine.crps_fair:.3g} against {other.crps_fair:.3g}, {share}"
    behind = mine.by_lead >= other.by_lead
    if gap < 0 and behind.any():
        words += f"; at {_leads(behind)} it does not"
    elif gap >= 0 and not behind.all():
        words += f"; at {_leads(~behind)} it does"
    words += ". "
    better = [k for k, m in r.marks.items() if k not in (MODEL, r.reference) and m.crps_fair <= mine.crps_fair]
    if better:
        words += f"It does not beat {' and '.join(better)} either. " if gap >= 0 else (
            f"It does not beat {' and '.join(better)}. ")  # fmt: skip
    if mine.spread < 0.5 * mine.rmse:
        words += "The members agree more than they are right: the spread is below half the error. "
    where = f"start {r.start + 1:,} of {r.starts:,} of the held-out part{_when(r)}"
    note = f"One forecast, from {where}; scores in {_long_unit(r)}, averaged over leads and variables. "
    if r.anomaly:
        note += "Anomalies are against the climatology of the training years. "
    if MODEL in r.usual and r.reference in r.usual:
        note += (
            f"Over many starts (the model’s card: usual horizon, 20 members, {METHOD}, {NFE} calls) the fair CRPS is "
            f"{r.usual[MODEL]:.3g}, of {r.reference} {r.usual[r.reference]:.3g}. "
        )
    if r.in_sample:
        note += "Mind that this protocol trains and tests on the same frames: it measures memory, not prediction. "
    if not r.same_data:
        note += "The data here are not bit for bit those that the model was trained on. "
    return (
        f'<p class="ks-verdict" role="status">{html.escape(words.strip())}</p>'
        f'<p class="ks-line">{html.escape(note.strip())}</p><p class="ks-line">{html.escape(r.licence)}</p>'
    )


def _leads(which: np.ndarray) -> str:
    count = int(which.sum())
    return f"{count} of {len(which)} leads" if count > 1 else f"lead {int(np.argmax(which)) + 1}"


def _when(r: ForecastResult) -> str:
    return f", {r.times[0]} to {r.times[-1]}" if np.issubdtype(r.times.dtype, np.datetime64) else ""


def long_words(r: LongRunResult) -> str:
    """How far free runs are from the real series, beside how far its own two parts are from each other."""
    mine, real = r.distances
    if r.period is not None:
        words = (
            f"The joint histogram of the free runs has a Jensen-Shannon distance of {mine[0]:.3f} to that of the test "
            f"part; the training part has {real[0]:.3f}"
        )
    else:
        parts = [f"{v} {a:.3f} ({b:.3f})" for v, a, b in zip(r.variables, mine, real, strict=True)]
        words = (
            "Distance W₁ of each marginal to the test part, in its standard deviations, and in brackets that of the "
            f"training part: {', '.join(parts)}"
        )
    near = "no farther from the test part than the training part is" if (mine <= real).all() else (
        "farther from the test part than the training part is" + (", in some variables" if (mine <= real).any() else "")
    )  # fmt: skip
    runs = f"{r.runs} runs of {r.frames:,} frames ({time_span(r.dt, r.time_unit)} each)"
    note = (
        f"{r.title}: {runs}, {METHOD}, {NFE} calls a frame. The shorter the runs, the farther even a perfect model "
        "would be."
    )
    return (
        f'<p class="ks-verdict" role="status">{html.escape(words)}. The free runs are {near}.</p>'
        f'<p class="ks-line">{html.escape(note)}</p>'
    )
