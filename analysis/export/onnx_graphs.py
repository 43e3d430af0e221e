"""An HKD model as two ONNX graphs, encoder and decoder; all between them is a closed form that needs no graph.

Weights are stored in half precision, which is what checkpoints of ours hold, and brought to float32 by a cast that
every runtime folds when it loads: files are half as large, sums are as exact as before.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from foundation import noise
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanDiffusion

OPSET = 20
HALF_FROM = 64  # numbers in a tensor from which on it is stored in half precision
TOLERANCE = 2 * 2 / 255  # of pictures in [-1, 1]: two steps of a byte
CHECKED_SEEDS = (0, 1, 2, 3)
MISSING = "The web page needs the packages of the extra `web`: pip install 'koopman-studio[web]', or onnx, onnxscript "
MISSING += "and onnxruntime."


@dataclass(frozen=True)
class Difference:
    """Largest absolute differences between the graphs and PyTorch.

    Attributes:
        latents: over all latents of the checked seeds, relative to the largest absolute value of each latent.
        pictures: decoded pictures, nominally in [-1, 1].
        half: whether weights are stored in half precision.
    """

    latents: float
    pictures: float
    half: bool


class Encoder(nn.Module):
    """(x, sigma, label) -> every skip; the bottleneck is the last skip once more and left out."""

    def __init__(self, model: KoopmanDiffusion):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(self.model.encode(x, sigma, label)[:-1])


class Decoder(nn.Module):
    """(latents, label) -> picture; the latents are every skip, then the bottleneck."""

    def __init__(self, model: KoopmanDiffusion):
        super().__init__()
        self.model = model

    def forward(self, z: list[Tensor], label: Tensor | None = None) -> Tensor:
        return self.model.decode(z, label)


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(MISSING) from None


def _attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """One head of attention on (B, n, c), which the exporter knows for four axes only."""
    op = _library("onnxscript").opset20
    scaled = op.Mul(query, op.Constant(value_float=float(query.shape[-1]) ** -0.5))
    return op.MatMul(op.Softmax(op.MatMul(scaled, op.Transpose(key, perm=[0, 2, 1])), axis=-1), value)


def _exported(module: nn.Module, arguments: tuple, names: Sequence[str], outputs: Sequence[str], what: str) -> Any:
    """The module as an onnx ModelProto.

    Raises:
        UserError: an operation that ONNX does not know.
    """
    table: dict[Callable[..., Any], Callable[..., Any]] = {
        torch.ops.aten.scaled_dot_product_attention.default: _attention
    }
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch's exporter about itself
            program = torch.onnx.export(
                module.eval(), arguments, dynamo=True, opset_version=OPSET, custom_translation_table=table,
                input_names=list(names), output_names=list(outputs), verbose=False,
            )  # fmt: skip
    except Exception as e:  # the exporter wraps whatever its steps raise
        reason = next((line for line in str(e).splitlines() if line.startswith("<class")), type(e).__name__)
        raise UserError(
            f"The {what} of this model cannot be written as ONNX ({reason[:200]}): the page takes networks of "
            "foundation.networks.unet with operators of koopman_core.operator.",
            "model",
        ) from None
    assert program is not None  # dynamo=True always gives one
    return program.model_proto


def halved(graph: Any) -> Any:
    """The same ModelProto with large float32 weights stored in half precision, each behind a cast."""
    onnx = _library("onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    nodes = []
    for tensor in copy.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.data_type != onnx.TensorProto.FLOAT or values.size < HALF_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        nodes.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    rest = list(copy.graph.node)
    del copy.graph.node[:]
    copy.graph.node.extend([*nodes, *rest])
    del copy.graph.value_info[:]  # shapes are inferred again when a runtime loads the graph
    copy.doc_string = copy.graph.doc_string = ""
    for node in rest:  # where each operation came from in the source: half a megabyte of paths
        del node.metadata_props[:]
        node.doc_string = ""
    return copy


def inputs_of(model: KoopmanDiffusion) -> list[str]:
    """Names of the decoder's latents: "z0" ... in the order of `encode`."""
    return [f"z{i}" for i in range(len(model.operators))]


def graphs(model: KoopmanDiffusion) -> tuple[Any, Any]:
    """Encoder and decoder as ModelProtos with float32 weights, for one picture at a time.

    Inputs are x (1, C, H, W) float32, sigma (1,) float32 and, for a model with classes, label (1,) int64 with -1 for
    no class; the decoder's are the latents.
    """
    names = inputs_of(model)
    label = (torch.zeros(1, dtype=torch.int64),) if model.config.classes else ()
    told = ["label"] if label else []
    x, sigma = SIGMA_MAX * noise([0], model.picture_shape), torch.full((1,), SIGMA_MAX)
    # zeros, not `encode`'s own: there the last two are one tensor, and the trace would take one input for both
    z = [torch.zeros(1, *shape) for shape in model.config.skip_shapes()]
    encoder = _exported(Encoder(model), (x, sigma, *label), ["x", "sigma", *told], names[:-1], "encoder")
    decoder = _exported(Decoder(model), (z, *label), [*names, *told], ["picture"], "decoder")
    return encoder, decoder


def session(graph: bytes | str | Path, threads: int = 1) -> Any:
    """An onnxruntime session of a graph's bytes or file, on the CPU."""
    ort = _library("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    source = graph if isinstance(graph, bytes) else str(graph)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def difference(model: KoopmanDiffusion, encoder: bytes, decoder: bytes, half: bool = True) -> Difference:
    """What the graphs make of the noise of `CHECKED_SEEDS`, compared with PyTorch."""
    sessions = session(encoder), session(decoder)
    names, classes = inputs_of(model), model.config.classes
    latents = pictures = 0.0
    for k, seed in enumerate(CHECKED_SEEDS):
        label = k % (classes + 1) - 1  # -1 is "no class"
        labels = torch.tensor([label]) if classes else None
        told = {"label": np.array([label], dtype=np.int64)} if classes else {}
        x = SIGMA_MAX * noise([seed], model.picture_shape)
        z = model.encode(x, SIGMA_MAX, labels)
        out = sessions[0].run(None, {"x": x.numpy(), "sigma": np.array([SIGMA_MAX], np.float32), **told})
        for ours, theirs in zip(z, out, strict=False):  # the bottleneck is the last skip
            latents = max(latents, float(np.abs(ours.numpy() - theirs).max() / np.abs(ours.numpy()).max()))
        moved = model.evolve(z, 1.0, 0.0)
        feed = {name: latent.numpy() for name, latent in zip(names, moved, strict=True)}
        picture = sessions[1].run(None, {**feed, **told})[0]
        pictures = max(pictures, float(np.abs(picture - model.decode(moved, labels).numpy()).max()))
    return Difference(latents, pictures, half)


def write_graphs(model: KoopmanDiffusion, folder: Path, report: Progress = None) -> Difference:
    """Write encoder.onnx and decoder.onnx and compare them with the model.

    Weights stay in float32 where half precision changes pictures by more than `TOLERANCE`.

    Args:
        model: any HKD model that ONNX can express.
        folder: made where it is missing.
        report: called with (share done, what); may raise to stop.

    Raises:
        UserError: a package is missing, the model cannot be written, or the graphs compute something else.
    """
    say = report or (lambda share, what: None)
    say(0.0, "encoder and decoder as graphs")
    plain = graphs(model)
    say(0.8, "the graphs against PyTorch")
    for half in (True, False):
        encoder, decoder = ((halved(g) if half else g).SerializeToString() for g in plain)
        found = difference(model, encoder, decoder, half)
        if found.pictures <= TOLERANCE:
            break
    if not found.pictures <= TOLERANCE:  # also for NaN
        raise UserError(
            f"The exported graphs differ from the model by {found.pictures:.2g}, more than {TOLERANCE:.2g}: this model "
            "cannot be shown in the browser.",
            "model",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.onnx").write_bytes(encoder)
    (folder / "decoder.onnx").write_bytes(decoder)
    return found
