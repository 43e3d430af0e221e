"""Questions about forecasts of time series: frozen dataclasses; the answers are in `results_series`.

Ranges are checked here; what depends on the world (its horizon) is checked by `analysis.series_bench`.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.errors import UserError
from analysis.requests import MAX_SEED, real, several, whole
from analysis.requests_flow import MAX_GAMMA, MOMENTUM, check_noise, one_of
from analysis.series_scores import METHOD, NFE
from flow_core.series_model import METHODS as METHODS

MAX_HORIZON, MIN_MEMBERS, MAX_MEMBERS, MAX_NFE, MAX_ORDER = 200, 2, 50, 50, 3
MIN_FRAMES, MAX_FRAMES = 64, 2000


def name_of(value) -> str:
    """The name of a model as it came from outside; "" is the first of the list."""
    if not isinstance(value, str):
        raise UserError("A model is named by a text.")
    return value


@dataclass(frozen=True)
class ForecastRequest:
    """An ensemble from one start of the held-out part.

    Attributes:
        model: a name; "" for the first.
        start: where in the held-out part, 0 = its first start, 1 = its last.
        horizon: frames, from 1 to the world's bound (at most 200); 0 for the world's usual number.
        members: 2 to 50.
        nfe: network calls a frame, 1 to 50.
        method: one of `flow_core.series_model.METHODS`.
        gammas: momentum weights, -100 to 100: up to three for "published" and "momentum", of which "matched" reads
            the first (0 or more); other methods read none.
        seed: of the noise.
    """

    model: str = ""
    start: float = 0.5
    horizon: int = 0
    members: int = 20
    nfe: int = NFE
    method: str = METHOD
    gammas: tuple[float, ...] = (0.5,)
    seed: int = 0

    def __post_init__(self) -> None:
        gammas = several(self.gammas, MAX_ORDER, "The momentum weights")
        clean = {
            "model": name_of(self.model),
            "start": real(self.start, 0, 1, "The start"),
            "horizon": whole(self.horizon, 0, MAX_HORIZON, "The horizon"),
            "members": whole(self.members, MIN_MEMBERS, MAX_MEMBERS, "The number of members"),
            "nfe": whole(self.nfe, 1, MAX_NFE, "The number of network calls"),
            "method": one_of(self.method, METHODS, "The method"),
            "gammas": tuple(real(g, -MAX_GAMMA, MAX_GAMMA, "Each momentum weight") for g in gammas),
            "seed": whole(self.seed, 0, MAX_SEED, "The seed"),
        }
        check_noise(clean["method"], clean["gammas"][0])
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @property
    def weights(self) -> tuple[float, ...]:
        """The gammas that the method reads."""
        if self.method not in MOMENTUM:
            return ()
        return self.gammas[:1] if self.method == "matched" else self.gammas


@dataclass(frozen=True)
class LongRunRequest:
    """Free runs, and what they share with the real series.

    Attributes:
        model: a name; "" for the first.
        frames: of each run, 64 to 2000.
    """

    model: str = ""
    frames: int = 500

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", name_of(self.model))
        object.__setattr__(self, "frames", whole(self.frames, MIN_FRAMES, MAX_FRAMES, "The number of frames"))
