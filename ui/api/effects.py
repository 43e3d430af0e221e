"""HTTP endpoints about effects, modes, linearity, factors and surgery: the Workbench's questions without a page.

As in `ui.api.endpoints`: pictures are base64 PNG strings, tables are nested lists; what has no number (an infinite
half-life, the spread over one seed) is null. The work of a call is bounded, and a call that lasts longer than a minute
is given up.
"""

from __future__ import annotations

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import real
from analysis.workbench.effects import EffectRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import AttributionRequest, LinearityRequest
from analysis.workbench.spectrum import ModeRequest, SurgeryRequest
from ui.api.codec import plain
from ui.components.html import png_base64
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE
from ui.server.runs import LONG_QUEUE, deadline

PATIENCE = 60.0  # seconds a call
MAX_DECODED = 32  # seeds times decoded times: each costs 1 + bands + levels decodings
MAX_WALK = 96  # trajectories times noise levels: each costs about 2 teacher's calls, 3 encodings and 4 decodings
MAX_PAIRS = 128  # of scenes a factor
THIRDS = [1 / 3, 2 / 3]


class EffectEndpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def cumulative_effect(
        self,
        model: str = "",
        seeds: list[int] = [0],  # noqa: B006
        label: int = -1,
        edges: list[float] = THIRDS,
        order: str = "alpha",
        kind: str = "displacement",
        times: int = 64,
        decoded_times: int = 0,
    ) -> dict:
        """What every band and level adds from noise to picture, averaged over seeds.

        model: name, "" for the default. seeds: 1 to 64. label: class index, -1 for none. edges: rising quantiles; n
        edges make n + 1 bands. order: "alpha" or "abs". kind: "displacement", "energy" or "arc". times: 2 to 256,
        equally spaced in tau. decoded_times: 0 to 16 (seeds times decoded times at most 32). Returns kind, names of
        the levels, tau (1 = noise, 0 = picture), sigma, bands [band][time], bands_sd (null for one seed), levels
        [level][time], joint [level][band][time], moves; decoded_tau, decoded_bands, decoded_levels: mean squared
        picture change without the band or level, null where not asked for.
        """
        request = EffectRequest(seeds, label, edges, order, kind, times, decoded_times)
        if len(request.seeds) * request.decoded_times > MAX_DECODED:
            raise UserError(f"Seeds times decoded times must stay within {MAX_DECODED} here: ask for fewer of either.")
        r = self.library.get(model).cumulative_effect(request, deadline(PATIENCE))
        arrays = ("tau", "sigma", "bands", "bands_sd", "levels", "joint")
        decoded = ("decoded_tau", "decoded_bands", "decoded_levels")
        return {
            "kind": r.kind,
            "names": list(r.names),
            "moves": r.moves,
            **{name: plain(getattr(r, name)) for name in (*arrays, *decoded)},
        }

    def mode(
        self,
        model: str = "",
        seed: int = 0,
        label: int = -1,
        level: int = 0,
        modes: list[int] = [0],  # noqa: B006
        tau: float = 0.0,
        times: int = 64,
    ) -> dict:
        """What a mode, or a group of modes of one level, is and does.

        level: index, see /spectrum. modes: 1 to 4096 flat indices (pair h + row) w + column. tau: time of the
        pictures, 0 to 1, 0 = final. times: of the energy, 2 to 256. Returns level, name, index, pair, row, column,
        alpha, beta, half_life (of the norm, in tau; doubling time where alpha < 0), period (null where infinite), tau,
        energy [mode][time], share of the group in all energy, full, without, contribution (base64 PNG), magnification
        of the contribution, mse.
        """
        r = self.library.get(model).mode(ModeRequest(seed, level, modes, label, tau, times))
        arrays = ("index", "pair", "row", "column", "alpha", "beta", "half_life", "period", "tau", "energy", "share")
        return {
            "level": r.entry,
            "name": r.name,
            **{name: plain(getattr(r, name)) for name in arrays},
            **{name: png_base64(getattr(r, name)) for name in ("full", "without", "contribution")},
            "magnification": r.magnification,
            "mse": r.mse,
        }

    def linearity(
        self,
        model: str = "",
        seeds: list[int] = [0, 1, 2, 3],  # noqa: B006
        label: int = -1,
        steps: int = 12,
        decoded: bool = True,
        dmd_rank: int = 8,
    ) -> dict:
        """How linear the latents are along the teacher's trajectories, with two yardsticks and exact DMD.

        seeds: of the trajectories. steps: noise levels, 4 to 24 (seeds times steps at most 96). decoded: measure
        pictures, too. dmd_rank: 0 to 64, 0 for none. Returns names of the levels, tau, sigma, learned / identity /
        fitted [level][time]: relative error of the operator, of standing still, of the best alpha and beta;
        differences: {operator: [level][time]} the same with the trajectories' mean taken off, and common [level][time]
        the share of energy they share, both null for one trajectory; spread over trajectories (null for one); mse,
        lpips: {operator: [time]} of pictures or null; dmd a level: alpha, beta, amplitude, captured, residual, or null.
        """
        request = LinearityRequest(seeds, label, steps, decoded, dmd_rank)
        if len(request.seeds) * request.steps > MAX_WALK:
            raise UserError(f"Seeds times steps must stay within {MAX_WALK} here: ask for fewer of either.")
        r = self.library.get(model).linearity(request, deadline(PATIENCE))
        arrays = ("tau", "sigma", "learned", "identity", "fitted", "spread")
        return {
            "names": list(r.names),
            **{name: plain(getattr(r, name)) for name in arrays},
            **{name: _each(getattr(r, name)) for name in ("differences", "mse", "lpips")},
            "common": plain(r.common),
            "dmd": None if r.dmd is None else [
                {
                    **{name: plain(getattr(d, name)) for name in ("alpha", "beta", "amplitude")},
                    "captured": d.captured,
                    "residual": d.residual,
                }
                for d in r.dmd
            ],
        }  # fmt: skip

    def attribution(
        self,
        model: str = "",
        pairs: int = 64,
        sigma: float = 0.002,
        carried: bool = False,
        edges: list[float] = THIRDS,
        order: str = "alpha",
        rows: list[str] = [],  # noqa: B006
        seed: int = AttributionRequest.seed,
    ) -> dict:
        """Which band and which level sees which factor of drawn scenes.

        pairs: of scenes that differ in one factor, 8 to 128. sigma: noise level to encode at, 0.002 (clean) to 80.
        carried: compare after the flow to the picture. edges, order: of the bands. rows: factors, [] for all;
        "everything" (two unrelated scenes) is what the others are to be compared with. seed: of scenes, noise and
        bootstrap; scenes below 2,000,000,000 may have been trained on. Returns rows, names of the levels, pairs that
        differ, share [row][level][band] of the squared latent difference; bands [row][band] and levels [row][level]
        with bands_low, bands_high, levels_low, levels_high: 95 % bootstrap intervals.
        """
        request = AttributionRequest(pairs, sigma, carried, edges, order, rows, seed)
        real(request.pairs, 8, MAX_PAIRS, "The number of pairs")
        r = self.library.get(model).attribution(request, deadline(PATIENCE))
        arrays = [f"{of}{end}" for of in ("bands", "levels") for end in ("", "_low", "_high")]
        return {
            "rows": list(r.rows),
            "names": list(r.names),
            **{name: plain(getattr(r, name)) for name in ("pairs", "share", *arrays)},
        }

    def surgery(
        self,
        model: str = "",
        seed: int = 0,
        label: int = -1,
        edges: list[float] = THIRDS,
        order: str = "alpha",
        alpha_scale: list[float] = [],  # noqa: B006
        alpha_shift: list[float] = [],  # noqa: B006
        beta_scale: list[float] = [],  # noqa: B006
        beta_shift: list[float] = [],  # noqa: B006
        levels: list[int] = [],  # noqa: B006
        tau: float = 0.0,
    ) -> dict:
        """The picture with other eigenvalues: alpha' = scale alpha + shift and beta likewise, one number a band.

        alpha_scale, beta_scale: -4 to 4; alpha_shift: -8 to 8; beta_shift: -25 to 25, per unit tau; [] changes
        nothing. levels: indices to operate on, [] for all. tau: time to decode at, 0 = picture. Returns full, altered,
        difference (base64 PNG), magnification, mse, modes operated on a band, held: how many the bound |alpha| <= 8
        held back, growth: largest factor by which a mode grows on the way.
        """
        request = SurgeryRequest(
            seed, label, edges, order, alpha_scale, alpha_shift, beta_scale, beta_shift, levels, tau
        )
        r = self.library.get(model).surgery(request)
        return {
            **{name: png_base64(getattr(r, name)) for name in ("full", "altered", "difference")},
            "magnification": r.magnification,
            "mse": r.mse,
            "modes": plain(r.modes),
            "held": r.held,
            "growth": r.growth,
        }


def _each(values: dict[str, np.ndarray] | None) -> dict[str, list] | None:
    return None if values is None else {name: plain(v) for name, v in values.items()}


def add_effect_endpoints(library: ModelLibrary) -> None:
    """Register all endpoints with the page under construction; the long ones wait in their own queue."""
    endpoints = EffectEndpoints(library)
    for name, queue in (
        ("cumulative_effect", LONG_QUEUE), ("mode", MODEL_QUEUE), ("linearity", LONG_QUEUE),
        ("attribution", LONG_QUEUE), ("surgery", MODEL_QUEUE),
    ):  # fmt: skip
        gr.api(guarded(getattr(endpoints, name)), api_name=name, **queue)
