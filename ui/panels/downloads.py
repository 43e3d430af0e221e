"""Panel "Save & export": spectrum, figures, animation and a report as files, made when they are asked for."""

from __future__ import annotations

import io
from dataclasses import dataclass

import gradio as gr
import numpy as np
import plotly.graph_objects as go

from analysis.core.errors import UserError
from analysis.export import batches, web
from analysis.export import files as exports
from analysis.export.report import figure_html, picture_report
from analysis.figures import spectrum as figures
from analysis.recipes import recipe as recipes
from analysis.workbench.effects import EffectRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest, SpectrumEntryResult
from foundation.randomness import MAX_SEED
from ui.components.controls import Controls
from ui.components.save_bar import saved_figure, saved_file, saver
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import PROGRESS, deadline
from ui.source import Page, fitting_label
from ui.tabs.change.edit import EditTab, Waiting
from ui.tabs.change.edit_controls import SETTING, EditControls

DATA_FIGURES = (
    ("Eigenvalues of a level", "eigenvalues"),
    ("Real parts of all levels, sorted", "sorted-alpha"),
    ("α over positions of a level", "alpha-map"),
    ("β over positions of a level", "beta-map"),
    ("Koopman path against the teacher", "error"),
)
FIGURE_FORMATS = ("png", "svg", "html")
PAPER_FIGURES = (("Spectrum", "spectrum"), ("Cumulative effect", "cumulative-effect"))
SEED_CURVES = (
    ("Path against the teacher, by noise level", "path"), ("Cumulative effect, over time", "effect"),
    ("Mix: layout and detail, by ratio", "mix"),
)  # fmt: skip
START_BATCH, BATCH_SECONDS = 8, 120.0  # seeds; what all of them may take
PAPER_SEEDS = 4  # that a cumulative effect is averaged over
LARGE_SIDE = 512  # pixels a side of a picture for slides
GIF_SIDE = 256  # pixels that a small picture is enlarged to
SITE_SECONDS = 300.0  # that the web page may take
SITE_QUEUE = {"concurrency_id": "site", "concurrency_limit": 1}  # others' questions do not wait for it


@dataclass(frozen=True)
class DownloadControls(Controls):
    """Components of the panel; `opened` is pressed by the page's script when its drawer opens."""

    report: gr.Button
    large: gr.Button
    smooth: gr.Checkbox
    animation: gr.Button
    beside: gr.Button
    film: gr.Button
    latents: gr.Button
    modes: gr.Button
    spectrum: gr.Button
    site: gr.Button
    what: gr.Dropdown
    level: gr.Dropdown
    form: gr.Radio
    figure: gr.Button
    paper: gr.Dropdown
    paper_figure: gr.Button
    curve: gr.Dropdown
    seeds: gr.Slider
    batch: gr.Button
    done: gr.HTML
    opened: gr.Button


OF_EDIT = "edit_"  # before the names of what an edit is made of
CONTROLS = ("low", "high", "small", "middle", "large", "order", "levels")  # controls of Look inside


class Downloads:
    """The handlers; each gives a file for `saver` and can be called without a page. `bands` are `CONTROLS` by name.

    Args:
        library: the models.
        patience: seconds that the web page may take.
    """

    def __init__(self, library: ModelLibrary, patience: float = SITE_SECONDS):
        self.library, self.patience = library, patience

    def modes(self, model: str) -> str:
        """Every mode as a line of CSV."""
        bench = self.library.get(model)
        return saved_file(exports.modes_csv(bench.spectrum()).encode(), f"{bench.name}-modes", "csv")

    def spectrum(self, model: str) -> str:
        """The eigenvalues as a NumPy archive."""
        bench = self.library.get(model)
        return saved_file(exports.spectrum_npz(bench.spectrum()), f"{bench.name}-spectrum", "npz")

    def site(self, model: str, progress=PROGRESS) -> str:
        """A page that runs the model in the visitor's browser, for any static host, as a ZIP."""
        bench = self.library.get(model)
        report = deadline(self.patience, lambda share, what: progress(share, desc=what))
        data = web.zipped_site(bench, web.find_runtime(install=False), report=report)
        return saved_file(data, f"{bench.name}-page", "zip")

    def animation(self, model: str, seed: int, label: int, steps: int) -> str:
        """The Koopman path as a GIF."""
        bench = self.library.get(model)
        frames = bench.trajectory(self._path(model, seed, label, steps)).koopman
        data = exports.trajectory_gif(frames, scale=max(1, GIF_SIDE // frames.shape[1]))
        return saved_file(data, f"{bench.name}-seed{seed}-trajectory", "gif")

    def beside(self, model: str, seed: int, label: int, steps: int) -> str:
        """The Koopman path beside the teacher's denoised states, as a GIF."""
        frames, name = self._pair(model, seed, label, steps)
        return saved_file(exports.trajectory_gif(frames, scale=max(1, GIF_SIDE // frames.shape[1])), name, "gif")

    def film(self, model: str, seed: int, label: int, steps: int) -> str:
        """The same as an MP4."""
        frames, name = self._pair(model, seed, label, steps)
        return saved_file(exports.trajectory_mp4(frames, scale=max(1, GIF_SIDE // frames.shape[1])), name, "mp4")

    def _pair(self, model: str, seed: int, label: int, steps: int) -> tuple[np.ndarray, str]:
        """(n, H, 2 W, 3) path and teacher side by side, and a name for the file."""
        bench = self.library.get(model)
        walked = bench.trajectory(self._path(model, seed, label, steps))
        if walked.denoised is None:
            raise UserError("This model has no teacher to stand beside it: save the trajectory alone.", "model")
        return np.concatenate([walked.koopman, walked.denoised], axis=2), f"{bench.name}-seed{seed}-beside-teacher"

    def batch(self, curve, seeds, model, seed, label, steps, progress=PROGRESS, **values) -> str:
        """A curve over so many seeds with intervals, as CSV; `values` are the bands, and the edit's with `OF_EDIT`."""
        edit = {name.removeprefix(OF_EDIT): v for name, v in values.items() if name.startswith(OF_EDIT)}
        bands = {name: value for name, value in values.items() if name in CONTROLS}
        bench, path = self.library.get(model), self._path(model, seed, label, steps)
        report = deadline(min(self.patience, BATCH_SECONDS), lambda share, what: progress(share, desc=what))
        if curve == "path":
            text = batches.path_csv(bench, path, int(seeds), report)
        elif curve == "effect":
            asked = EffectRequest((path.seed,), path.label, (bands["low"], bands["high"]), bands["order"])
            text = batches.effect_csv(bench, asked, int(seeds), report)
        elif curve == "mix" and edit:
            try:
                _, mixed = EditTab(self.library, EditControls.names()).request(model, seed, label, **edit)
            except Waiting as e:
                raise UserError(str(e), "edit") from e
            text = batches.mix_csv(bench, mixed, int(seeds), report)
        else:
            raise UserError("There is no such curve: choose one of the list.", "curve")
        return saved_file(text.encode(), f"{bench.name}-{curve}-seeds{seed}to{seed + int(seeds) - 1}", "csv")

    def large(self, model: str, seed: int, label: int, smooth: bool) -> str:
        """The picture at LARGE_SIDE pixels a side, with its recipe inside."""
        bench = self.library.get(model)
        request = GenerateRequest((seed,), fitting_label(bench, label))
        picture = exports.enlarged(bench.generate(request).pictures[0], LARGE_SIDE, bool(smooth))
        buffer = io.BytesIO()
        recipes.save_png(picture, recipes.describe(request, bench), buffer)
        return saved_file(buffer.getvalue(), f"{bench.name}-seed{seed}-{LARGE_SIDE}", "png")

    def latents(self, model: str, seed: int, label: int) -> str:
        """The picture's latents, as the decoder sees them, as a NumPy archive."""
        bench = self.library.get(model)
        label = fitting_label(bench, label)
        names, levels = [e.name for e in bench.spectrum().entries], bench.final_latents(seed, label)
        data = exports.latents_npz(names, [z[0].numpy() for z in levels])
        return saved_file(data, f"{bench.name}-seed{seed}-latents", "npz")

    def figure(self, what, level, form, model, seed, label, steps, **bands) -> str:
        """One figure: PNG and SVG are drawn by the page itself, HTML is made here."""
        if form not in FIGURE_FORMATS:
            raise UserError(f"A figure is saved as {', '.join(FIGURE_FORMATS)}: choose one of them.", "format")
        bench, entry = self.library.get(model), self._entry(model, level)
        path = self._path(model, seed, label, steps) if what == "error" else None
        figure = self._drawn(what, entry, path, model, (bands["low"], bands["high"]), bands["order"])
        names = {"sorted-alpha": f"{bench.name}-{what}", "error": f"{bench.name}-seed{seed}-error"}
        name = names.get(what, f"{bench.name}-{what}-{entry.name}")
        if form != "html":
            return saved_figure(figure, name, form)
        title = next(text for text, key in DATA_FIGURES if key == what)
        return saved_file(figure_html(figure, title).encode(), name, form)

    def paper_figure(self, paper, level, model, seed, label, **bands) -> str:
        """A figure for a paper, as PDF, drawn from the result itself."""
        from analysis.figures import publication  # only here: matplotlib takes a while to import

        bench, edges, order = self.library.get(model), (bands["low"], bands["high"]), bands["order"]
        if paper == "spectrum":
            entry = self._entry(model, level)
            figure = publication.spectrum(bench.spectrum(), levels=(entry.index,), edges=edges, order=order)
        elif paper == "cumulative-effect":
            seeds = tuple(range(seed, min(seed + PAPER_SEEDS, MAX_SEED + 1)))
            request = EffectRequest(seeds, fitting_label(bench, label), edges, order)
            figure = publication.cumulative_effect(bench.cumulative_effect(request), order)
        else:
            raise UserError("There is no such figure: choose one of the list.", "figure")
        return saved_file(publication.save(figure), f"{bench.name}-{paper}", "pdf")

    def report(self, level, model, seed, label, steps, **bands) -> str:
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
        return TrajectoryRequest(seed, fitting_label(self.library.get(model), label), steps)

    def _mask(self, model: str, path: TrajectoryRequest, bands: dict) -> MaskRequest:
        known = len(self.library.get(model).spectrum().entries)
        touched = tuple(i for i in bands["levels"] or () if i < known)
        gains = tuple(bands[name] for name in ("small", "middle", "large"))
        return MaskRequest(path.seed, path.label, (bands["low"], bands["high"]), gains, bands["order"], touched)

    def _drawn(self, what, entry, path, model: str, edges: tuple[float, float], order: str) -> go.Figure:
        if what == "eigenvalues":
            return figures.eigenvalue_plane(entry, edges, order)
        if what == "sorted-alpha":
            return figures.sorted_real_parts(self.library.get(model).spectrum())
        if what == "alpha-map":
            return figures.position_map(entry.alpha.mean(axis=0), f"α of {entry.name}, mean over pairs")
        if what == "beta-map":
            unit = "rad per unit τ"
            return figures.position_map(entry.beta.mean(axis=0), f"β of {entry.name}, mean over pairs", unit)
        if what != "error":
            raise UserError("There is no such figure: choose one of the list.", "figure")
        walked = self.library.get(model).trajectory(path)
        if walked.mse is None:
            raise UserError("This model has no teacher to compare with: choose another figure.", "teacher")
        return figures.error_curve(walked)


def _lay_out(levels: dict) -> DownloadControls:
    parts: dict = {}
    with gr.Accordion("Save & export", open=False, elem_id="export"):
        gr.HTML(
            '<p class="ks-line">Files of what you look at now, made when you ask: the model, seed and class above, the '
            "steps of the trajectory, the bands of the Spectrum tab. Every plot also has a camera (PNG) and "
            "a disk (SVG) in its own bar.</p>"
        )
        with gr.Row(elem_classes="ks-buttons"):
            for part, text, name in (
                ("report", "Report (HTML)", "report"), ("large", f"Picture, {LARGE_SIDE} px (PNG)", "large"),
                ("animation", "Trajectory (GIF)", "gif"), ("beside", "Beside the teacher (GIF)", "beside"),
                ("film", "Beside the teacher (MP4)", "film"),
                ("latents", "Latents (NPZ)", "latents"), ("modes", "Modes (CSV)", "csv"),
                ("spectrum", "Spectrum (NPZ)", "npz"), ("site", "Web page (ZIP)", "site"),
            ):  # fmt: skip
                variant = "primary" if part == "report" else "secondary"
                there = part != "film" or exports.films_mp4()
                parts[part] = gr.Button(
                    text, size="sm", variant=variant, min_width=120, elem_id=f"export-{name}", visible=there
                )
        parts["smooth"] = gr.Checkbox(
            label="smooth the large picture", info="else every pixel is a square", elem_id="export-smooth"
        )
        parts["what"] = gr.Dropdown(
            list(DATA_FIGURES), value=DATA_FIGURES[0][1], label="Figure", info="what is drawn", elem_id="export-what",
            filterable=False,
        )  # fmt: skip
        parts["level"] = gr.Dropdown(
            levels["choices"], value=levels["value"], label="Level", info="of the figure and the report",
            elem_id="export-level", filterable=False,
        )  # fmt: skip
        parts["form"] = gr.Radio(
            [(f.upper(), f) for f in FIGURE_FORMATS], value="png", label="Format", info="HTML keeps zoom and hover",
            elem_id="export-format",
        )  # fmt: skip
        parts["figure"] = gr.Button("Save the figure", size="sm", min_width=120, elem_id="export-figure")
        parts["paper"] = gr.Dropdown(
            list(PAPER_FIGURES), value=PAPER_FIGURES[0][1], label="Figure for a paper", elem_id="export-paper",
            info="with the level above and the bands of Look inside", filterable=False,
        )  # fmt: skip
        parts["paper_figure"] = gr.Button("Figure for a paper (PDF)", size="sm", min_width=120, elem_id="export-pdf")
        parts["curve"] = gr.Dropdown(
            list(SEED_CURVES), value=SEED_CURVES[0][1], label="Curve over seeds", elem_id="export-curve",
            filterable=False,
            info="mean and 95 % interval of the mean, with the steps, bands and mix that are set",
        )  # fmt: skip
        parts["seeds"] = gr.Slider(
            2, batches.MAX_BATCH, START_BATCH, step=1, label="Seeds", info="from the header's on", buttons=["reset"],
            elem_id="export-seeds",
        )  # fmt: skip
        parts["batch"] = gr.Button("Curve over seeds (CSV)", size="sm", min_width=120, elem_id="export-batch")
        parts["done"] = saver(elem_id="export-done")
    parts["opened"] = gr.Button(visible="hidden", elem_id="opened-share")
    return DownloadControls(**parts)


def build_downloads(page: Page) -> DownloadControls:
    """Lay the panel out and wire it."""
    source, files = page.work.source, Downloads(page.work.library, page.work.bounded(SITE_SECONDS))
    c = _lay_out(files.levels(source.start[0]))
    wired = {"outputs": c.done, **MODEL_QUEUE, **PRIVATE, "show_progress": "minimal"}
    path = {**source.named, "steps": page.built["generate"].controls.steps}
    bands = page.built["spectrum"].controls.named(*CONTROLS)
    mixing = page.built["edit"].controls.named(*SETTING) if "edit" in page.built else {}
    edit = {f"{OF_EDIT}{name}": part for name, part in mixing.items()}
    c.opened.click(
        guarded(files.levels), source.model, c.level, trigger_mode="multiple", queue=False, show_progress="hidden",
        **PRIVATE,
    )  # fmt: skip
    c.modes.click(guarded(files.modes), source.model, **wired)
    c.spectrum.click(guarded(files.spectrum), source.model, **wired)
    c.site.click(guarded(files.site), source.model, **{**wired, **SITE_QUEUE, "show_progress": "full"})
    c.beside.click(guarded(files.beside), inputs_kwargs=path, **wired)
    c.film.click(guarded(files.film), inputs_kwargs=path, **wired)
    c.batch.click(
        guarded(files.batch), inputs_kwargs={**c.named("curve", "seeds"), **path, **bands, **edit},
        **{**wired, **SITE_QUEUE, "show_progress": "full"},
    )  # fmt: skip
    c.large.click(guarded(files.large), inputs_kwargs={**source.named, "smooth": c.smooth}, **wired)
    c.latents.click(guarded(files.latents), inputs_kwargs=source.named, **wired)
    c.animation.click(guarded(files.animation), inputs_kwargs=path, **wired)
    c.figure.click(
        guarded(files.figure), inputs_kwargs={**c.named("what", "level", "form"), **path, **bands}, **wired
    )  # fmt: skip
    c.paper_figure.click(
        guarded(files.paper_figure), inputs_kwargs={**c.named("paper", "level"), **source.named, **bands}, **wired
    )  # fmt: skip
    c.report.click(guarded(files.report), inputs_kwargs={**c.named("level"), **path, **bands}, **wired)
    return c
