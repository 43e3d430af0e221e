"""View "Signatures" of "Look inside": whether the spectrum of a picture tells its class, or a factor of it."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from analysis.core.progress import Report
from analysis.export.files import signatures_csv
from analysis.figures import signatures as figures
from analysis.workbench.findings import signature_words
from analysis.workbench.library import ModelLibrary
from analysis.workbench.signatures import SignatureRequest, contrast_names
from ui.components.controls import Controls
from ui.components.layout import Frame, empty_stage, group, intro, only
from ui.components.made import Made
from ui.components.plot import plot
from ui.components.save_bar import saved_file, saver
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import Views, Workspace
from ui.tabs.inside.linearity import drawn, told, verdict

CLASSES = "classes"  # of the list, for the empty contrast
MOST_PICTURES = 128  # a group, on the page
SENTENCE = "Does the spectrum of a picture tell its class? Energies by band and level, beside two simple controls."
FORMULA = """log mean |z<sub>k</sub>|² over the modes of a band and level of E(x<sub>t</sub>, σ<sub>t</sub>), which is
not told the class &nbsp;·&nbsp; read by a shrunk linear discriminant from pictures that it was not fitted to
&nbsp;·&nbsp; controls: modes dealt to the bands at random; radial power of the noised picture"""
ASK = '<p class="ks-line">Not measured yet: some seconds.</p>'


@dataclass(frozen=True)
class SignatureControls(Controls):
    """Components of the part; `request` is (model, question) of what is shown."""

    contrast: gr.Dropdown
    pictures: gr.Slider
    time: gr.Slider
    buttons: RunButtons
    words: gr.HTML
    save: gr.Button
    saved: gr.HTML
    reading: gr.HTML
    profile: gr.HTML
    distance: gr.HTML
    request: gr.State


class SignaturePart:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the part, or their names.
        patience: seconds that a measurement may take.
    """

    def __init__(self, library: ModelLibrary, controls: SignatureControls, patience: float = RUN_SECONDS):
        self.library, self.controls = library, controls
        self.run = LongRun(patience)

    def contrasts(self, model: str, contrast: str | None) -> dict:
        """The list of what tells this model's pictures apart; another model's choice gives way to the first."""
        known = [name or CLASSES for name in contrast_names(self.library.get(model))]
        value = contrast if contrast in known else next(iter(known), None)
        return {self.controls.contrast: gr.update(choices=known, value=value, interactive=bool(known))}

    def measure(
        self, model, contrast, low, high, order, pictures, time, report: Report | None = None
    ) -> dict:  # fmt: skip
        """Verdict and figures."""
        bench, c = self.library.get(model), self.controls
        known = contrast_names(bench)
        asked = "" if contrast == CLASSES else contrast
        asked = asked if asked in known else next(iter(known), "")  # another model's, or not chosen yet
        edges = (min(low, high), max(low, high))
        question = SignatureRequest(asked, int(min(pictures, MOST_PICTURES)), edges, order)
        result = bench.signatures(question, report)
        kind = "pictures of its own" if result.own else "drawn pictures"
        of = f"{question.count} {kind} a group, {len(result.groups)} groups, {len(result.tau)} times"
        request = (model, question)
        return {
            c.words: verdict(
                *signature_words(result), made=Made(bench.name, None, None), of=of,
                over="#signature-reading, #signature-profile, #signature-distance",
            ),
            c.reading: drawn(figures.reading_curves(result)),
            c.save: gr.update(visible=True),
            **self.at(request, time),
            c.request: request,
        }  # fmt: skip

    def at(self, request: tuple | None, time: float) -> dict:
        """Profiles and distances at one of the times of a measurement that was made."""
        c = self.controls
        if request is None:
            return {c.profile: drawn(), c.distance: drawn()}
        model, question = request
        result = self.library.get(model).signatures(question)  # kept by the Workbench
        nearest = int(abs(result.tau - float(time)).argmin())
        return {
            c.profile: drawn(figures.profile_map(result, nearest, question.order)),
            c.distance: drawn(figures.distance_map(result, nearest)) if len(result.groups) > 2 else drawn(),
        }

    def save(self, request: tuple | None) -> str | dict:
        """All energies as a file."""
        if request is None:
            return gr.skip()
        model, question = request
        bench = self.library.get(model)
        name = f"{bench.name}-signatures-{question.contrast or CLASSES}"
        return saved_file(signatures_csv(bench.signatures(question)).encode(), name, "csv")


def _lay_out(frame: Frame) -> SignatureControls:
    view = "signatures"
    with frame.controls:
        intro(SENTENCE, FORMULA, view)
        with group(view):
            contrast = gr.Dropdown(
                [CLASSES], value=CLASSES, label="Groups", info="classes, or little and much of one factor",
                elem_id="signature-contrast", filterable=False,
            )  # fmt: skip
            pictures = gr.Slider(
                8, MOST_PICTURES, 32, step=8, label="Pictures a group", elem_id="signature-pictures",
                info="8 to 128; more make the intervals narrower", buttons=["reset"],
            )  # fmt: skip
            buttons = run_buttons("Read the spectrum", "signature")
            time = gr.Slider(
                0, 1, 0, step=0.25, label="Time τ of the profiles", elem_id="signature-time",
                info="0 picture, 1 noise, where nothing can be read", buttons=["reset"],
            )  # fmt: skip
    with frame.stage:
        empty_stage(
            "How often the group of a picture is read from its spectrum, over time.",
            ("Read the spectrum", "signature-start"), views=(view,),
        )  # fmt: skip
    with frame.stage, gr.Column(min_width=0, elem_classes=only(view)):
        reading = plot(None, visible=False, elem_id="signature-reading", label="Share of groups read, over time")
        profile = plot(None, visible=False, elem_id="signature-profile", label="Energy by group, band and level")
        distance = plot(None, visible=False, elem_id="signature-distance", label="Distances between groups")
    words = told(frame, view, "signature", ASK)
    with frame.readings, group(view):
        save = gr.Button("Save the energies (CSV)", size="sm", visible=False, elem_id="signature-save", min_width=140)
        saved = saver(elem_id="signature-saved")
    return SignatureControls(
        contrast, pictures, time, buttons, words, save, saved, reading, profile, distance, gr.State(None)
    )


def build_signatures(work: Workspace, views: Views, edges: dict) -> SignatureControls:
    """Lay the view out and wire it.

    Args:
        work: what it stands on.
        views: the tab's.
        edges: the tab's controls low, high and order, by these names.
    """
    c, model = _lay_out(views.frame), work.source.model
    part = SignaturePart(work.library, c, work.bounded(RUN_SECONDS))
    live = {"show_progress": "hidden", "trigger_mode": "always_last", **MODEL_QUEUE, **PRIVATE}
    views.opened["signatures"](
        guarded(part.contrasts), inputs_kwargs={"model": model, **c.named("contrast")}, outputs=[c.contrast], **live
    )
    wire_run(
        part.run, c.buttons, part.measure, {"model": model, **edges, **c.named("contrast", "pictures", "time")},
        c.listed("words", "reading", "profile", "distance", "save", "request"),
    )  # fmt: skip
    moved = [c.time.input, c.time.release]  # "release" is what Gradio's reset button tells
    gr.on(moved, guarded(part.at), [c.request, c.time], c.listed("profile", "distance"), **live)
    c.save.click(guarded(part.save), [c.request], c.saved, **live)
    return c
