"""HTTP endpoints of editing and restoration; pictures and masks come in as base64 text, see `ui.api.endpoints`."""

from __future__ import annotations

import math
from dataclasses import asdict

import gradio as gr

from analysis.koopman.editing import EditNumbers
from analysis.koopman.restoration import HoleNumbers
from analysis.workbench.editing import ColorizeRequest, EditRequest, InpaintRequest, RestoreResult
from analysis.workbench.library import ModelLibrary
from foundation.pictures import limit_decoders
from ui.api.codec import as_tuple, listed, pngs
from ui.components.html import png_base64
from ui.components.picture_chooser import open_base64, open_mask_base64, side_of
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE


def _numbers(numbers: EditNumbers | HoleNumbers | None) -> dict | None:
    """As JSON: an infinite PSNR is null, since JSON has no infinity."""
    if numbers is None:
        return None
    return {k: v if v is None or math.isfinite(v) else None for k, v in asdict(numbers).items()}


def _restored(result: RestoreResult, frames: bool) -> dict:
    return {
        "picture": png_base64(result.picture),
        "given": png_base64(result.given),
        "frames": pngs(result.frames) if frames is True else [],
        "sigma": listed(result.sigma),
        "nfe": result.nfe,
        "numbers": _numbers(result.numbers),
    }


class EditEndpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def edit(
        self,
        model: str = "",
        seed: int = 0,
        label: int = -1,
        reference: str = "seed",
        reference_seed: int = 1,
        reference_label: int = -1,
        picture: str = "",
        encoding: str = "noise",
        noise_seed: int = 0,
        tau: float = 0.5,
        edges: list[float] = [1 / 3, 2 / 3],  # noqa: B006
        bands: list[int] = [0],  # noqa: B006
        order: str = "alpha",
        ratio: float = 0.5,
        region: str = "lower-left-triangle",
        mask: str = "",
    ) -> dict:
        """Mix bands of a reference into the picture of a seed, beside a control that mixes all bands.

        reference: "seed", "scene" (drawn, numbered by reference_seed) or "picture". picture: base64 PNG, JPEG or WebP,
        at most 4 MB. encoding: "noise", "ode" or "latent", the last two for seeds only. tau: edit time, 0 picture to 1
        noise. edges, order: the bands as in /mask_bands. bands: numbers of those that are mixed. ratio: 0 to 1.
        region: "whole", "lower-half", "lower-left-triangle", "lower-left-quadrant" or "painted". mask: for "painted",
        base64 picture, white = mix here. Returns original, edited, control, reference, encoded (base64 PNG), strip at
        strip_ratios, sigma of tau, share of modes mixed, numbers and numbers_control (outside: mean squared change
        outside the region; high_correlation with the reference inside; low_distance to the original; null where not
        defined).
        """
        side = side_of(self.library, model)
        request = EditRequest(
            seed,
            label,
            reference,
            reference_seed,
            reference_label,
            open_base64(picture, side, "The reference picture") if picture or reference == "picture" else None,
            encoding,
            noise_seed,
            tau,
            as_tuple(edges, "The band edges"),
            as_tuple(bands, "The bands"),
            order,
            ratio,
            region,
            open_mask_base64(mask, side, "The painted region") if mask or region == "painted" else None,
        )
        r = self.library.get(model).edit(request)
        return {
            "original": png_base64(r.original),
            "edited": png_base64(r.edited),
            "control": png_base64(r.control),
            "reference": png_base64(r.reference),
            "encoded": png_base64(r.encoded),
            "strip": pngs(r.strip),
            "strip_ratios": list(r.strip_ratios),
            "sigma": r.sigma,
            "share": r.share,
            "numbers": _numbers(r.numbers),
            "numbers_control": _numbers(r.numbers_control),
        }

    def inpaint(
        self,
        model: str = "",
        picture: str = "",
        mask: str = "",
        seed: int = 0,
        label: int = -1,
        steps: int = 20,
        method: str = "iterative",
        tau: float = 0.5,
        truth: bool = True,
        frames: bool = False,
    ) -> dict:
        """Fill the hole of a picture.

        picture: base64 PNG, JPEG or WebP, at most 4 MB; its central square is brought to the model's size. mask:
        base64 picture, white = UNKNOWN. seed: of what is made up. steps: 1 to 40. method: "iterative" or "latent" (one
        step, the known picture encoded at tau). truth: whether the picture is right inside the hole, too, so that the
        result can be measured. frames: also give every step. Returns picture, given, frames (base64 PNG), sigma of the
        steps, nfe (network calls), numbers (psnr in dB over the hole, null where it is infinite since nothing differs;
        ssim; lpips, null without a backbone), which are null without truth.
        """
        side = side_of(self.library, model)
        request = InpaintRequest(
            open_base64(picture, side), open_mask_base64(mask, side), seed, label, steps, method, tau, truth
        )
        return _restored(self.library.get(model).inpaint(request), frames)

    def colorize(
        self,
        model: str = "",
        picture: str = "",
        seed: int = 0,
        label: int = -1,
        steps: int = 20,
        truth: bool = True,
        frames: bool = False,
    ) -> dict:
        """Make up the colours of a picture, of which only the luma is looked at.

        Arguments and result as in /inpaint; truth: whether the picture's own colours are right.
        """
        side = side_of(self.library, model)
        request = ColorizeRequest(open_base64(picture, side), seed, label, steps, truth)
        return _restored(self.library.get(model).colorize(request), frames)


def add_edit_endpoints(library: ModelLibrary) -> None:
    """Register the endpoints with the page under construction."""
    limit_decoders()
    endpoints = EditEndpoints(library)
    for name in ("edit", "inpaint", "colorize"):
        gr.api(guarded(getattr(endpoints, name)), api_name=name, **MODEL_QUEUE)
