"""One self-contained HTML report of what is looked at: a seed's picture, its way there, the spectrum, the bands."""

from __future__ import annotations

import numpy as np

from analysis import figures, recipes
from analysis.exports import Section, Table, report_html
from analysis.library import ModelInfo
from analysis.requests import MaskRequest, SpectrumResult, TrajectoryRequest, TrajectoryResult
from analysis.workbench import Workbench

STOPS = 6  # pictures of a trajectory that are shown
MOST_TEXT = 200  # characters of a value in a model's card


def picture_report(bench: Workbench, info: ModelInfo, path: TrajectoryRequest, mask: MaskRequest, level: int) -> str:
    """The report as HTML text; needs no network.

    Args:
        bench: the model.
        info: what its file says of itself.
        path: the seed and the teacher's steps.
        mask: bands of the same seed and what is kept of them.
        level: whose eigenvalues are drawn; the last one where the model has fewer.

    Raises:
        UserError: what the Workbench refuses.
    """
    spectrum = bench.spectrum()
    entry = spectrum.entries[min(max(level, 0), len(spectrum.entries) - 1)]
    walked = bench.trajectory(path)
    label = "no class" if path.label < 0 else bench.classes[path.label]
    plane = figures.eigenvalue_plane(entry, mask.edges, mask.order)
    sections = [
        Section(
            "Picture",
            (f"Model {bench.name}, seed {path.seed}, {label}; one network call.",),
            (("from noise in one call", walked.koopman[-1]),),
        ),
        _trajectory(walked),
        Section(
            "Spectrum",
            (f"Time variable: {spectrum.warp}. α < 0 grows on the way to the picture, α > 0 fades.",),
            tables=(_levels(spectrum),),
            figures=((f"Eigenvalues of {entry.name}", plane), ("Sorted α", figures.sorted_real_parts(spectrum))),
        ),
        _bands(bench, mask),
        Section("Model", tables=(_card(info),)),
        Section("Recipe of the trajectory", code=recipes.to_json(recipes.describe(path, bench))),
        Section("Recipe of the bands", code=recipes.to_json(recipes.describe(mask, bench))),
    ]
    return report_html(f"Koopman Studio: {bench.name}, seed {path.seed}", sections)


def _trajectory(walked: TrajectoryResult) -> Section:
    stops = np.unique(np.linspace(0, len(walked.sigma) - 1, STOPS).round().astype(int))
    pictures = [(f"Koopman path, σ = {walked.sigma[i]:.3g}", walked.koopman[i]) for i in stops]
    if walked.denoised is None:
        return Section("From noise to picture", ("This model has no teacher to compare with.",), tuple(pictures))
    pictures += [(f"teacher, denoised, σ = {walked.sigma[i]:.3g}", walked.denoised[i]) for i in stops]
    text = f"Koopman path: {walked.nfe_model} encoding. Teacher: {walked.nfe_teacher} network calls."
    curve = ("Koopman path against the teacher", figures.error_curve(walked))
    return Section("From noise to picture", (text,), tuple(pictures), figures=(curve,))


def _levels(spectrum: SpectrumResult) -> Table:
    rows = []
    for e in spectrum.entries:
        numbers = (float(f(v)) for v in (e.alpha, np.abs(e.beta)) for f in (np.mean, np.std))
        rows.append((e.name, "×".join(map(str, e.shape)), *numbers))
    return Table("Levels, per unit τ", ("level", "shape", "mean α", "sd α", "mean |β|", "sd |β|"), tuple(rows))


def _bands(bench: Workbench, mask: MaskRequest) -> Section:
    result = bench.mask_bands(mask)
    names = figures.band_names(len(mask.gains), mask.order)
    rows = tuple(
        (name, int(modes), f"{100 * float(share):.1f} %", float(gain))
        for name, modes, share, gain in zip(names, result.modes, result.share, mask.gains, strict=True)
    )
    edges = ", ".join(f"{e:.3g}" for e in mask.edges)
    where = "all levels" if not mask.entries else f"levels {', '.join(map(str, mask.entries))}"
    return Section(
        "Bands",
        (f"Edges at the quantiles {edges} within each level, {where}. MSE to all modes: {result.mse:.4g}.",),
        (
            ("all modes", result.full),
            ("kept bands", result.masked),
            (f"difference, magnified × {result.magnification:.3g}", result.difference),
        ),
        (Table("Bands", ("band", "modes", "energy", "kept"), rows),),
    )


def _card(info: ModelInfo) -> Table:
    """The card, its tables opened one level deep; what is longer still is cut."""
    rows = [("name", info.name), ("parameters", info.parameters), ("pictures", f"{info.side} × {info.side}")]
    for key, value in info.card.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for name, v in inner:
            text = v if isinstance(v, (int, float)) else str(v)
            cut = f"{text[:MOST_TEXT]} …" if isinstance(text, str) and len(text) > MOST_TEXT else text
            rows.append((f"{key} {name}".strip(), cut))
    return Table("From the model's file", ("", "value"), tuple(rows))
