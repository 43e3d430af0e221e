"""Official EDM weights to a teacher of ours, and back: `python -m koopman_core.convert SOURCE OUT`.

SOURCE is one of NVIDIA's pickles (edm-*-vp.pkl; read as inert data, `koopman_core.inert_pickle`), or a .safetensors or
.npz file with the official names: `settings` as JSON (metadata of a .safetensors, array of bytes in an .npz) and the
tensors (under `tensor/NAME` in an .npz). With `--to-edm` SOURCE is a teacher of ours and OUT a .safetensors file with
the official names, for those who measure with the official code.

The networks are the same; names and the order of the rows of `qkv` differ. An attention layer of C channels has 3 C
rows, officially with query, key and value of one channel side by side (row 3 c + j), here one after the other
(row j C + c). Everything that the official code can build and `foundation.networks.unet` cannot is refused by name.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foundation.files import checkpoints
from foundation.files.atomic_write import atomic_write
from foundation.files.checkpoints import CheckpointError
from foundation.files.settings import SettingsError
from foundation.networks.unet import UNetConfig, count_parameters
from foundation.training.commands import PROGRAM_VERSION
from koopman_core import inert_pickle
from koopman_core.edm import EDM, SIGMA_DATA
from koopman_core.model import bounded_network, load_teacher, save

OFFICIAL_LICENCE = "CC BY-NC-SA 4.0, NVIDIA: not for commercial use"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
MAX_TENSORS = 5_000
_CURE = "take an edm-*-vp.pkl of CIFAR-10, FFHQ or AFHQ"
# settings of the official network that have one value here
_FIXED = {
    "model_type": "SongUNet", "embedding_type": "positional", "encoder_type": "standard",
    "decoder_type": "standard", "channel_mult_noise": 1, "resample_filter": [1, 1], "sigma_data": SIGMA_DATA,
}  # fmt: skip
_DEFAULTS = {
    "label_dim": 0, "augment_dim": 0, "model_channels": 128, "channel_mult": [1, 2, 2, 2], "channel_mult_emb": 4,
    "num_blocks": 4, "attn_resolutions": [16], "dropout": 0.1,
}  # fmt: skip
_NEEDED = ("img_resolution", "img_channels", "model_type")
_WITHOUT_EFFECT = ("use_fp16", "sigma_min", "sigma_max", "label_dropout")  # on the denoiser as it is evaluated here


@dataclass(frozen=True)
class OfficialWeights:
    """What an official file holds.

    Attributes:
        settings: of the network, in the official words.
        tensors: by official name.
        licence: a sentence.
        data: name of the data set as far as the file tells it.
    """

    settings: dict
    tensors: dict[str, Tensor]
    licence: str = "not stated in the file; ask who trained it"
    data: str = ""
    preconditioning: str = field(default="EDMPrecond")


# ------------------------------------------------------------------------------------------------------------
# Names and settings


def network_config(settings: dict) -> UNetConfig:
    """Our network for the official settings.

    Raises:
        CheckpointError: a setting that is unknown, missing, or has a value that our network does not have.
    """
    settings = _plain_settings(settings)
    for key in _NEEDED:
        if key not in settings:
            raise CheckpointError(f"The settings lack {key}: {_CURE}.")
    known = _FIXED.keys() | _DEFAULTS.keys() | {*_NEEDED, *_WITHOUT_EFFECT}
    for key in settings:
        if key not in known:
            raise CheckpointError(f"The network has a setting {str(key)[:80]!r} that is not known here: {_CURE}.")
    for key, value in _FIXED.items():
        if key in settings and settings[key] != value:
            raise CheckpointError(f"{key} is {str(settings[key])[:80]!r}, but only {value!r} is built here: {_CURE}.")
    s = _DEFAULTS | settings
    for key in ("model_channels", "channel_mult_emb"):
        if type(s[key]) is not int:
            raise CheckpointError(f"{key} must be a whole number: {_CURE}.")
    network = {
        "resolution": s["img_resolution"], "channels": s["img_channels"], "base": s["model_channels"],
        "multipliers": s["channel_mult"], "blocks": s["num_blocks"], "attention": s["attn_resolutions"],
        "embedding": s["model_channels"] * s["channel_mult_emb"], "dropout": s["dropout"],
        "classes": s["label_dim"], "augment": s["augment_dim"],
    }  # fmt: skip
    try:
        return bounded_network(network)
    except (SettingsError, ValueError) as e:
        raise CheckpointError(f"The settings give no network: {str(e)[:200]}") from None


def _plain_settings(settings: dict) -> dict:
    """Settings of numbers, short texts and short lists of them: others could be too large to compare or to print."""

    def scalar(value) -> bool:
        if isinstance(value, int):
            return abs(value) < 2**63
        return value is None or isinstance(value, float) or (isinstance(value, str) and len(value) < 200)

    plain = {}
    for key, value in settings.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if not isinstance(key, str) or len(parts) > 16 or not all(scalar(v) for v in parts):
            raise CheckpointError(f"The setting {str(key)[:80]!r} is no number, text or short list: {_CURE}.")
        plain[key] = list(value) if isinstance(value, tuple) else value
    return plain


def official_settings(config: UNetConfig) -> dict:
    """The official settings of our network.

    Raises:
        CheckpointError: the official code has no such network.
    """
    if config.patch_size != 1 or config.embedding % config.base:
        raise CheckpointError(
            "The official code knows neither patches nor an embedding that is no multiple of the base width: "
            "this teacher cannot be written for it."
        )
    if config.encoder_depth or config.decoder_depth:
        raise CheckpointError(
            "The official code knows no further blocks without skips: this network cannot be written for it.",
            "encoder_depth" if config.encoder_depth else "decoder_depth",
        )
    return {
        "img_resolution": config.resolution, "img_channels": config.channels, "label_dim": config.classes,
        **{k: v for k, v in _FIXED.items() if k != "sigma_data"},
        "model_channels": config.base, "channel_mult": list(config.multipliers),
        "channel_mult_emb": config.embedding // config.base, "num_blocks": config.blocks,
        "attn_resolutions": list(config.attention), "dropout": config.dropout, "augment_dim": config.augment,
    }  # fmt: skip


def layer_names(config: UNetConfig) -> dict[str, str]:
    """Official name of every layer -> ours."""
    names = {f"model.map_{k}": f"net.embedding.{k}" for k in ("layer0", "layer1", "label", "augment")}
    levels = [(level, f"{config.resolution >> level}x{config.resolution >> level}")
              for level in range(len(config.multipliers))]  # fmt: skip
    encoder = []
    for level, side in levels:
        encoder.append(f"{side}_down" if level else f"{side}_conv")
        encoder += [f"{side}_block{i}" for i in range(config.blocks)]
    decoder = []
    for level, side in reversed(levels):
        decoder += [f"{side}_up"] if level < len(levels) - 1 else [f"{side}_in0", f"{side}_in1"]
        decoder += [f"{side}_block{i}" for i in range(config.blocks + 1)]
    for part, layers in (("encoder", encoder), ("decoder", decoder)):
        names |= {f"model.{part[:3]}.{name}": f"net.{part}.layers.{i}" for i, name in enumerate(layers)}
    side = levels[0][1]
    return names | {f"model.dec.{side}_aux_{k}": f"net.decoder.{k}" for k in ("norm", "conv")}


def filter_names(config: UNetConfig) -> list[str]:
    """Official names of the resampling filters, which are fixed here."""
    layers = [name for name in layer_names(config) if name.endswith(("_down", "_up"))]
    return [f"{layer}.{conv}.resample_filter" for layer in layers for conv in ("conv0", "skip")]


def tensor_names(config: UNetConfig) -> dict[str, str]:
    """Official name of every parameter -> ours."""
    with torch.device("meta"):
        ours = list(EDM(config).state_dict())
    official = {mine: theirs for theirs, mine in layer_names(config).items()}
    names = {}
    for name in ours:
        layer = next(k for k in (name.rsplit(".", 1)[0], name.rsplit(".", 2)[0]) if k in official)
        names[official[layer] + name.removeprefix(layer)] = name
    return names


def _rows_to_ours(qkv: Tensor) -> Tensor:
    return qkv.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)


def _rows_to_official(qkv: Tensor) -> Tensor:
    return qkv.unflatten(0, (3, -1)).transpose(0, 1).flatten(0, 1)


def to_teacher(official: OfficialWeights) -> EDM:
    """A teacher with these weights, float32, in eval mode.

    Raises:
        CheckpointError: settings that are not held here; tensors that are missing, unknown, misshapen or not finite.
    """
    if official.preconditioning != "EDMPrecond":
        raise CheckpointError(f"The preconditioning is {official.preconditioning[:80]!r}, not EDM's: {_CURE}.")
    config = network_config(official.settings)
    with torch.device("meta"):
        teacher = EDM(config)
    shapes, names, filters = checkpoints.expected_shapes(teacher), tensor_names(config), filter_names(config)
    expected, there = {*names, *filters}, official.tensors.keys()
    if expected != there:
        first = sorted(expected ^ there)[0]
        raise CheckpointError(
            f"The tensors do not fit the settings: {len(expected - there)} missing, {len(there - expected)} unknown "
            f"(first: {first[:80]!r})."
        )
    for name in filters:
        if not torch.equal(official.tensors[name].float(), torch.full((1, 1, 2, 2), 0.25)):
            raise CheckpointError(f"{name} is not the box filter [1, 1]: {_CURE}.")
    state = {}
    for theirs, ours in names.items():
        t = official.tensors[theirs]
        if tuple(t.shape) != shapes[ours]:
            raise CheckpointError(f"{theirs} has shape {tuple(t.shape)}, expected {shapes[ours]}.")
        if not t.is_floating_point():
            raise CheckpointError(f"{theirs} is of type {t.dtype}: weights are floats.")
        t = t.float()
        if not bool(torch.isfinite(t).all()):
            raise CheckpointError(f"{theirs} holds NaN or infinity; the file is unusable.")
        state[ours] = (_rows_to_ours(t) if ".qkv." in theirs else t).contiguous().clone()
    teacher.load_state_dict(state, assign=True)
    return teacher.eval().requires_grad_(False)


def to_official(teacher: EDM) -> OfficialWeights:
    """The same network under the official names.

    Raises:
        CheckpointError: the official code has no such network.
    """
    settings, state = official_settings(teacher.config), teacher.state_dict()
    tensors = {
        theirs: (_rows_to_official(state[ours]) if ".qkv." in theirs else state[ours])
        for theirs, ours in tensor_names(teacher.config).items()
    }
    tensors |= {name: torch.full((1, 1, 2, 2), 0.25) for name in filter_names(teacher.config)}
    return OfficialWeights(settings, tensors, teacher.card.get("licence", ""))


# ------------------------------------------------------------------------------------------------------------
# Files


def read_official(path: str | Path) -> OfficialWeights:
    """An official pickle, or a .safetensors or .npz file with the official names.

    Raises:
        CheckpointError: with a sentence that says what is wrong. Nothing in the file has been run.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as e:
        raise CheckpointError(f"{path.name} cannot be read ({e.strerror}): check the path.") from None
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: name the file that holds the weights.")
    if size > inert_pickle.MAX_FILE_BYTES:
        raise CheckpointError(f"{path.name} has {size / 1e6:,.0f} MB, more than any network that is built here.")
    read = {".safetensors": _read_safetensors, ".npz": _read_npz}.get(path.suffix, _read_pickle)
    try:
        return read(path)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as e:
        why = str(e) if isinstance(e, ValueError) else type(e).__name__
        raise CheckpointError(f"{path.name} is not converted: {why[:300].rstrip('.')}.") from None


def _read_pickle(path: Path) -> OfficialWeights:
    root = inert_pickle.read(path)
    if not isinstance(root, dict) or "ema" not in root:
        raise ValueError("it holds no `ema`, the averaged network of an official training")
    kind, state = inert_pickle.described(root["ema"], "`ema`")
    modules = state.get("_modules")
    if not isinstance(modules, dict) or "model" not in modules:
        raise ValueError("`ema` has no network in it")
    network, inner = inert_pickle.described(modules["model"], "the network")
    if state.get("_init_args") not in ((), None) or not isinstance(state.get("_init_kwargs"), dict):
        raise ValueError("the settings of `ema` are not given by name")
    held = {k: state[k] for k in ("sigma_data", "label_dim", "img_resolution", "img_channels") if k in state}
    named = {k: v for k, v in state["_init_kwargs"].items() if k != "class_name"}
    settings = _plain_settings(held | named | {"model_type": network})
    # settings of the network itself must not say something else
    arguments = inner.get("_init_kwargs")
    known = _FIXED.keys() | _DEFAULTS.keys()
    inner_settings = {k: v for k, v in arguments.items() if k in known} if isinstance(arguments, dict) else {}
    for key, value in _plain_settings(inner_settings).items():
        if settings.setdefault(key, value) != value:
            raise ValueError(f"{key} has two values")
    data = root.get("dataset_kwargs")
    folder = data.get("path", "") if isinstance(data, dict) else ""
    name = folder.replace("\\", "/").rsplit("/", 1)[-1] if isinstance(folder, str) else ""
    name = name.removesuffix(".zip")[:80]
    return OfficialWeights(settings, inert_pickle.state_dict(root["ema"]), OFFICIAL_LICENCE, name, kind)


def _checked_count(shapes: dict[str, tuple[int, ...]]) -> None:
    if len(shapes) > MAX_TENSORS or sum(int(np.prod(s, dtype=object)) for s in shapes.values()) > (
        checkpoints.MAX_PARAMETERS
    ):
        raise ValueError(f"it asks for more than {checkpoints.MAX_PARAMETERS:,} parameters, the limit here")


def _json_settings(text: str | bytes) -> dict:
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError("its `settings` are no JSON table")
    return settings


def _read_safetensors(path: Path) -> OfficialWeights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as f:
            about = f.metadata() or {}
            _checked_count({name: tuple(f.get_slice(name).get_shape()) for name in f.keys()})  # noqa: SIM118
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    except SafetensorError as e:
        raise ValueError(f"it is damaged ({str(e)[:100]})") from None
    if "settings" not in about:
        raise ValueError("its metadata has no `settings`, the network's in the official words as JSON")
    licence = about.get("licence") or OfficialWeights.licence
    return OfficialWeights(_json_settings(about["settings"]), tensors, licence[:500])


def _read_npz(path: Path) -> OfficialWeights:
    tensors: dict[str, Tensor] = {}
    settings = None
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = [m for m in archive.infolist() if m.filename.startswith(("tensor/", "settings"))]
            if sum(m.file_size for m in wanted) > inert_pickle.MAX_FILE_BYTES or len(wanted) > MAX_TENSORS:
                raise ValueError("it unpacks to more than any network that is built here")
            for member in wanted:
                array = _array(archive.read(member))
                if member.filename == "settings.npy":
                    settings = _json_settings(array.astype(np.uint8).tobytes())
                else:
                    name = member.filename.removeprefix("tensor/").removesuffix(".npy")
                    tensors[name] = torch.from_numpy(array)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as e:
        raise ValueError(f"it is no .npz file, or a damaged one ({type(e).__name__})") from None
    except Exception as e:
        if type(e).__module__ == "zlib":
            raise ValueError("it is a damaged .npz file") from None
        raise
    if settings is None:
        raise ValueError("it has no array `settings`, the network's in the official words as JSON bytes")
    _checked_count({name: tuple(t.shape) for name, t in tensors.items()})
    return OfficialWeights(settings, tensors)


def _array(data: bytes) -> np.ndarray:
    """A .npy file of floats or bytes, whose header is checked against its length before memory is taken."""
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError("it has an array in an unknown format")
    shape, fortran, dtype = header(file)
    count = int(np.prod(shape, dtype=object))
    if dtype.kind not in "fu" or count < 0 or count * dtype.itemsize != len(data) - file.tell():
        raise ValueError("an array in it is of another type or length than it says")
    flat = np.frombuffer(data, dtype.newbyteorder("="), offset=file.tell())
    if dtype.byteorder == ">":
        flat = flat.byteswap()
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _card(official: OfficialWeights, teacher: EDM, source: Path, name: str) -> dict:
    from foundation.data.datasets import CIFAR_CLASSES

    words = f"{official.data} {source.name}".lower()
    cifar = "cifar10" in words.replace("-", "") and teacher.config.resolution == 32
    data = {"name": official.data or "unknown", "classes": [], "licence": "see the data set"}
    if cifar:
        classes = list(CIFAR_CLASSES) if teacher.config.classes == len(CIFAR_CLASSES) else []
        data = {**data, "name": "cifar10", "spec": "cifar10", "classes": classes}
    return {
        "name": f"{name.removesuffix('-teacher')}-teacher", "kind": "EDM teacher", "data": data,
        "licence": official.licence, "version": PROGRAM_VERSION, "parameters": count_parameters(teacher), "metrics": {},
        "origin": {
            "file": source.name, "sha256": checkpoints.sha256(source),
            "summary": "converted from official EDM weights (Karras et al. 2022)",
        },
    }  # fmt: skip


def convert(source: str | Path, out: str | Path, *, dtype: torch.dtype = torch.float32, name: str = "") -> EDM:
    """Write the teacher that an official file holds; `load_teacher` reads it.

    Args:
        source: see `read_official`.
        out: .safetensors file; its folder is made.
        dtype: of the numbers on disk. In float16 D is off by 2e-3 at the paper's size.
        name: in the card; the source's by default.

    Raises:
        CheckpointError: nothing is written then.
    """
    source, out = Path(source), _safetensors_path(out)
    official = read_official(source)
    try:
        teacher = to_teacher(official)
    except CheckpointError as e:
        raise CheckpointError(f"{source.name}: {e}") from None
    save(teacher, out, _card(official, teacher, source, name or source.stem), dtype=dtype)
    return teacher


def export(source: str | Path, out: str | Path) -> None:
    """Write a teacher of ours under the official names, settings and licence in the metadata, float32.

    Raises:
        CheckpointError: nothing is written then.
    """
    from safetensors.torch import save_file

    out = _safetensors_path(out)
    official = to_official(load_teacher(source))
    metadata = {"settings": json.dumps(official.settings), "licence": official.licence}
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as part:
        save_file({k: t.float().contiguous().clone() for k, t in official.tensors.items()}, part, metadata)


def _safetensors_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path.name} must end in .safetensors: models are read from such files alone.", "out")
    return path


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    parser = argparse.ArgumentParser(prog="koopman_core.convert", description=__doc__.split("\n\n")[0])
    parser.add_argument("source", type=Path, help="official file (.pkl, .safetensors, .npz); with --to-edm a teacher")
    parser.add_argument("out", type=Path, help=".safetensors file to write")
    parser.add_argument("--to-edm", action="store_true", help="from ours to the official names")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the numbers on disk (float32)")
    parser.add_argument("--name", default="", help="in the card; the source's by default")
    args = parser.parse_args(argv)
    try:
        if args.to_edm:
            export(args.source, args.out)
            print(f"{args.out}: the official names of {args.source.name}")
        else:
            teacher = convert(args.source, args.out, dtype=DTYPES[args.dtype], name=args.name)
            print(f"{args.out}: {count_parameters(teacher):,} parameters. Licence: {teacher.card['licence']}.")
    except CheckpointError as e:
        print(f"koopman_core.convert: {e}", file=sys.stderr)
        return 2
    except OSError as e:
        why = e.strerror or type(e).__name__
        print(f"koopman_core.convert: {args.out} cannot be written ({why}): choose another place.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
