"""View "Directions" of "Change": one thing of a picture, stronger and weaker, and the same on other seeds."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.progress import Report
from analysis.koopman.directions import DRAWN, contrasts
from analysis.koopman.editing import REGIONS
from analysis.koopman.spectrum import band_names
from analysis.workbench.directions import DirectionRequest, DirectionResult
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from foundation.randomness import MAX_SEED
from ui.components.controls import Controls, chosen
from ui.components.html import details, heading
from ui.components.layout import Frame, empty_stage, group, intro
from ui.components.players import slide_player, slides
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import NO_CLASS, BuiltTab, Views, Workspace, class_choices, fitting_label, made_with, usable_seed

SENTENCE = "Make one thing of the picture stronger or weaker, and see whether other seeds follow."
FORMULA = """x(s) = D( z + s σ<sub>v</sub> v ) &nbsp;·&nbsp; v the direction, of length 1, σ<sub>v</sub> the
standard deviation of latents along it, s the strength"""
DIRECTION_TITLES = (
    ("means of a factor or class", "mean"), ("decoder's Jacobian", "decoder"), ("modes with one effect", "groups"),
    ("teacher's Jacobian", "teacher"),
)  # fmt: skip
SEEN_AT_ONCE = ("skin", "size")  # a factor of each of the drawn data; the first that is there
STEPS = 9  # strengths on the slider, an odd number: 0 is among them
OTHERS = 3  # seeds that are moved along, too
ASK = '<p class="ks-line">Press “Find the direction”: the slider then moves along it.</p>'


def choices_of(bench: Workbench) -> tuple[str, ...]:
    """The factors that are known of a model's pictures, one that is seen at once first, then plain numbers; or ()."""
    data = bench.model.card.get("data")
    spec = data.get("spec") if isinstance(data, dict) else None
    known = contrasts(spec) if spec in DRAWN else ()
    first = next((name for name in SEEN_AT_ONCE if name in known), "")
    return tuple(sorted(known, key=lambda name: (name != first, not name.isidentifier())))


def missing(bench: Workbench) -> dict[str, str]:
    """Methods that this model has not, and why."""
    out = {}
    if not choices_of(bench) and len(bench.classes) < 2:
        out["mean"] = "the factors of these pictures are not known, and there are no classes"
    if bench.teacher is None:
        out["teacher"] = "this model has no teacher here"
    return out


@dataclass(frozen=True)
class DirectionControls(Controls):
    """Components of the view; `known` is the model whose choices are shown."""

    method: gr.Radio
    reason: gr.HTML
    contrast: gr.Dropdown
    class_from: gr.Dropdown
    class_to: gr.Dropdown
    index: gr.Slider
    region: gr.Dropdown
    reach: gr.Slider
    buttons: RunButtons
    player: gr.HTML
    words: gr.HTML
    known: gr.State


LISTED = ("method", "contrast", "class_from", "class_to")  # whose choices are a model's own
ASKED = ("method", "contrast", "class_from", "class_to", "index", "region", "reach")


def strengths(reach: float) -> tuple[float, ...]:
    """From -reach to reach, 0 among them."""
    return tuple(round(float(s), 6) for s in np.linspace(-reach, reach, STEPS))


def in_words(result: DirectionResult, seeds: tuple[int, ...]) -> str:
    """What moved, where, and whether other seeds follow, as a sentence and a table."""
    at = int(result.strengths.argmax())
    told = f"At strength {result.strengths[at]:+.1f} the picture changes by {result.inside[0, at]:.4f} (mean squared)"
    outside = result.outside[0, at]
    if np.isfinite(outside):
        told += f" inside of the region and by {outside:.4f} outside"
    ends = zip(seeds, result.inside[:, at], result.outside[:, at], strict=True)
    rows = "".join(
        f"<tr><th>seed {seed}</th><td>{inside:.4f}</td><td>{'–' if np.isnan(out) else f'{out:.4f}'}</td></tr>"
        for seed, inside, out in ends
    )
    table = (
        '<table class="ks-bands"><thead><tr><th>change at the end</th><td>inside</td><td>outside</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return f'<p class="ks-verdict">{told}.</p>{table}{_place(result)}'


def _place(result: DirectionResult) -> str:
    if result.place is None:
        return details("Where it lies", '<p class="ks-line">In pixels: this direction is of the teacher.</p>')
    names = band_names(result.place.shape[1], "alpha")
    head = "".join(f"<td>{html.escape(n)}</td>" for n in names)
    rows = "".join(
        f"<tr><th>{html.escape(level)}</th>{''.join(f'<td>{share:.0%}</td>' for share in row)}</tr>"
        for level, row in zip(result.names, result.place, strict=True)
    )
    table = f'<table class="ks-bands"><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return details("Where it lies, by level and band", table)


class DirectionTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the view, or their names.
        patience: seconds that a search may take.
    """

    def __init__(self, library: ModelLibrary, controls: DirectionControls, patience: float = RUN_SECONDS):
        self.library, self.controls, self.run = library, controls, LongRun(patience)

    def opened(self, model: str, method: str, known: str | None) -> dict:
        """What this model has: methods, factors, classes; of the rest the reason why not."""
        c = self.controls
        if model == known:
            return gr.skip()
        bench = self.library.get(model)
        absent, factors = missing(bench), choices_of(bench)
        there = [(title, name) for title, name in DIRECTION_TITLES if name not in absent]
        method = method if method not in absent else there[0][1]
        reasons = "; ".join(f"{dict((n, t) for t, n in DIRECTION_TITLES)[name]}: {why}" for name, why in absent.items())
        classes, read = class_choices(self.library, model), self.read(model, method)
        read[c.contrast] |= {"choices": [(f, f) for f in factors], "value": factors[0] if factors else None}
        read[c.class_from] |= {"choices": classes, "value": NO_CLASS}
        read[c.class_to] |= {"choices": classes, "value": 0 if len(classes) > 1 else NO_CLASS}
        return {
            **read,
            c.known: model,
            c.method: gr.update(choices=there, value=method),
            c.reason: f'<p class="ks-line">Not here: {html.escape(reasons)}.</p>' if reasons else "",
        }

    def settle(self, model: str, asked: Mapping[str, str], out: Mapping) -> dict:
        """Method, factor and classes of an address, whose choices are those of its model; see `BuiltTab.settle`."""
        c = self.controls
        lists = c.listed("contrast", "class_from", "class_to")
        if not {part.elem_id for part in (c.method, c.region, *lists)} & asked.keys():
            return {}
        method = asked.get(c.method.elem_id)  # perhaps one that only this model has
        known = method in {name for _, name in DIRECTION_TITLES}
        shown = self.opened(model, method if known else chosen(c.method, out), None)
        for part in lists:
            known = dict(shown[part]["choices"])
            if (name := asked.get(part.elem_id)) in known:
                shown[part]["value"] = known[name]
        return shown

    def read(self, model: str, method: str) -> dict:
        """Which controls a method reads; the others are grey."""
        c, bench = self.controls, self.library.get(model)
        factors, classes = bool(choices_of(bench)), len(bench.classes) > 1
        return {
            c.contrast: gr.update(interactive=method == "mean" and factors, visible=factors),
            c.class_from: gr.update(interactive=method == "mean", visible=classes and not factors),
            c.class_to: gr.update(interactive=method == "mean", visible=classes and not factors),
            c.index: gr.update(interactive=method != "mean"),
            c.region: gr.update(interactive=method != "mean"),
        }

    def find(
        self, model, seed, label, method, contrast, class_from, class_to, index, region, reach,
        report: Report | None = None,
    ) -> dict:  # fmt: skip
        """The direction: its pictures, those of other seeds, and what changed."""
        if not usable_seed(seed):
            return gr.skip()
        bench, c = self.library.get(model), self.controls
        why = missing(bench).get(method)
        if why:
            raise UserError(f"This direction cannot be found here: {why}.")
        others = tuple((seed + k) % (MAX_SEED + 1) for k in range(1, OTHERS + 1))
        mean = method == "mean"
        known = choices_of(bench) if mean else ()
        factor = contrast if contrast in known else next(iter(known), "")  # another model's, or not chosen yet
        request = DirectionRequest(
            seed, fitting_label(bench, label), method, factor,
            fitting_label(bench, class_from) if mean and not factor else -1,
            fitting_label(bench, class_to) if mean and not factor else -1,
            0 if mean else int(index) - 1, region="whole" if mean else region, strengths=strengths(reach),
            transfer=others,
        )  # fmt: skip
        result = bench.direction(request, report)
        seeds, made = (seed, *others), made_with(bench, seed, label)
        tracks = [(f"seed {s}", p) for s, p in zip(seeds, (result.pictures, *result.transfer), strict=True)]
        labels = [f"seed {seed}, strength {s:+.1f}" for s in result.strengths]
        return {
            c.player: slides(tracks, labels, ("weaker", "stronger"), STEPS - 1, made),
            c.words: made.within(in_words(result, seeds)),
        }


def _lay_out(frame: Frame, first: dict) -> DirectionControls:
    listed = {name: {k: v for k, v in of.items() if k != "__type__"} for name, of in first.items() if name in LISTED}
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            method = gr.Radio(
                **listed["method"],
                label="Found by",
                elem_id="direction-method",
                info="what the direction is taken from",
            )
            reason = gr.HTML(first["reason"], elem_id="direction-reason")
            contrast = gr.Dropdown(
                label="Factor", info="whose large values are compared with small ones", filterable=False,
                elem_id="direction-contrast", **listed["contrast"],
            )  # fmt: skip
            with gr.Row(elem_classes="ks-two"):
                class_from, class_to = (
                    gr.Dropdown(
                        label=name, info=what, filterable=False, elem_id=f"direction-{key}", **listed[f"class_{key}"]
                    )
                    for name, what, key in (("From class", "weaker", "from"), ("To class", "stronger", "to"))
                )
            index = gr.Slider(
                1,
                5,
                1,
                step=1,
                label="Which",
                info="of five, the strongest first",
                buttons=["reset"],
                elem_id="direction-index",
                interactive=first["index"]["interactive"],
            )
            region = gr.Dropdown(
                [(r.replace("-", " "), r) for r in REGIONS if r != "painted"], value="whole", label="Where",
                info="it should change the picture", filterable=False, elem_id="direction-region",
                interactive=first["region"]["interactive"],
            )  # fmt: skip
            reach = gr.Slider(
                1, 20, 2, step=0.5, label="Reach", info="standard deviations at both ends of the slider",
                buttons=["reset"], elem_id="direction-reach",
            )  # fmt: skip
            buttons = run_buttons("Find the direction", "direction")
    with frame.stage:
        empty_stage(
            "A slider then makes it stronger and weaker, here and on other seeds.",
            ("Find the direction", "direction-start"),
        )  # fmt: skip
        player = slide_player("Strength of the direction", elem_id="direction-player", elem_classes="ks-result")
    with frame.readings, group():
        gr.HTML(heading("What it changes"))
        words = gr.HTML(ASK, elem_id="direction-words", elem_classes="ks-told ks-result")
    return DirectionControls(
        method, reason, contrast, class_from, class_to, index, region, reach, buttons, player, words,
        gr.State(first["known"]),
    )  # fmt: skip


def build_directions(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; nothing is computed before it is asked for."""
    source = work.source
    early = DirectionTab(work.library, DirectionControls.names())
    c = _lay_out(views.frame, early.opened(source.start[0], "mean", None))
    tab = DirectionTab(work.library, c, work.bounded(RUN_SECONDS))
    read = c.listed("contrast", "class_from", "class_to", "index", "region")
    quick = {"show_progress": "hidden", "trigger_mode": "multiple", **PRIVATE}
    views.opened["directions"](
        guarded(tab.opened), [source.model, c.method, c.known], [c.known, c.method, c.reason, *read], **quick
    )
    c.method.input(guarded(tab.read), [source.model, c.method], read, **quick)
    wire_run(
        tab.run, c.buttons, tab.find, {**source.named, **c.named(*ASKED)}, c.listed("words", "player")
    )  # fmt: skip

    def settle(asked: Mapping[str, str], out: Mapping) -> dict:
        return tab.settle(chosen(source.model, out), asked, out)

    return BuiltTab(c, settle=settle, settled=c.listed(*LISTED, "known", "reason"))
