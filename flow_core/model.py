"""A trained flow: network, preconditioning, and the path it belongs to; loading and saving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath

import torch
from torch import Tensor, nn

from flow_core.fields import Predict, Prediction
from flow_core.networks import PictureNet, PointConfig, PointNet, TorusConfig, TorusNet
from flow_core.paths import Path, make_path, over
from foundation.files import checkpoints
from foundation.files.models import MODELS_DIR as MODELS_DIR
from foundation.files.models import Model, find_model, load_model
from foundation.files.settings import build
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig

PREDICTS = ("x1", "x1+eps", "velocity", "average")
FLOW_KIND, FLOW_SUFFIX = "flow", ".flow.safetensors"
CONFIG_SECTIONS: dict[type, str] = {PointConfig: "points", TorusConfig: "torus"}  # name of a section of a file's header
NORMAL = "normal"  # the source of flows from standard normal noise


@dataclass(frozen=True)
class FlowConfig:
    """What a network was trained to say, and on which path.

    Attributes:
        path: "icfm", "otcfm", "sbcfm", "idff", "meanflow", "target", "vp".
        sigma: noise of the path.
        coupling: "independent", "exact", "entropic", or "" for the path's own.
        predicts: "x1", "x1+eps" (a second head, for the score of dependent couplings), "velocity", or "average", the
            mean velocity between two times, which is what "meanflow" is for.
        data_std: root mean square deviation of the data, for preconditioning.
        source: what flows begin at: "normal" (standard normal noise), or the name of another law, on paths without
            noise of their own, where the velocity needs no score.
        source_std: root mean square deviation of another source, for preconditioning.
    """

    path: str = "idff"
    sigma: float = 0.2
    coupling: str = ""
    predicts: str = "x1"
    data_std: float = 1.0
    source: str = NORMAL
    source_std: float = 1.0

    def __post_init__(self) -> None:
        path = self.make_path()
        if self.source != NORMAL and (path.sigma > 0 or path.scheduled):
            raise Mistake(
                "Another source than noise needs a path whose velocity needs no score: set path = 'icfm', 'otcfm' or "
                "'meanflow' and sigma = 0.",
                "source",
            )
        if self.source == NORMAL and self.source_std != 1:
            raise Mistake("source_std is that of another source: standard normal noise has 1.", "source_std")
        if not 1e-3 <= self.source_std <= 1e3:
            raise Mistake(f"source_std must be from 0.001 to 1000, not {self.source_std!r}.", "source_std")
        if path.scheduled and self.predicts == "x1+eps":
            raise Mistake("On this path x1_hat gives the score too: set predicts = 'x1' or 'velocity'.", "predicts")
        if self.predicts not in PREDICTS:
            raise Mistake(f"predicts must be one of {', '.join(PREDICTS)}, not {self.predicts!r}.", "predicts")
        if (self.predicts == "average") is not path.average:
            raise Mistake(
                "predicts = 'average', a mean velocity, and path = 'meanflow' go together: set both, or neither.",
                "predicts",
            )
        if self.predicts == "x1" and path.sigma > 0 and not path.independent:
            raise Mistake(
                f"With sigma above 0 and {path.coupling} coupling the score needs a head of its own: "
                "set predicts = 'x1+eps'.",
                "predicts",
            )
        if not 1e-3 <= self.data_std <= 1e3:
            raise Mistake(f"data_std must be from 0.001 to 1000, not {self.data_std!r}.", "data_std")

    def to_dict(self) -> dict:
        """Plain types, for JSON; noise as the source is not mentioned, as in files from before the choice."""
        values = asdict(self)
        if self.source == NORMAL:
            del values["source"], values["source_std"]
        return values

    def make_path(self) -> Path:
        return make_path(self.path, self.sigma, self.coupling)


class FlowModel(Model):
    """(x, t) -> Prediction.

    Preconditioning is that of Gaussian data of std `data_std` on independent noise, whose posterior is known: x1_hat =
    c_skip x + c_out F with c_skip = t data_std^2 / c, c_out = data_std sqrt(V0 / c), c = t^2 data_std^2 + V0 = Var(x).
    The network F thus sees and gives numbers of unit size, and errors of x1_hat vanish with the noise (inferred, after
    Karras et al. 2022). Velocities are scaled by sqrt(1 + data_std^2); eps is of unit size already. A mean velocity is
    (x1 - x) / (1 - t) of that x1, with the division done by hand, so that at an interval of 0 a network that says x1
    of a path without noise says its velocity.

    Args:
        flow: what is predicted, on which path.
        network: `PointConfig`, `TorusConfig` (velocities of angles, which are not scaled) or `UNetConfig`.
    """

    def __init__(self, flow: FlowConfig, network: PointConfig | TorusConfig | UNetConfig):
        super().__init__()
        self.flow, self.path, self.config = flow, flow.make_path(), network
        heads, average = 2 if flow.predicts == "x1+eps" else 1, flow.predicts == "average"
        self.net: nn.Module
        if isinstance(network, PointConfig):
            self.net = PointNet(network, heads, average)
        elif isinstance(network, TorusConfig):
            if flow.predicts != "velocity" or not self.path.independent or self.path.sigma > 0:
                raise Mistake("A network of angles says velocities of lines without noise: path icfm, sigma 0.", "path")
            self.net = TorusNet(network)
        else:
            self.net = PictureNet(network, heads, average)

    @property
    def source_std(self) -> float:
        """Root mean square deviation of what flows begin at, without the path's own noise."""
        return self.flow.source_std

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        c = self.config
        return (c.channels, c.resolution, c.resolution) if isinstance(c, UNetConfig) else (c.dims,)

    @property
    def classes(self) -> int:
        """Number of class labels; 0 for none, as in the plane."""
        return self.config.classes if isinstance(self.config, UNetConfig) else 0

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c_in, c_skip, c_out of x1_hat at t, of its shape."""
        return self._scales(*self.path.law(t))

    def _scales(self, a: Tensor, v0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v0, var = self.source_std**2 * v0, self.flow.data_std**2
        c = a**2 * var + v0
        return c.rsqrt(), a * var / c, (var * v0 / c).sqrt()

    def raw(self, x: Tensor, t: Tensor, *extras: Tensor, **more: Tensor) -> tuple[Tensor, ...]:
        """F, of unit size: x (B, *dim), t (B,) -> one (B, *dim) for each head."""
        return self._scaled(x, t, *extras, **more)[0]

    def _scaled(self, x: Tensor, t: Tensor, *extras: Tensor, **more: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """`raw`, and c_skip and c_out of x1_hat, which multiply with x; the path is asked once."""
        if isinstance(self.config, TorusConfig):
            return self.net(x, t), ()
        a, v0 = self.path.law(t)
        level = v0.sqrt() / a.clamp_min(1e-6)
        each = [s.reshape(-1, *[1] * (x.ndim - 1)) for s in self._scales(a, v0)]
        return self.net(each[0] * x, t, level, *extras, **more), tuple(each[1:])

    def average(self, x: Tensor, t: Tensor, end: Tensor, *extras: Tensor) -> Tensor:
        """Mean velocity from x (B, *dim) at t (B,) to the end (B,) of an interval, (B, *dim); v at end = t."""
        out = self.raw(x, t, *extras, interval=end - t)[0]
        t, std, start = over(t, x), self.flow.data_std, self.source_std
        c = t**2 * std**2 + start**2 * (1 - t) ** 2
        return (t * std**2 - start**2 * (1 - t)) / c * x + start * std * c.rsqrt() * out

    def forward(self, x: Tensor, t: Tensor | float, *extras: Tensor, end: Tensor | float | None = None) -> Prediction:
        """x (B, *dim), t scalar or (B,) in [0, 1); extras: class labels for pictures; end: of an interval from t on.

        Raises:
            ValueError: an end, and a network that knows one time only.
        """
        t = self._times(t, x)
        if self.flow.predicts == "average":
            return Prediction(velocity=self.average(x, t, t if end is None else self._times(end, x), *extras))
        if end is not None:
            raise Mistake(
                "This net knows no mean velocities: train one with path = 'meanflow' to jump over a step.", "end"
            )
        out, scales = self._scaled(x, t, *extras)
        if self.flow.predicts == "velocity":
            return Prediction(velocity=(1 + self.flow.data_std**2) ** 0.5 * out[0])
        skip, scale = scales
        return Prediction(x1=skip * x + scale * out[0], eps=out[1] if len(out) > 1 else None)

    def labelled(self, labels: Tensor | None) -> Predict:
        """(x, t), and `end` of mean velocities, -> Prediction with these classes (B,); None for none."""
        return self if labels is None else lambda x, t, **end: self(x, t, labels, **end)

    @staticmethod
    def _times(t: Tensor | float, x: Tensor) -> Tensor:
        """A time as (B,)."""
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        return t.expand(len(x)) if t.ndim == 0 else t


def save_tensors(model: FlowModel, state: dict[str, Tensor], path: str | FilePath, dtype=torch.float16) -> None:
    """Write weights (an EMA) under the model's configuration and card; `load` reads them back."""
    c = model.config
    network = {"unet": c.to_dict()} if isinstance(c, UNetConfig) else {CONFIG_SECTIONS[type(c)]: asdict(c)}
    config = {"flow": model.flow.to_dict(), **network}
    checkpoints.save(path, state, kind=FLOW_KIND, config=config, card=model.card, dtype=dtype)


def save(model: FlowModel, path: str | FilePath, card: dict | None = None, dtype=torch.float16) -> None:
    """Write a model with its card."""
    if card is not None:
        model.card = card
    save_tensors(model, model.state_dict(), path, dtype)


def _make(config: dict) -> FlowModel:
    flow = build(FlowConfig, config.get("flow"), "flow")
    for kind, name in CONFIG_SECTIONS.items():
        if name in config:
            return FlowModel(flow, build(kind, config[name], name))
    network = build(UNetConfig, config.get("unet"), "unet")
    sizes: Sequence[int] = (network.resolution, network.base, network.embedding // 8, *network.multipliers)
    if max(sizes) > 512 or len(network.multipliers) > 6 or network.blocks > 8 or network.channels > 4:
        raise Mistake("the network is larger than this program loads (resolution and base 512, 6 levels)", "unet")
    return FlowModel(flow, network)


def load(name_or_path: str | FilePath) -> FlowModel:
    """A shipped flow by name, or any checkpoint file of ours.

    Raises:
        CheckpointError: with a sentence that says what is wrong.
    """
    return load_model(find_model(name_or_path, FLOW_SUFFIX, "flow"), FLOW_KIND, _make)
