"""HTTP endpoints without a page: the Workbench's questions for Python, JavaScript and curl.

Pictures are base64 PNG strings, tables are nested lists. Every range is checked by the request dataclasses; what is
out of range comes back as one sentence. Clients that post to `/gradio_api/call/NAME` themselves give all arguments.
"""

from __future__ import annotations

import gradio as gr

from analysis.core.fields import whole
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from ui.api.codec import as_tuple, listed, pngs
from ui.components.html import one_line, png_base64
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE
from ui.source import readable


class Endpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def models(self) -> list[dict]:
        """All models: name, description, side of pictures in pixels, classes, number of parameters, card."""
        infos = [self.library.info(name) for name in readable(self.library)]
        return [
            {
                "name": i.name,
                "description": one_line(i),
                "side": i.side,
                "classes": list(i.classes),
                "parameters": i.parameters,
                "card": i.card,
            }
            for i in infos
        ]

    def generate(self, model: str = "", seeds: list[int] = [0], label: int = -1) -> dict:  # noqa: B006
        """Pictures in one network call each.

        model: name, "" for the default. seeds: 1 to 64 whole numbers. label: class index, -1 for none. Returns
        pictures (base64 PNG, in the order of the seeds), nfe (network calls a picture), seconds.
        """
        result = self.library.get(model).generate(GenerateRequest(as_tuple(seeds, "The seeds"), label))
        return {"pictures": pngs(result.pictures), "nfe": result.nfe, "seconds": result.seconds}

    def trajectory(self, model: str = "", seed: int = 0, label: int = -1, steps: int = 18) -> dict:
        """One noise followed to its picture, Koopman path beside teacher.

        steps: 4 to 40 noise levels. Returns sigma, tau, koopman / denoised / state (base64 PNG a level, noise
        first), final (teacher's picture), mse, lpips (between koopman and denoised), nfe_model, nfe_teacher; null
        where there is no teacher or no LPIPS backbone.
        """
        r = self.library.get(model).trajectory(TrajectoryRequest(seed, label, steps))
        return {
            "sigma": listed(r.sigma),
            "tau": listed(r.tau),
            "koopman": pngs(r.koopman),
            "denoised": pngs(r.denoised),
            "state": pngs(r.state),
            "final": None if r.final is None else png_base64(r.final),
            "mse": listed(r.mse),
            "lpips": listed(r.lpips),
            "nfe_model": r.nfe_model,
            "nfe_teacher": r.nfe_teacher,
        }

    def spectrum(self, model: str = "", level: int = 0) -> dict:
        """Eigenvalues alpha +- i beta of one level, per unit tau.

        level: index in `levels`. Returns levels (name, shape (C, h, w), mean and standard deviation of alpha),
        level, name, alpha and beta as [pair][row][column], warp (the time variable).
        """
        result = self.library.get(model).spectrum()
        entry = result.entries[whole(level, 0, len(result.entries) - 1, "The level")]
        levels = [
            {
                "name": e.name,
                "shape": list(e.shape),
                "alpha_mean": float(e.alpha.mean()),
                "alpha_std": float(e.alpha.std()),
            }
            for e in result.entries
        ]
        return {
            "levels": levels,
            "level": entry.index,
            "name": entry.name,
            "alpha": listed(entry.alpha),
            "beta": listed(entry.beta),
            "warp": result.warp,
        }

    def mask_bands(
        self,
        model: str = "",
        seed: int = 0,
        label: int = -1,
        edges: list[float] = [1 / 3, 2 / 3],  # noqa: B006
        gains: list[float] = [1.0, 1.0, 1.0],  # noqa: B006
        order: str = "alpha",
        levels: list[int] = [],  # noqa: B006
    ) -> dict:
        """Weigh bands of modes and decode.

        edges: rising quantiles in [0, 1]; n edges make n + 1 bands by rank of alpha within each level. gains:
        retention of each band, 0 to 2. order: "alpha" or "abs". levels: indices to touch, [] for all. Returns
        full, masked, difference (base64 PNG), magnification of the difference, share of latent energy and modes of
        each band, mse.
        """
        request = MaskRequest(
            seed, label, as_tuple(edges, "The band edges"), as_tuple(gains, "The retentions"), order,
            as_tuple(() if levels is None else levels, "The levels"),
        )  # fmt: skip
        r = self.library.get(model).mask_bands(request)
        return {
            "full": png_base64(r.full),
            "masked": png_base64(r.masked),
            "difference": png_base64(r.difference),
            "magnification": r.magnification,
            "share": listed(r.share),
            "modes": listed(r.modes),
            "mse": r.mse,
        }


def add_endpoints(library: ModelLibrary) -> None:
    """Register all endpoints with the page under construction."""
    endpoints = Endpoints(library)
    for name in ("models", "generate", "trajectory", "spectrum", "mask_bands"):
        gr.api(guarded(getattr(endpoints, name)), api_name=name, **MODEL_QUEUE)
