"""Questions about flows of pictures: frozen dataclasses; the answers are in `results_pictures`.

Ranges are checked here; what depends on the net (its classes, the noise of its path) is checked by
`analysis.picture_bench`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.errors import UserError
from analysis.requests import MAX_SEED, real, several, whole
from analysis.requests_flow import MAX_GAMMA, MAX_NFE, MOMENTUM, SAMPLERS, Flow2DRequest, check_noise, one_of
from flow_core.samplers import GRIDS

PATHS = ("idff", "otcfm")
NOISY = ("matched", "bridge")  # samplers that draw noise of their own
MAX_PICTURES, MAX_SETTINGS, MAX_SWEEP_VALUES = 8, 4, 24
MAX_WORK = 600  # calls times pictures: some ten seconds of one core with a net of 3 M parameters
# what one call costs with derivatives, in plain calls, rounded up from 2.4, 5.8 and 4.7 (3 M parameters, one core)
ORDER_COST, TAYLOR_COST = {1: 1, 2: 3, 3: 6}, 5


@dataclass(frozen=True)
class FlowPicturesRequest:
    """One setting: pictures from standard normal noise (t = 0) to data (t = 1).

    Attributes:
        data: what the net was trained on, "shapes" or "cifar10" of those that ship.
        path: of the net, "idff" or "otcfm".
        sampler: as in `Flow2DRequest`; those with momentum or noise need a path with noise, "idff".
        nfe: network calls, 1 to 50.
        grid: of the steps, "uniform" or "cosine".
        gamma1, gamma2, gamma3: momentum weights, -100 to 100.
        seeds: 1 to 8, one a picture; equal seeds start from equal noise, whatever the net and the sampler.
        label: class index, -1 for none.
    """

    data: str = "shapes"
    path: str = "idff"
    sampler: str = "euler"
    nfe: int = 5
    grid: str = "uniform"
    gamma1: float = 0.5
    gamma2: float = 0.0
    gamma3: float = 0.0
    seeds: tuple[int, ...] = (0,)
    label: int = -1

    def __post_init__(self) -> None:
        seeds = several(self.seeds, MAX_PICTURES, "The seeds")
        clean = {
            "path": one_of(self.path, PATHS, "The path"),
            "sampler": one_of(self.sampler, SAMPLERS, "The sampler"),
            "nfe": whole(self.nfe, 1, MAX_NFE, "The number of network calls"),
            "grid": one_of(self.grid, tuple(GRIDS), "The grid of the steps"),
            "seeds": tuple(whole(s, 0, MAX_SEED, "Each seed") for s in seeds),
            "label": whole(self.label, -1, 9999, "The class (-1 for none)"),
            **{g: real(getattr(self, g), -MAX_GAMMA, MAX_GAMMA, g) for g in ("gamma1", "gamma2", "gamma3")},
        }
        for name, value in clean.items():
            object.__setattr__(self, name, value)
        check_noise(self.sampler, self.gamma1)
        if self.work > MAX_WORK:
            raise UserError(
                f"This costs about as much as {self.work:,} network calls for one picture, and at most {MAX_WORK} are "
                f"made: ask for fewer calls or pictures{self._cheaper}."
            )

    gammas = Flow2DRequest.gammas  # the same rule: the weights that the sampler reads, without trailing zeros

    @property
    def work(self) -> int:
        """Calls times pictures, with what differentiates the net counted in calls."""
        cost = TAYLOR_COST if self.sampler == "taylor2" and self.nfe > 1 else ORDER_COST[max(len(self.gammas), 1)]
        return self.nfe * len(self.seeds) * cost

    @property
    def _cheaper(self) -> str:
        if self.sampler == "taylor2":
            return ", or choose a sampler without derivatives"
        return ", or set gamma2 and gamma3 to 0" if len(self.gammas) > 1 else ""


@dataclass(frozen=True)
class PictureSweepRequest:
    """Distance to the exact flow of several settings over NFE.

    Attributes:
        settings: 1 to 4 of the same seeds, at least two of them.
        nfes: rising network calls, 1 to 50, at most 24.
    """

    settings: tuple[FlowPicturesRequest, ...]
    nfes: tuple[int, ...] = (1, 2, 3, 4, 5, 7, 10, 15, 20)

    def __post_init__(self) -> None:
        settings = several(self.settings, MAX_SETTINGS, "The settings")
        if any(not isinstance(s, FlowPicturesRequest) for s in settings):
            raise UserError("Each setting must be a question about a flow of pictures.")
        if len({s.seeds for s in settings}) > 1 or len(set(settings[0].seeds)) < 2:
            raise UserError("All settings of a sweep must share their seeds, and there must be two or more of these.")
        nfes = several(self.nfes, MAX_SWEEP_VALUES, "The numbers of network calls")
        nfes = tuple(sorted({whole(n, 1, MAX_NFE, "Each number of network calls") for n in nfes}))
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "nfes", nfes)

    @staticmethod
    def at(setting: FlowPicturesRequest, nfe: int) -> FlowPicturesRequest | None:
        """A setting with another number of calls; None where that is dearer than one question may be."""
        try:
            return replace(setting, nfe=nfe)
        except UserError:
            return None


def needs_noise(sampler: str) -> bool:
    """Whether a sampler is another than Euler's only on a path with noise."""
    return sampler in MOMENTUM or sampler in NOISY
