"""A next-step flow for a time-series world: given a window of frames and the season, it draws the next frame.

    model = load("lorenz")
    forecast = model.forecast(history, context, horizon=20, members=10, nfe=4, method="multistep", seed=0)

What flows is the change from the last frame, in units of its spread over the training part, from independent noise; so
every field and sampler of 2-D flows serves here too. (The published next-frame flow starts at the last frame instead.)
On the torus the change is the one the short way round, the last frame enters by cosines and sines, and the sum is
wrapped: a change of more than half a turn in one step is the other way round. Of fields the coefficients of the leading
EOFs flow, and what these leave follows a Gaussian process of its own (`flow_core.series.eofs`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath

import numpy as np
import torch
from torch import Tensor, nn

from flow_core import samplers
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.series import eofs
from flow_core.series.scores import wrap
from flow_core.series.world import Windows, World
from foundation import noise
from foundation.files import checkpoints
from foundation.files.models import MODELS_DIR, find_model, load_model
from foundation.files.settings import build
from foundation.mistakes import Mistake
from foundation.randomness import derived_seed

GEOMETRIES = ("euclidean", "torus")
MAX_FIELD_CELLS = 100_000  # of a field
NUMBER_CODE = 16  # numbers of the vector that a frame number is looked up as


@dataclass(frozen=True)
class FrameConfig:
    """What a model sees and says.

    Attributes:
        world: spec for `flow_core.series.worlds.open_world`.
        history: frames of a window.
        dims: numbers of a frame.
        context: numbers known of the next frame in advance.
        geometry: "euclidean" or "torus".
        harmonics: cos(k a), sin(k a) for k = 1 ... harmonics of each angle of the last frame; torus only.
        field: (1, rows, columns) where frames are fields, whose leading EOFs' coefficients are the `dims` numbers.
        numbered: T, where the last context number is k / T of frame k (`alanine_in_sample` alone): a learned vector for
            each k, which is the published memory of a trajectory; 0 elsewhere.
        level: whether fields flow less the area mean of the window, which stays what it was for a whole forecast.
        seen: last frames of the window that the network sees, 0 for all.
    """

    world: str = "lorenz"
    history: int = 1
    dims: int = 3
    context: int = 0
    geometry: str = "euclidean"
    harmonics: int = 2
    field: tuple[int, ...] = ()
    numbered: int = 0
    level: bool = False
    seen: int = 0

    def __post_init__(self) -> None:
        limits = {"history": (1, 1000), "dims": (1, 4096), "context": (0, 100), "harmonics": (1, 20)}
        limits |= {"numbered": (0, 100_000), "seen": (0, self.history)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise Mistake(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.", name)
        if self.geometry not in GEOMETRIES:
            raise Mistake(f"geometry must be one of {', '.join(GEOMETRIES)}, not {self.geometry!r}.", "geometry")
        if self.field and (len(self.field) != 3 or min(self.field) < 1 or math.prod(self.field) > MAX_FIELD_CELLS):
            raise Mistake(
                f"field must be (1, rows, columns) of at most {MAX_FIELD_CELLS:,} cells, not {self.field!r}.", "field"
            )
        if self.numbered and not self.context:
            raise Mistake("numbered needs a context that tells the frame's number.", "numbered")
        if self.field and self.geometry == "torus":
            raise Mistake("field needs geometry 'euclidean': EOFs are sums, which angles have none of.", "field")
        if self.level and not self.field:
            raise Mistake("level is of fields, whose area mean it is: set it to false.", "level")

    def to_dict(self) -> dict:
        """Plain types, for JSON and checksums; what is newer than the shipped files is not mentioned at its default."""
        newer = {"level": False, "seen": 0}
        return {k: v for k, v in asdict(self).items() if k not in newer or v != newer[k]}

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame as the world has it."""
        return self.field or (self.dims,)

    @property
    def condition(self) -> int:
        """Numbers that the network is told beside x and t."""
        where = 2 * self.harmonics if self.geometry == "torus" else 1
        return self.dims * (where + (self.seen or self.history) - 1) + self.context


class ConditionedNet(nn.Module):
    """MLP with SiLU on (x, t, condition), smooth in x and t.

    Args:
        config: its size.
        condition: numbers of a condition.
        numbered: T where the last of these is k / T, 0 elsewhere: a learned vector of k enters too.
    """

    def __init__(self, config: PointConfig, condition: int, numbered: int = 0):
        super().__init__()
        self.config = config
        self.memory = nn.Embedding(numbered, NUMBER_CODE) if numbered else None
        condition += NUMBER_CODE if numbered else 0
        widths = [config.dims + 1 + 2 * config.frequencies + condition] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for cin, cout in itertools.pairwise(widths):
            layers += [nn.Linear(cin, cout), nn.SiLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(widths[-1], config.dims)

    def forward(self, x: Tensor, t: Tensor, level: Tensor, condition: Tensor) -> tuple[Tensor, ...]:
        """x (B, dims), t (B,), condition (B, C) -> one (B, dims); the noise level is told by t already."""
        del level
        if self.memory is not None:
            frames = self.memory.num_embeddings
            number = (condition[:, -1] * frames).round().clamp(0, frames - 1).long()
            condition = torch.cat([condition, self.memory(number)], 1)
        angle = math.pi * t[:, None] * torch.arange(1, self.config.frequencies + 1, dtype=x.dtype, device=x.device)
        return (self.head(self.body(torch.cat([x, t[:, None], angle.cos(), angle.sin(), condition], 1))),)


SERIES_KIND, SERIES_SUFFIX = "series", ".series.safetensors"
MAX_FORECAST_NUMBERS = 50_000_000  # of a forecast: members x starts x horizon x numbers of a frame


@dataclass(frozen=True)
class Forecast:
    """Attributes: members = float32 (M, N, L, *shape), normalised; nfe, derivatives = calls a frame, counted."""

    members: np.ndarray
    nfe: int
    derivatives: int


class SeriesModel(FlowModel):
    """(x, t, condition) -> Prediction of the scaled change to the next frame.

    Args:
        flow: a path with independent noise, predicting x1.
        network: size of the MLP; its dims are those of a frame, of a field the number of EOFs.
        frame: what a window looks like.
    """

    def __init__(self, flow: FlowConfig, network: PointConfig, frame: FrameConfig):
        if flow.predicts != "x1" or not flow.make_path().independent:
            raise Mistake(
                "A next-step flow predicts x1 on a path with independent noise: path 'icfm' or 'idff'.", "predicts"
            )
        if network.dims != frame.dims:
            raise Mistake(f"The network has {network.dims} dims, but a frame {frame.dims}.", "dims")
        super().__init__(flow, network)
        self.frame = frame
        self.center: Tensor
        self.scale: Tensor
        self.eofs: eofs.Eofs | None
        self.net = ConditionedNet(network, frame.condition, frame.numbered)
        self.register_buffer("center", torch.zeros(frame.dims))  # of a change, over the training part
        self.register_buffer("scale", torch.ones(frame.dims))
        self.eofs = eofs.Eofs(frame.dims, frame.field, frame.level) if frame.field else None

    def level(self, history: Tensor) -> Tensor:
        """What is taken off frames of windows (N, H, *shape) and added again, (N, *shape): zeros where not asked."""
        if self.eofs is None or not self.frame.level:
            return torch.zeros_like(history[:, 0])
        return self.eofs.level(history)

    def window(self, history: Tensor) -> Tensor:
        """Windows (N, H, *shape) as the network sees them: (N, S, D) of the last frames, less their level."""
        seen = history[:, -self.frame.seen :] if self.frame.seen else history
        return self.coordinates(seen - self.level(history)[:, None])

    def coordinates(self, frames: Tensor) -> Tensor:
        """Frames (..., *shape) as the numbers that flow, (..., D): themselves, or coefficients of a field's EOFs."""
        return frames if self.eofs is None else self.eofs.project(frames)

    def pairs(self, windows: Windows) -> tuple[Tensor, Tensor]:
        """What the network sees (N, S, D) of training windows, and the next frame (N, D) less the same level."""
        history, target = torch.from_numpy(windows.history), torch.from_numpy(windows.target)
        return self.window(history), self.coordinates(target - self.level(history))

    def changes(self, before: Tensor, after: Tensor) -> Tensor:
        """From one frame to another, the short way round on the torus."""
        return wrap(after - before) if self.frame.geometry == "torus" else after - before

    def fit_scale(self, history: Tensor, target: Tensor) -> None:
        """Take mean and spread of a change from training windows (N, H, D) and targets (N, D)."""
        changes = self.changes(history[:, -1], target)
        self.center.copy_(changes.mean(0))
        self.scale.copy_(changes.std(0).clamp_min(1e-6))

    def target(self, history: Tensor, target: Tensor) -> Tensor:
        """The x1 that a pair stands for, (N, D) of unit size."""
        return (self.changes(history[:, -1], target) - self.center) / self.scale

    def advance(self, history: Tensor, x1: Tensor) -> Tensor:
        """The inverse of `target`: the next frame, (N, D)."""
        after = history[:, -1] + self.center + self.scale * x1
        return wrap(after) if self.frame.geometry == "torus" else after

    def condition(self, history: Tensor, context: Tensor) -> Tensor:
        """What the network is told: last frame, changes before it in units of `scale`, context; (N, C)."""
        last = history[:, -1]
        if self.frame.geometry == "torus":
            turns = [k * last for k in range(1, self.frame.harmonics + 1)]
            last = torch.cat([f(a) for a in turns for f in (torch.cos, torch.sin)], 1)
        before = self.changes(history[:, :-1], history[:, 1:]) / self.scale
        return torch.cat([last, before.flatten(1), context], 1)

    def draw(
        self, condition: Tensor, start: Tensor, nfe: int, method: str, gammas: tuple[float, ...] = (), seeds=()
    ) -> samplers.SampleResult:
        """One change for each condition (N, C), from noise `start` (N, D); arguments as in `forecast`.

        `seeds`, one a row, are of the noise inside the methods "bridge" and "matched".
        """

        def network(x: Tensor, t: Tensor):
            return self(x, t, condition)

        return samplers.sample(method, network, start, self.path, nfe, gammas=gammas, noise_seeds=seeds)

    @torch.no_grad()
    def forecast(
        self,
        history: np.ndarray,
        context: np.ndarray | None = None,
        horizon: int = 1,
        members: int = 1,
        nfe: int = 4,
        method: str = "euler",
        seed: int = 0,
        *,
        gammas: tuple[float, ...] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> Forecast:
        """An ensemble of rollouts, each fed with its own frames.

        Noise belongs to (seed, member, row): it is the same for every method and for any other members or rows.

        Args:
            history: (N, H, *shape) normalised windows, oldest first.
            context: (N, L, C) of the frames to come; None where the world has none.
            horizon: frames to draw, L.
            members: rollouts from each window.
            nfe: network calls a frame, counted.
            method: see `samplers.sample`.
            seed: of the noise.
            gammas: one to three weights for "momentum" and "published", one (>= 0) for "matched".
            progress: called with (frames done, horizon); may raise to stop.

        Raises:
            ValueError: a setting out of range, or shapes that do not fit the model.
            samplers.Diverged: rollouts left every reasonable range.
        """
        start = torch.as_tensor(np.asarray(history, np.float32))
        context = np.zeros((len(start), max(horizon, 0), 0), np.float32) if context is None else context
        ahead = torch.as_tensor(np.asarray(context, np.float32))
        self._check(start, ahead, horizon, members, method, gammas)
        n, dims, shape = len(start), self.frame.dims, self.frame.shape
        rows = [derived_seed(seed, m, row) for m in range(members) for row in range(n)]
        drawn = self.path.start_std * noise(rows, (horizon, dims))
        window, ahead = self.window(start).repeat(members, 1, 1), ahead.repeat(members, 1, 1)
        level, rest = self.level(start), None
        if self.eofs is not None:
            level = level.repeat(members, 1, 1, 1)
            rest = start[:, -1].repeat(members, 1, 1, 1) - level - self.eofs.lift(window[:, -1])
        out = np.empty((members * n, horizon, *shape), np.float32)
        spent: samplers.SampleResult | None = None
        for k in range(horizon):
            inside = [derived_seed(s, k + 1) for s in rows] if method in samplers.NOISY else ()
            spent = self.draw(self.condition(window, ahead[:, k]), drawn[:, k], nfe, method, gammas, inside)
            frame = self.advance(window, spent.x)
            if not bool((frame.abs() <= samplers.LIMIT).all()):
                raise samplers.Diverged(
                    f"The rollouts diverged at frame {k + 1} of {horizon}: use more network calls, lower the momentum "
                    "weights (gamma), or forecast fewer frames."
                )
            if self.eofs is None or rest is None:
                out[:, k] = frame.numpy()
            else:
                rest = self.eofs.next_rest(rest, [derived_seed(s, 0, k) for s in rows])
                out[:, k] = (level + self.eofs.lift(frame) + rest).numpy()
            window = torch.cat([window[:, 1:], frame[:, None]], 1)
            if progress is not None:
                progress(k + 1, horizon)
        assert spent is not None  # the horizon is at least 1
        return Forecast(out.reshape(members, n, horizon, *shape), spent.nfe, spent.derivatives)

    def _check(self, history: Tensor, context: Tensor, horizon, members, method, gammas) -> None:
        for name, value, high in (("horizon", horizon, 100_000), ("members", members, 1000)):
            if type(value) is not int or not 1 <= value <= high:
                raise Mistake(f"{name} must be a whole number from 1 to {high:,}, not {value!r}.", name)
        samplers.check_method(method, gammas)
        f = self.frame
        if history.shape[1:] != (f.history, *f.shape) or not len(history):
            want = ", ".join(map(str, f.shape))
            raise Mistake(f"History must be of shape (N, {f.history}, {want}), not {tuple(history.shape)}.", "history")
        if context.shape != (len(history), horizon, f.context):
            raise Mistake(
                f"Context must be of shape ({len(history)}, {horizon}, {f.context}), not {tuple(context.shape)}.",
                "context",
            )
        if not (bool(torch.isfinite(history).all()) and bool(torch.isfinite(context).all())):
            raise Mistake("History and context must be finite.", "finite")
        if members * len(history) * horizon * math.prod(f.shape) > MAX_FORECAST_NUMBERS:
            raise Mistake("The forecast is too large: lower members, horizon or the number of starts.", "size")


def make(
    world: World,
    spec: str,
    flow: FlowConfig,
    network: PointConfig,
    harmonics: int,
    seed: int = 0,
    modes: int = 0,
    level: bool = False,
    seen: int = 0,
) -> SeriesModel:
    """An untrained model, its scales and EOFs fitted on the training part, weights drawn from the seed.

    Args:
        world, spec: the world, and the name that opens it.
        flow, network: of `SeriesModel`.
        harmonics: of `FrameConfig`.
        seed: of the weights.
        modes: EOFs of a world of fields; 0 for a vector world.
        level, seen: of `FrameConfig`.

    Raises:
        ValueError: a world of fields without modes, or a vector world with some.
    """
    if (len(world.shape) == 1) != (modes == 0):
        raise Mistake(
            f"{world.title} is a world of fields: say by series.modes how many of its EOFs are to flow."
            if modes == 0
            else f"{world.title} is a vector world: series.modes is for fields, set it to 0.",
            "series.modes",
        )
    dims, field = modes or world.shape[0], world.shape if modes else ()
    patterns = eofs.fit(world, modes, world.history if level else 0) if modes else None
    numbered = len(world.segments[0].values) if world.in_sample else 0
    frame = FrameConfig(
        spec, world.history, dims, world.context_size, world.geometry, harmonics, field, numbered, level, seen
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SeriesModel(flow, PointConfig(dims, network.width, network.depth, network.frequencies), frame)
    if patterns is not None:
        model.eofs = patterns
    model.fit_scale(*model.pairs(world.windows("train")))
    return model


def save(model: SeriesModel, path: str | FilePath, card: dict | None = None) -> None:
    """Write a model with its card, in float32: a deterministic world shows the rounding of float16."""
    if card is not None:
        model.card = card
    config = {"flow": model.flow.to_dict(), "points": asdict(model.config), "series": model.frame.to_dict()}
    checkpoints.save(path, model.state_dict(), kind=SERIES_KIND, config=config, card=model.card)


def load(name_or_path: str | FilePath, folder: FilePath = MODELS_DIR) -> SeriesModel:
    """A model of `folder` by name, or any checkpoint file of ours.

    Raises:
        CheckpointError: with a sentence that says what is wrong.
    """

    def make(config: dict) -> SeriesModel:
        return SeriesModel(
            build(FlowConfig, config.get("flow"), "flow"),
            build(PointConfig, config.get("points"), "points"),
            build(FrameConfig, config.get("series"), "series"),
        )

    return load_model(find_model(name_or_path, SERIES_SUFFIX, "series model", folder), SERIES_KIND, make)
