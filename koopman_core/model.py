"""Hierarchical Koopman Diffusion: encoder, one Koopman operator a latent, decoder (arXiv 2510.12220, section 3).

f(x_t, t) = D( exp((tau(eps) - tau(t)) A) E(x_t) ). One call of the network goes from noise to image, and every state
in between is available in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from foundation.files import checkpoints
from foundation.files.models import MODELS_DIR as MODELS_DIR
from foundation.files.models import Model, find_model, load_model
from foundation.files.settings import build
from foundation.mistakes import Mistake
from foundation.networks.devices import to_float64
from foundation.networks.unet import UNet, UNetConfig
from koopman_core import hub
from koopman_core.edm import EDM, SIGMA_MAX, SIGMA_MIN, c_in, c_noise, expand
from koopman_core.operator import ALPHA_MAX, WARPS, ChannelMixing, KoopmanOperator, tau_of_sigma

if TYPE_CHECKING:
    from collections.abc import Iterator

    class Operators(nn.ModuleList):
        """A list of operators, for the type checker: torch's list does not say what it holds."""

        def __iter__(self) -> Iterator[KoopmanOperator]: ...


EVOLVED = ("all", "bottleneck", "none")
TEACHER_KIND, TEACHER_SUFFIX = "teacher", ".teacher.safetensors"
DECODER_SIGMA = {"min": SIGMA_MIN, "max": SIGMA_MAX}


@dataclass(frozen=True)
class KoopmanConfig:
    """How the latents move.

    Attributes:
        warp: time variable.
        alpha_max: soft bound of alpha.
        evolved: which latents have an operator that works: "all", "bottleneck", "none" (the ablation, table 3).
        decoder_sigma: the noise level that the decoder is told, always: "min" (0.002) or "max" (80), with which the
            student starts at the teacher's D(x; 80).
        mixing: an orthogonal 1x1 mixing of each latent's channels in front of A, trained with it (ours). Latents are
            then the mixed ones, everywhere.
    """

    warp: str = "karras"
    alpha_max: float = ALPHA_MAX
    evolved: str = "all"
    decoder_sigma: str = "min"
    mixing: bool = False

    def __post_init__(self) -> None:
        if self.warp not in WARPS:
            raise Mistake(f"warp must be one of {', '.join(WARPS)}, not {self.warp!r}.", "warp")
        if self.evolved not in EVOLVED:
            raise Mistake(f"evolved must be one of {', '.join(EVOLVED)}, not {self.evolved!r}.", "evolved")
        if self.decoder_sigma not in DECODER_SIGMA:
            raise Mistake(
                f"decoder_sigma must be one of {', '.join(DECODER_SIGMA)}, not {self.decoder_sigma!r}.", "decoder_sigma"
            )
        if not 0 < self.alpha_max <= 80:
            raise Mistake("alpha_max must lie in (0, 80].", "alpha_max")

    def to_dict(self) -> dict:
        """Plain types, for JSON; what files from before a choice have is not mentioned."""
        values, usual = asdict(self), {"decoder_sigma": "min", "mixing": False}
        return {name: v for name, v in values.items() if name not in usual or v != usual[name]}


@dataclass(frozen=True)
class SpectrumEntry:
    """Eigenvalues alpha +- i beta of one latent.

    Attributes:
        name: "skip 0" ... "skip n", "bottleneck".
        shape: (C, h, w) of the latent.
        alpha, beta: (C/2, h, w) float32.
    """

    name: str
    shape: tuple[int, int, int]
    alpha: Tensor
    beta: Tensor


class KoopmanDiffusion(Model):
    """The HKD network.

    Args:
        config: the U-Net.
        koopman: time variable, bound, and which latents evolve.
    """

    def __init__(self, config: UNetConfig, koopman: KoopmanConfig | None = None):
        super().__init__()
        self.config, self.koopman = config, koopman or KoopmanConfig()
        self.net = UNet(config)
        operators = [KoopmanOperator(s, self.koopman.alpha_max) for s in config.skip_shapes()]
        self.operators = cast("Operators", nn.ModuleList(operators))
        shapes = config.skip_shapes() if self.koopman.mixing else []
        self.mixings = nn.ModuleList(ChannelMixing(c) for c, _, _ in shapes)
        evolved = {"all": len(self.operators), "bottleneck": 1, "none": 0}[self.koopman.evolved]
        self._first_evolved = len(self.operators) - evolved
        for operator in self.operators[: self._first_evolved]:
            operator.a.requires_grad_(False)

    @classmethod
    def from_teacher(
        cls, teacher: EDM, koopman: KoopmanConfig | None = None, dropout: float | None = None
    ) -> KoopmanDiffusion:
        """A student that starts from the teacher's weights, with A = 0 (paper 4.1).

        Args:
            teacher: the denoiser.
            koopman: how the latents move.
            dropout: of the student; None for the teacher's.
        """
        config = teacher.config if dropout is None else replace(teacher.config, dropout=dropout)
        model = cls(config, koopman)
        model.net.load_state_dict(teacher.net.state_dict())
        return model

    def take(self, other: KoopmanDiffusion) -> None:
        """The weights and eigenvalues of a student that is no deeper (`UNet.take`).

        Raises:
            ValueError: its network or its way to move latents is another one.
        """
        if other.koopman != self.koopman:
            raise Mistake("The other student's latents move in another way: [koopman] must be the same.", "koopman")
        self.net.take(other.net)
        self.operators.load_state_dict(other.operators.state_dict())
        self.mixings.load_state_dict(other.mixings.state_dict())

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = torch.float32) -> None:
        """Write model.safetensors, config.json and a model card, README.md, for the hub or for `from_pretrained`."""
        save_pretrained(self, folder, dtype=dtype)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, revision: str | None = None, sha256: str | None = None
    ) -> KoopmanDiffusion:
        """A model from a folder, or from a repository "user/name" of the hub.

        Args:
            source: of these two; a folder that is there is preferred.
            revision: branch, tag or commit in the repository.
            sha256: that model.safetensors must have.

        Raises:
            CheckpointError: with a sentence that says what is wrong.
        """
        if not Path(source).is_dir():
            return load(hub.fetch(str(source).removeprefix(hub.HUB_PREFIX), revision, sha256))
        file = Path(source) / hub.MODEL_FILE
        if sha256 is not None and file.is_file() and checkpoints.sha256(file) != sha256:
            raise checkpoints.CheckpointError(
                f"{file} has another checksum than was asked for: it is another model.", "sha256"
            )
        return load(file)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        return self.config.channels, self.config.resolution, self.config.resolution

    def tau(self, sigma) -> Tensor:
        """Koopman time of a noise level, float64, on the CPU."""
        return tau_of_sigma(sigma, self.koopman.warp)

    def encode(self, x: Tensor, sigma: Tensor | float, labels: Tensor | None = None) -> list[Tensor]:
        """E(x_sigma).

        Args:
            x: (B, C, H, W) noisy pictures (clean picture + sigma * noise).
            sigma: scalar or (B,), in [sigma_min, sigma_max].
            labels: (B,) int64, -1 = no class.

        Returns:
            One (B, C_l, h_l, w_l) latent for every skip, then the bottleneck.
        """
        sigma = expand(sigma, x)
        z = self.net.encode(c_in(sigma)[:, None, None, None] * x, c_noise(sigma), labels)
        return [mix(latent) for mix, latent in zip(self.mixings, z, strict=True)] if self.koopman.mixing else z

    def evolve(self, z: Sequence[Tensor], tau_from: Tensor | float, tau_to: Tensor | float) -> list[Tensor]:
        """exp((tau_to - tau_from) A) z; times in [0, 1], scalar or (B,)."""
        delta = to_float64(tau_to) - to_float64(tau_from)
        delta = delta.float().to(z[0].device)
        still = self._first_evolved
        return [
            latent if i < still else operator(latent, delta)
            for i, (operator, latent) in enumerate(zip(self.operators, z, strict=True))
        ]

    def decode(self, z: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """D(z) -> (B, C, H, W), nominally in [-1, 1].

        The decoder is told one noise level, never the time, and its head is 0.5 F, so pictures come from z alone
        (inferred; docs/decisions.md). At t = T EDM's c_out is 0.49999 and its c_skip 4e-5: told sigma_max, an untrained
        student is the teacher's D(x; 80) up to that; told sigma_min, which the encoder was not, it is not.
        """
        level = c_noise(torch.full((z[0].shape[0],), DECODER_SIGMA[self.koopman.decoder_sigma], device=z[0].device))
        z = [mix(latent, back=True) for mix, latent in zip(self.mixings, z, strict=True)] if self.koopman.mixing else z
        return 0.5 * self.net.decode(list(z), level, labels).float()

    def forward(self, x: Tensor, sigma: Tensor | float, labels: Tensor | None = None, sigma_to=SIGMA_MIN) -> Tensor:
        """D(exp((tau(sigma_to) - tau(sigma)) A) E(x)): the paper's f for sigma_to = sigma_min."""
        return self.decode(self.evolve(self.encode(x, sigma, labels), self.tau(sigma), self.tau(sigma_to)), labels)

    def one_step(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise (B, C, H, W), standard normal -> pictures, one call of the network (paper, algorithm 2)."""
        return self(SIGMA_MAX * noise, SIGMA_MAX, labels)

    @torch.no_grad()
    def spectrum(self) -> list[SpectrumEntry]:
        """The eigenvalues of every latent, in the order of `encode`."""
        names = [f"skip {i}" for i in range(len(self.operators) - 1)] + ["bottleneck"]
        shapes = self.config.skip_shapes()
        return [
            SpectrumEntry(name, shape, op.alpha.clone(), op.beta.clone())
            for name, shape, op in zip(names, shapes, self.operators, strict=True)
        ]


def bounded_network(values) -> UNetConfig:
    """A network configuration from a file, refused when it asks for more than a laptop could hold."""
    config = build(UNetConfig, values, "network")
    small = config.resolution <= 256 and config.base <= 512 and len(config.multipliers) <= 6 and config.blocks <= 8
    if (
        not small
        or config.embedding > 4096
        or config.classes > 10_000
        or max(config.multipliers) > 16
        or config.channels > 4
        or max((*config.encoder_depth, *config.decoder_depth, 0)) > 8
    ):
        raise ValueError("the network is larger than this program loads (resolution 256, base 512, 6 levels, 8 blocks)")
    return config


def load(name_or_path: str | Path) -> KoopmanDiffusion:
    """A shipped HKD model by name ("shapes"), a checkpoint file of ours, a folder with one, or "hf://user/repo".

    Raises:
        CheckpointError: with a sentence that says what is wrong.
    """

    def make(config: dict) -> KoopmanDiffusion:
        koopman = build(KoopmanConfig, config.get("koopman"), "koopman")
        return KoopmanDiffusion(bounded_network(config.get("network")), koopman)

    return load_model(find_model(hub.resolve(name_or_path), ".hkd.safetensors", "model"), "hkd", make)


def load_teacher(name_or_path: str | Path) -> EDM:
    """A shipped teacher by name, or from wherever `load` reads models. Raises CheckpointError."""
    path = find_model(hub.resolve(name_or_path), TEACHER_SUFFIX, "model")
    return load_model(path, TEACHER_KIND, lambda config: EDM(bounded_network(config)))


def save(model: KoopmanDiffusion | EDM, path: str | Path, card: dict | None = None, dtype=torch.float16) -> None:
    """Write a model with its card; `load` / `load_teacher` read it back."""
    if card is not None:
        model.card = card
    save_tensors(model, model.state_dict(), path, dtype)


def save_pretrained(
    model: KoopmanDiffusion | EDM, folder: str | Path, *, dtype: torch.dtype | None = torch.float32
) -> None:
    """Write a model as a folder that the hub shows and `load` or `load_teacher` reads."""
    save(model, Path(folder) / hub.MODEL_FILE, dtype=dtype)
    hub.describe(folder)


def save_tensors(
    model: KoopmanDiffusion | EDM, state: dict[str, Tensor], path: str | Path, dtype=torch.float16
) -> None:
    """Like `save`, with other weights (an EMA) under the model's configuration and card."""
    if isinstance(model, KoopmanDiffusion):
        kind, config = "hkd", {"network": model.config.to_dict(), "koopman": model.koopman.to_dict()}
    else:
        kind, config = "teacher", model.config.to_dict()
    checkpoints.save(path, state, kind=kind, config=config, card=model.card, dtype=dtype)
