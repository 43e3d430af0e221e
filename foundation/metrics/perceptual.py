"""LPIPS: how different two pictures look, measured in the features of a classification network.

Zhang et al. 2018 (arXiv 1801.03924), version 0.1: the network graph and the calibrated linear heads are those
of the `lpips` package (BSD-2); the ImageNet backbone, which that package does not carry, comes from a file or
from torchvision. `lpips` and torchvision are imported when the first distance is built, never before:
together they take seconds.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from urllib.error import URLError

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foundation.metrics._torchvision import import_torchvision
from foundation.mistakes import Mistake

BACKBONE_VARIABLE = "KOOPMAN_LPIPS"

# torchvision's index in `.features` and shape of every convolution weight (biases follow from it).
_ALEX = {
    0: (64, 3, 11, 11),
    3: (192, 64, 5, 5),
    6: (384, 192, 3, 3),
    8: (256, 384, 3, 3),
    10: (256, 256, 3, 3),
}
_VGG_INDEX = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG_WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
_CONVOLUTIONS = {
    "alex": _ALEX,
    "vgg": {n: (VGG_WIDTHS[i + 1], VGG_WIDTHS[i], 3, 3) for i, n in enumerate(_VGG_INDEX)},
}
_WEIGHTS_ENUM = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights"}
_HUB_FILE = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
_SMALLEST = {"alex": 31, "vgg": 16}  # below this the last pooling has nothing left to pool
_EPSILON = 1e-10  # of lpips.normalize_tensor

Features = tuple[Tensor, ...]


class LpipsNetwork(Protocol):
    """What is called of the lpips package's network.

    Attributes:
        scaling_layer: pictures (B, 3, H, W) in [-1, 1] -> the backbone's input, of that shape.
        net: that input -> five maps (B, C_l, H_l, W_l).
        lins: of each map, its head: squared differences -> (B, 1, H_l, W_l).
    """

    scaling_layer: Callable[[Tensor], Tensor]
    net: Callable[[Tensor], Iterable[Tensor]]
    lins: Iterable[Callable[[Tensor], Tensor]]


class BackboneMissing(RuntimeError):
    """No file with the backbone's weights is at hand, none could be downloaded; the message says the cure."""


class PerceptualDistance(nn.Module):
    """LPIPS v0.1 between pictures: `sum_l mean_ij sum_c w_lc (f_l(x) - f_l(y))^2_cij`, f of unit norm over c.

    All parameters are frozen and the module stays in evaluation mode, so a parent's `.train()` cannot switch
    on the dropout in front of the heads. Everything runs in float32, inside autocast too: the squared
    differences of nearly equal unit vectors do not survive half precision.

    Args:
        net: "alex" (fast, the usual choice for evaluation) or "vgg" (the usual choice as a loss).
        backbone: file with the weights under torchvision's names `features.N.weight` and `features.N.bias`:
            .npz, .safetensors, .pth or .pt, of any float type; `classifier.*` is ignored. Default: the file
            named by the environment variable KOOPMAN_LPIPS, else torchvision's own (its cache, else a
            download).
        side: pictures whose shorter edge is below this are enlarged to it (bilinear, no antialiasing, corners
            not aligned). Song et al. 2023 use 224. None leaves pictures as they are.

    Raises:
        BackboneMissing: no weights to be had.
        ValueError: unknown net, a side too small for it, or a backbone file that is unreadable or has
            missing, misshapen or non-finite weights.
        ImportError: the package lpips or torchvision is not installed.
    """

    def __init__(self, net: str = "alex", backbone: str | Path | None = None, side: int | None = None) -> None:
        super().__init__()
        _check_net(net)
        if side is not None and side < _SMALLEST[net]:
            raise Mistake(
                f"LPIPS with {net} needs pictures of {_SMALLEST[net]} pixels or more, not side={side}.", "side"
            )
        self.net_name, self.side = net, side
        path = _backbone_path(net, backbone)
        self.lpips: LpipsNetwork = _build(net, _download(net) if path is None else _read_backbone(path, net))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> PerceptualDistance:
        """Stay in evaluation mode whatever the parent module does."""
        del mode
        return super().train(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each pair of pictures.

        Args:
            x: pictures (B, 3, H, W), float in [-1, 1].
            y: pictures of the shape of x.

        Returns:
            (B,) float32, 0 for equal pictures, up to about 1 for unrelated ones. Differentiable in x and y.
        """
        if x.shape != y.shape:
            raise Mistake(f"LPIPS compares equal shapes, not {tuple(x.shape)} and {tuple(y.shape)}.", "shape")
        return self.distance_from(x, self.features(y))

    def distance_from(self, x: Tensor, features: Features) -> Tensor:
        """Distance of x (B, 3, H, W) from pictures whose `features` were computed before; (B,) float32."""
        with torch.autocast(x.device.type, enabled=False):
            total = x.new_zeros(len(x), dtype=torch.float32)
            for head, f_x, f_y in zip(self.lpips.lins, self.features(x), features, strict=True):
                if f_x.shape != f_y.shape:
                    raise Mistake(
                        f"These features belong to pictures of another shape or number than x: compute them "
                        f"anew, from pictures {tuple(x.shape)}.",
                        "features",
                    )
                total = total + head((f_x - f_y).square()).mean(dim=(1, 2, 3))
            return total

    def features(self, y: Tensor) -> Features:
        """Unit-norm features of pictures (B, 3, H, W) in [-1, 1]: five tensors (B, C_l, H_l, W_l), float32.

        Compute a fixed target's once and hand them to `distance_from`. Gradients are recorded only if y asks
        for them.
        """
        if y.ndim != 4 or y.shape[1] != 3 or not y.is_floating_point():
            raise Mistake(f"LPIPS takes float pictures (B, 3, H, W), not {y.dtype} {tuple(y.shape)}.", "pictures")
        with torch.autocast(y.device.type, enabled=False):
            y = self._enlarge(y.float())
            # Where every channel is 0, lpips.normalize_tensor has an infinite slope and gives NaN gradients;
            # vector_norm has the same value and slope 0 there.
            return tuple(
                f / (torch.linalg.vector_norm(f, dim=1, keepdim=True) + _EPSILON)
                for f in self.lpips.net(self.lpips.scaling_layer(y))
            )

    def _enlarge(self, y: Tensor) -> Tensor:
        height, width = y.shape[-2:]
        short = min(height, width)
        if self.side is not None and self.side > short:
            size = (round(height * self.side / short), round(width * self.side / short))
            return F.interpolate(y, size=size, mode="bilinear", align_corners=False, antialias=False)
        if short < _SMALLEST[self.net_name]:
            raise Mistake(
                f"LPIPS with {self.net_name} needs pictures of {_SMALLEST[self.net_name]} pixels or more, "
                f"not {height} x {width}: give PerceptualDistance a `side`, for example 64.",
                "side",
            )
        return y


def available(net: str = "alex", backbone: str | Path | None = None) -> bool:
    """Whether `PerceptualDistance(net, backbone)` can be built from what is on this machine; never downloads.

    Looks for the packages, then for a whole backbone in the place where the constructor would look.
    """
    _check_net(net)
    if find_spec("lpips") is None or find_spec("torchvision") is None:
        return False
    try:
        path = _backbone_path(net, backbone)
        if path is not None:
            _read_backbone(path, net)
    except (BackboneMissing, ValueError):
        return False
    return path is not None


# ------------------------------------------------------------------------------------------------------------
# Where the weights come from


def _check_net(net: str) -> None:
    if net not in _CONVOLUTIONS:
        raise Mistake(f"Unknown LPIPS network {net!r}: choose one of {', '.join(_CONVOLUTIONS)}.", "net")


def _backbone_path(net: str, backbone: str | Path | None) -> Path | None:
    """The file to read: the one given, else the environment's, else torchvision's cached one, else None."""
    if backbone is not None:
        path, named_by = Path(backbone), "the path given as `backbone`"
    elif os.environ.get(BACKBONE_VARIABLE):
        path, named_by = Path(os.environ[BACKBONE_VARIABLE]), f"the environment variable {BACKBONE_VARIABLE}"
    else:
        path = Path(torch.hub.get_dir()) / "checkpoints" / _HUB_FILE[net]
        return path if path.is_file() else None
    if not path.is_file():
        raise BackboneMissing(f"There is no LPIPS backbone at {path} ({named_by}): correct it. {_cure(net)}")
    return path


def _cure(net: str) -> str:
    return (
        f"PerceptualDistance needs the ImageNet weights of {net}: pass `backbone=FILE` or set "
        f"{BACKBONE_VARIABLE}=FILE (a .npz, .safetensors or .pth with torchvision's names features.N.weight "
        f"and features.N.bias), or let torchvision download {_HUB_FILE[net]} once while there is a network."
    )


def _download(net: str) -> dict[str, Tensor]:
    """Weights of torchvision by its own downloader, which checks the hash and keeps the file."""
    weights = getattr(import_torchvision().models, _WEIGHTS_ENUM[net]).IMAGENET1K_V1
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:  # no network, no disk, or a hash that does not match
        raise BackboneMissing(f"Downloading the LPIPS backbone failed ({error}). {_cure(net)}") from error
    return _checked(state, net, "torchvision's download")


def _read_backbone(path: Path, net: str) -> dict[str, Tensor]:
    """Read a weights file without unpickling anything but tensors; float32, checked."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                names = [name for name in arrays.files if name.startswith("features.")]
                state = {name: torch.from_numpy(arrays[name]) for name in names}
        elif path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        elif path.suffix in (".pth", ".pt"):
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise ValueError("its name should end in .npz, .safetensors, .pth or .pt")
    except Exception as error:  # each reader has errors of its own, for a cut file as for a refused pickle
        raise Mistake(f"The LPIPS backbone {path} is unreadable ({error}). {_cure(net)}", "backbone file") from error
    return _checked(state, net, str(path))


def _checked(state: object, net: str, origin: str) -> dict[str, Tensor]:
    """Every convolution of the network, in float32.

    Raises:
        ValueError: one is missing, has another shape or a number that is not finite; or there are more.
    """
    if not isinstance(state, dict):
        raise Mistake(f"The LPIPS backbone from {origin} is not a table of named tensors. {_cure(net)}", "backbone")
    shapes: dict[str, tuple[int, ...]] = {}
    for n, shape in _CONVOLUTIONS[net].items():
        shapes |= {f"features.{n}.weight": shape, f"features.{n}.bias": shape[:1]}
    found = {k: v for k, v in state.items() if isinstance(v, Tensor) and str(k).startswith("features.")}
    wrong = [f"{k} is missing" for k in shapes.keys() - found.keys()]
    wrong += [f"{k} does not belong there" for k in found.keys() - shapes.keys()]
    for name in shapes.keys() & found.keys():
        if found[name].shape != shapes[name]:
            wrong.append(f"{name} has shape {tuple(found[name].shape)}, not {shapes[name]}")
        elif not found[name].is_floating_point() or not found[name].isfinite().all():
            wrong.append(f"{name} holds values that are not finite floats")
    if wrong:
        faults = "; ".join(sorted(wrong))
        raise Mistake(f"The LPIPS backbone from {origin} does not fit {net}: {faults}. {_cure(net)}", "backbone")
    return {name: found[name].float() for name in shapes}


def _build(net: str, backbone: dict[str, Tensor]) -> LpipsNetwork:
    """The lpips package's network holding this backbone and the package's calibrated heads."""
    import_torchvision()  # before lpips, which imports it too
    try:
        import lpips
    except ModuleNotFoundError as error:
        raise ImportError(f"LPIPS needs the package {error.name}: `pip install lpips==0.1.4`.") from error

    # On "meta" nothing is allocated or drawn. Otherwise torchvision fills the whole classifier: 61 (vgg: 138)
    # million random numbers take 1 (3) seconds and move the global random generator under the caller's feet.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips 0.1.4 speaks to torchvision by deprecated arguments
        network = lpips.LPIPS(net=net, version="0.1", pretrained=False, pnet_rand=True, verbose=False)

    heads_file = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    heads = torch.load(heads_file, map_location="cpu", weights_only=True)  # saved on a GPU
    heads |= {name.replace("lin", "lins.", 1): head for name, head in heads.items()}  # two names each
    # slice2.3.weight and features.3.weight are the same tensor: the slices keep torchvision's numbers.
    names = [name for name in network.state_dict() if name.startswith("net.")]
    trunk = {name: backbone["features." + name.split(".", 2)[2]] for name in names}
    scaling = {
        "scaling_layer.shift": torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1),
        "scaling_layer.scale": torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1),
    }
    network.load_state_dict(heads | trunk | scaling, strict=True, assign=True)
    return network
