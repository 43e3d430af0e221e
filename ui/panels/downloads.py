"""Panel "Save & export": spectrum, figures, animation and a report as files, made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
import plotly.graph_objects as go

from analysis.core.errors import UserError
from analysis.export import files as exports
from analysis.export.report import figure_html, picture_report
from analysis.figures import spectrum as figures
from analysis.figures.image_files import figure_image
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest, SpectrumEntryResult
from ui.components.save_bar import saved_file, saver
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import Source, fitting_label

FIGURES = (
    ("Eigenvalues of a level", "eigenvalues"),
    ("Real parts of all levels, sorted", "sorted-alpha"),
    ("α over positions of a level", "alpha-map"),
    ("β over positions of a level", "beta-map"),
    ("Koopman path against the teacher", "error"),
)
FORMATS = ("png", "svg", "html")
BANDS = (0.33, 0.67, 1.0, 1.0, 1.0, "alpha", ())  # where the page has no controls for them
STEPS = 18
GIF_SIDE = 256  # pixels that a small picture is enlarged to


class Downloads:
    """The handlers; each gives a file for `keep.saver` and can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def modes(self, model: str) -> str:
        """Every mode as a line of CSV."""
        bench = self.library.get(model)
        return saved_file(exports.modes_csv(bench.spectrum()).encode(), f"{bench.name}-modes", "csv")

    def spectrum(self, model: str) -> str:
        """The eigenvalues as a NumPy archive."""
        bench = self.library.get(model)
        return saved_file(exports.spectrum_npz(bench.spectrum()), f"{bench.name}-spectrum", "npz")

    def animation(self, model: str, seed: int, label: int, steps: int = STEPS) -> str:
        """The Koopman path as a GIF."""
        bench = self.library.get(model)
        frames = bench.trajectory(self._path(model, seed, label, steps)).koopman
        data = exports.trajectory_gif(frames, scale=max(1, GIF_SIDE // frames.shape[1]))
        return saved_file(data, f"{bench.name}-seed{seed}-trajectory", "gif")

    def figure(self, what: str, level: int, form: str, model: str, seed: int, label: int, steps: int, *bands) -> str:
        """One figure as PNG, SVG or HTML."""
        if form not in FORMATS:
            raise UserError(f"A figure is saved as {', '.join(FORMATS)}: choose one of them.")
        bench = self.library.get(model)
        entry = self._entry(model, level)
        name = f"{bench.name}-{what}" if what == "sorted-alpha" else f"{bench.name}-{what}-{entry.name}"
        drawn = self._drawn(
            what, entry, self._path(model, seed, label, steps) if what == "error" else None, model, bands
        )
        if what == "error":
            name = f"{bench.name}-seed{seed}-error"
        title = dict((key, text) for text, key in FIGURES)[what]
        data = figure_html(drawn, title).encode() if form == "html" else figure_image(drawn, form)
        return saved_file(data, name, form)

    def report(self, level: int, model: str, seed: int, label: int, steps: int, *bands) -> str:
        """Everything about the current picture and its spectrum in one HTML file."""
        bench = self.library.get(model)
        path = self._path(model, seed, label, steps)
        text = picture_report(bench, self.library.info(model), path, self._mask(model, path, bands), int(level or 0))
        return saved_file(text.encode(), f"{bench.name}-seed{seed}-report", "html")

    def levels(self, model: str) -> dict:
        """The choices of the level, the last one chosen."""
        entries = self.library.get(model).spectrum().entries
        return gr.update(choices=[(e.name, e.index) for e in entries], value=entries[-1].index)

    def _entry(self, model: str, level: int | None) -> SpectrumEntryResult:
        entries = self.library.get(model).spectrum().entries
        return entries[min(max(int(level or 0), 0), len(entries) - 1)]

    def _path(self, model: str, seed, label, steps) -> TrajectoryRequest:
        return TrajectoryRequest(seed, fitting_label(self.library, model, label), steps)

    def _mask(self, model: str, path: TrajectoryRequest, bands: tuple) -> MaskRequest:
        low, high, small, middle, large, order, levels = bands or BANDS
        known = len(self.library.get(model).spectrum().entries)
        touched = tuple(i for i in levels or () if i < known)
        return MaskRequest(path.seed, path.label, (low, high), (small, middle, large), order, touched)

    def _drawn(self, what: str, entry: SpectrumEntryResult, path, model: str, bands: tuple) -> go.Figure:
        low, high, *_, order, _ = bands or BANDS
        if what == "eigenvalues":
            return figures.eigenvalue_plane(entry, (low, high), order)
        if what == "sorted-alpha":
            return figures.sorted_real_parts(self.library.get(model).spectrum())
        if what == "alpha-map":
            return figures.position_map(entry.alpha.mean(axis=0), f"α of {entry.name}, mean over pairs")
        if what == "beta-map":
            unit = "rad per unit τ"
            return figures.position_map(entry.beta.mean(axis=0), f"β of {entry.name}, mean over pairs", unit)
        if what != "error":
            raise UserError("There is no such figure: choose one of the list.")
        walked = self.library.get(model).trajectory(path)
        if walked.mse is None:
            raise UserError("This model has no teacher to compare with: choose another figure.")
        return figures.error_curve(walked)


def build_downloads(
    library: ModelLibrary, source: Source, steps: gr.Slider | None = None, bands: Sequence | None = None
) -> None:
    """Lay the panel out and wire it.

    Args:
        library: the models.
        source: what is looked at.
        steps: the slider of the teacher's steps.
        bands: the Spectrum tab's controls: lower edge, upper edge, three retentions, order, levels.
    """
    files = Downloads(library)
    start = files.levels(source.start[0])
    with gr.Accordion("Save & export", open=False, elem_id="export"):
        gr.HTML(
            '<p class="ks-line">Files of what you look at now, made when you ask: the model, seed and class above, the '
            "steps of the trajectory, the bands of the Spectrum tab.</p>"
        )
        with gr.Row(elem_classes="ks-buttons"):
            report = gr.Button("Report (HTML)", size="sm", variant="primary", min_width=120, elem_id="export-report")
            animation = gr.Button("Trajectory (GIF)", size="sm", min_width=120, elem_id="export-gif")
            modes = gr.Button("Modes (CSV)", size="sm", min_width=120, elem_id="export-csv")
            spectrum = gr.Button("Spectrum (NPZ)", size="sm", min_width=120, elem_id="export-npz")
        with gr.Row():
            what = gr.Dropdown(
                list(FIGURES), value=FIGURES[0][1], label="Figure", info="what is drawn", elem_id="export-what",
                scale=4, min_width=220, filterable=False,
            )  # fmt: skip
            level = gr.Dropdown(
                start["choices"], value=start["value"], label="Level", info="of the figure and the report",
                elem_id="export-level", scale=2, min_width=150, filterable=False,
            )  # fmt: skip
            form = gr.Radio(
                [(f.upper(), f) for f in FORMATS], value="png", label="Format", info="HTML keeps zoom and hover",
                elem_id="export-format", scale=3, min_width=200,
            )  # fmt: skip
            figure = gr.Button("Save the figure", size="sm", min_width=120, elem_id="export-figure")
        done = saver(elem_id="export-done")

    wired = {**MODEL_QUEUE, **PRIVATE, "show_progress": "minimal"}
    about = [*source.inputs, steps if steps is not None else gr.State(STEPS)]
    weighing = list(bands or ())
    gr.on(
        source.another_model, guarded(files.levels), source.model, level, trigger_mode="multiple", queue=False,
        show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    modes.click(guarded(files.modes), source.model, done, **wired)
    spectrum.click(guarded(files.spectrum), source.model, done, **wired)
    animation.click(guarded(files.animation), about, done, **wired)
    figure.click(guarded(files.figure), [what, level, form, *about, *weighing], done, **wired)
    report.click(guarded(files.report), [level, *about, *weighing], done, **wired)
