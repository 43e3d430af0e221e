"""Checkpoints: safetensors with one JSON header, loaded strictly.

Nothing is unpickled. Everything that a file claims (kind, shapes, number of parameters, extent) is checked
against the file itself and against the network that is expected *before* memory is taken for it.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from foundation.files.atomic_write import atomic_write
from foundation.mistakes import Mistake

CHECKPOINT_FORMAT = 1
METADATA_KEY = "koopman_studio"
MAX_HEADER_BYTES = 4_000_000
MAX_PARAMETERS = 200_000_000
MAX_AXES, MAX_EXTENT = 8, 2**53  # of one tensor: a header of huge numbers takes minutes to multiply out
_BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}


class CheckpointError(Mistake):
    """A checkpoint that cannot be used; `field` is the part of it that is at fault."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        kind: what it holds, e.g. "hkd", "teacher", "training-state".
        config: how to rebuild the network.
        card: data, recipe, metrics.
        shapes: shape of every tensor by name.
    """

    kind: str
    config: dict
    card: dict = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        return sum(math.prod(s) for s in self.shapes.values())


def _reason(e: Exception) -> str:
    """What a library says of a file, as the rest of a sentence of ours."""
    return " ".join(str(e).split())[:200].rstrip(". ").replace(". ", "; ")


def save(path, tensors: Mapping[str, Tensor], *, kind: str, config: dict, card: dict | None = None, dtype=None) -> None:
    """Write atomically: a file that is there is always whole.

    Args:
        path: target; its folder is made.
        tensors: name -> tensor; floating ones are cast to `dtype` when given.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = json.dumps({"format": CHECKPOINT_FORMAT, "kind": kind, "config": config, "card": card or {}})
    out = {}
    for name, t in tensors.items():
        t = t.detach().to("cpu")
        t = t.to(dtype) if dtype is not None and t.is_floating_point() else t
        out[name] = t.contiguous().clone()  # clone: safetensors refuses tensors that share storage
    with atomic_write(path) as part:
        save_file(out, part, metadata={METADATA_KEY: meta})


def peek(path, *, max_parameters: int = MAX_PARAMETERS) -> Header:
    """Read and check the header alone; no tensor is read.

    Raises:
        CheckpointError: not a safetensors file of ours, malformed, or larger than `max_parameters`.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with open(path, "rb") as f:
            head = f.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointError(
                    f"{path.name} is not a safetensors file: its header length is out of range.", "header length"
                )
            raw = json.loads(f.read(length).decode("utf-8"))
    except OSError as e:
        raise CheckpointError(f"{path.name} cannot be read ({e.strerror}): check the path.", "path") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as e:
        if isinstance(e, CheckpointError):
            raise
        raise CheckpointError(f"{path.name} is not a safetensors file: its header is not JSON.", "header") from None
    meta = _metadata(path, raw)
    shapes = _shapes(path, raw, size - 8 - length, max_parameters)
    return Header(meta["kind"], meta["config"], meta.get("card") or {}, shapes)


def _metadata(path: Path, raw) -> dict:
    if not isinstance(raw, dict) or not isinstance(raw.get("__metadata__"), dict):
        raise CheckpointError(
            f"{path.name} carries no Koopman Studio header: save it with foundation.files.checkpoints.save.", "metadata"
        )
    try:
        meta = json.loads(raw["__metadata__"][METADATA_KEY])
        if not isinstance(meta, dict):
            raise TypeError("not a table")
        json.dumps(meta, ensure_ascii=False).encode()  # half a character could be read, and shown to nobody
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(
            f"{path.name} carries no Koopman Studio header: save it with foundation.files.checkpoints.save.", "metadata"
        ) from None
    if meta.get("format") != CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{path.name} has format {meta.get('format')!r:.40}; this version reads format {CHECKPOINT_FORMAT}.",
            "format",
        )
    well_formed = isinstance(meta.get("kind"), str) and isinstance(meta.get("config"), dict)
    if not well_formed or not isinstance(meta.get("card") or {}, dict):
        raise CheckpointError(f"{path.name} has a damaged header: kind, config or card is missing.", "metadata")
    return meta


def _shapes(path: Path, raw: dict, data_bytes: int, max_parameters: int) -> dict[str, tuple[int, ...]]:
    shapes, total = {}, 0
    for name, entry in raw.items():
        if name == "__metadata__":
            continue
        try:
            shape, (start, end), width = tuple(entry["shape"]), entry["data_offsets"], _BYTES[entry["dtype"]]
            whole = len(shape) <= MAX_AXES and all(
                type(n) is int and 0 <= n <= MAX_EXTENT for n in (*shape, start, end)
            )
        except (KeyError, TypeError, ValueError):
            whole = False
        count = math.prod(shape) if whole else 0
        if not whole or end - start != count * width or end > data_bytes:
            raise CheckpointError(
                f"{path.name} is damaged: the entry of {str(name)[:80]!r} does not fit the file.", "tensors"
            )
        total += count
        if total > max_parameters:
            raise CheckpointError(
                f"{path.name} asks for more than {max_parameters:,} parameters, the limit here.", "parameters"
            )
        shapes[name] = shape
    return shapes


def load_tensors(
    path,
    expected: Mapping[str, tuple[int, ...]] | None = None,
    *,
    kind: str | None = None,
    max_parameters: int = MAX_PARAMETERS,
) -> dict[str, Tensor]:
    """All tensors, floating ones as float32, after every check.

    Args:
        expected: name -> shape that must be met exactly; None takes what the file has.
        kind: the kind that the header must name.
        max_parameters: most numbers that the file may hold.

    Raises:
        CheckpointError: wrong kind, too large, missing / unknown / misshapen tensors, NaN or infinity.
    """
    path = Path(path)
    header = peek(path, max_parameters=max_parameters)
    if kind is not None and header.kind != kind:
        raise CheckpointError(
            f"{path.name} holds a {header.kind!r:.40} checkpoint, but a {kind!r} one is needed here.", "kind"
        )
    if expected is not None:
        missing, unknown = expected.keys() - header.shapes.keys(), header.shapes.keys() - expected.keys()
        if missing or unknown:
            raise CheckpointError(
                f"{path.name} does not fit its own configuration: {len(missing)} tensors missing, "
                f"{len(unknown)} unknown (first: {sorted(missing | unknown)[0]!r:.80}).",
                "tensors",
            )
        for name, shape in expected.items():
            if header.shapes[name] != tuple(shape):
                raise CheckpointError(
                    f"{path.name}: {name} has shape {header.shapes[name]}, expected {tuple(shape)}.", name
                )
    try:
        tensors = load_file(path)
    except Exception as e:  # safetensors raises its own type for any damage that the header check let through
        raise CheckpointError(f"{path.name} is damaged: {_reason(e)}.", "file") from None
    if {name: tuple(t.shape) for name, t in tensors.items()} != header.shapes:
        raise CheckpointError(f"{path.name} is damaged: its header can be read in two ways.", "header")
    for name, t in tensors.items():
        if t.is_floating_point():
            # before the check: a double can be finite and too large for float32. A copy: the file's own memory is not
            # aligned, and kernels round differently on unaligned weights
            tensors[name] = t = t.to(torch.float32, copy=True)
            if not bool(torch.isfinite(t).all()):
                raise CheckpointError(
                    f"{path.name}: {name:.80} holds NaN or infinity; the checkpoint is unusable.", name
                )
    return tensors


def copy_with_card(source, target, card: dict) -> None:
    """The same tensors, bit for bit and in their own types, under another card; `target` may be `source`.

    Raises:
        CheckpointError: `source` is not a checkpoint of ours, or damaged.
    """
    header = peek(source)
    try:
        tensors = load_file(source)
    except Exception as e:  # as in load_tensors
        raise CheckpointError(f"{Path(source).name} is damaged: {_reason(e)}.", "file") from None
    save(target, tensors, kind=header.kind, config=header.config, card=card)


def expected_shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything in a module's state, as `load_tensors` wants it."""
    return {name: tuple(t.shape) for name, t in module.state_dict().items()}


def sha256(path) -> str:
    """Sha256 of a file, 64 hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _plain(config: object) -> dict:
    # to_dict does not mention what older files did not know
    if hasattr(config, "to_dict"):
        return config.to_dict()
    if not is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"A configuration is a dataclass, not a {type(config).__name__}.")
    return asdict(config)


_checksums: WeakKeyDictionary[torch.nn.Module, str] = WeakKeyDictionary()


def checksum(model: torch.nn.Module) -> str:
    """Sha256 of a model's configuration and weights, 64 hex digits.

    Of what a checkpoint holds, not of the file: measuring a model rewrites the card in its file, and recipes must live
    on. Remembered for each model object, since weights do not change while they are looked at.
    """
    if model not in _checksums:
        parts = {name: getattr(model, name, None) for name in ("koopman", "flow", "frame")}
        parts = {"network": model.config} | {k: v for k, v in parts.items() if is_dataclass(v)}
        # "koopman" in any case: checksums in older recipes live on
        config = {"koopman": None} | {k: _plain(v) for k, v in parts.items()}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        _checksums[model] = digest.hexdigest()
    return _checksums[model]
