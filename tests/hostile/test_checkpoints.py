"""Checkpoints of strangers, of every kind; and the models that a visitor brings, all the way to their pictures."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import flow_core
import koopman_core
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.series import model as series_model
from flow_core.series.model import FrameConfig, SeriesModel
from foundation.files import checkpoints
from foundation.files.checkpoints import CheckpointError
from foundation.networks.unet import UNetConfig
from tests.hostile.judge import judged
from tests.hostile.strategies import ANY, NUMBERS, WORDS, fuzz, mutated, other_fields
from tests.ui.conftest import SIZE
from ui.components.html import model_card, one_line


@dataclass(frozen=True)
class Kind:
    """Attributes: content = an honest file; load = its loader; suffix."""

    content: bytes
    load: Callable[[Path], object]
    suffix: str


def _written(folder: Path, name: str, save: Callable, model: torch.nn.Module) -> bytes:
    save(model, folder / name, {"name": "tiny", "teacher": "tiny", "data": {"classes": []}, "metrics": {"mse": 0.5}})
    return (folder / name).read_bytes()


@pytest.fixture(scope="module")
def kinds(models_folder, tmp_path_factory) -> dict[str, Kind]:
    folder = tmp_path_factory.mktemp("kinds")
    point = PointConfig(2, 8, 1, 1)
    flow = _written(folder, "a.flow.safetensors", flow_core.save, FlowModel(FlowConfig(), point))
    series = _written(
        folder, "a.series.safetensors", series_model.save, SeriesModel(FlowConfig(), point, FrameConfig(dims=2))
    )
    small = UNetConfig(**SIZE | {"resolution": 8, "multipliers": (1,), "base": 8})
    picture = _written(folder, "b.flow.safetensors", flow_core.save, FlowModel(FlowConfig(), small))
    hkd, teacher = ((models_folder / f"tiny.{k}.safetensors").read_bytes() for k in ("hkd", "teacher"))
    return {
        "hkd": Kind(hkd, koopman_core.load, ".hkd.safetensors"),
        "teacher": Kind(teacher, koopman_core.load_teacher, ".teacher.safetensors"),
        "flow": Kind(flow, flow_core.load, ".flow.safetensors"),
        "picture flow": Kind(picture, flow_core.load, ".flow.safetensors"),
        "series": Kind(series, series_model.load, ".series.safetensors"),
    }


KINDS = ("hkd", "teacher", "flow", "picture flow", "series")
_serial = iter(range(10**9))


def put(folder: Path, content: bytes, suffix: str) -> Path:
    """A fresh file: the one before may be mapped into memory still."""
    path = folder / f"f{next(_serial)}{suffix}"
    path.write_bytes(content)
    return path


def assert_model(model: torch.nn.Module) -> None:
    assert all(bool(t.isfinite().all()) for t in model.state_dict().values())
    assert isinstance(model.card, dict) and not model.training


def load_in(folder: Path, kind: Kind, content: bytes):
    path = put(folder, content, kind.suffix)
    try:
        return judged(lambda: kind.load(path), CheckpointError, assert_model)
    finally:
        path.unlink()


def header_of(content: bytes) -> tuple[dict, dict, bytes]:
    """The header, our own part of it, and the data of a checkpoint."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    return header, json.loads(header["__metadata__"][checkpoints.METADATA_KEY]), content[8 + length :]


def file_of(header, meta, data: bytes, length: int | None = None) -> bytes:
    """The inverse; `length` is what the file claims."""
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        header["__metadata__"][checkpoints.METADATA_KEY] = meta if isinstance(meta, str) else json.dumps(meta)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_with_other_bytes(kinds, tmp_path, kind):
    assert load_in(tmp_path, kinds[kind], kinds[kind].content) is not None
    length = 8 + struct.unpack("<Q", kinds[kind].content[:8])[0]

    @fuzz(30)
    @given(content=mutated(kinds[kind].content, header=length))
    def every(content):
        load_in(tmp_path, kinds[kind], content)

    every()


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_with_another_configuration(kinds, tmp_path, kind):
    header, meta, data = header_of(kinds[kind].content)

    @fuzz(50)
    @given(config=other_fields(meta["config"], NUMBERS | WORDS | st.integers(0, 20) | ANY))
    def every(config):
        load_in(tmp_path, kinds[kind], file_of(header, {**meta, "config": config}, data))

    every()


@pytest.mark.parametrize("kind", ["hkd", "flow"])
def test_checkpoints_with_other_tensors(kinds, tmp_path, kind):
    header, meta, data = header_of(kinds[kind].content)
    sizes = st.sampled_from([[2**31, 2**31], [10**9], [0], [2**53] * 8, [1] * 9, [-1], [10**400], "F64", "U8", [0, 8]])

    @fuzz(40)
    @given(table=other_fields({k: v for k, v in header.items() if k != "__metadata__"}, sizes | NUMBERS))
    def every(table):
        table = table if isinstance(table, dict) else {"x": table}
        load_in(tmp_path, kinds[kind], file_of({**table, "__metadata__": header["__metadata__"]}, meta, data))

    every()


@pytest.mark.parametrize("kind", ["hkd", "series"])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 100, 2**20, 2**31, 2**63 - 1, 2**64 - 1])
def test_checkpoints_that_lie_about_the_length_of_their_header(kinds, tmp_path, kind, length):
    assert load_in(tmp_path, kinds[kind], file_of(*header_of(kinds[kind].content), length)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_checkpoints_with_one_number_that_is_none(kinds, tmp_path, kind, value):
    header, meta, data = header_of(kinds[kind].content)
    width = {"F16": "<f2", "F32": "<f4"}[next(v for k, v in header.items() if k != "__metadata__")["dtype"]]
    numbers = np.frombuffer(data, width).copy()
    numbers[len(numbers) // 2] = value
    assert load_in(tmp_path, kinds[kind], file_of(header, meta, numbers.tobytes())) is None


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_with_a_name_twice(kinds, tmp_path, kind):
    header, meta, data = header_of(kinds[kind].content)
    content = file_of(header, meta, data)
    length = struct.unpack("<Q", content[:8])[0]
    name, entry = next((k, v) for k, v in header.items() if k != "__metadata__")
    twin = json.dumps({name: {**entry, "shape": [1, *entry["shape"]]}})[1:-1]
    text = content[8 : 8 + length][:-1] + b", " + twin.encode() + b"}"
    assert load_in(tmp_path, kinds[kind], struct.pack("<Q", len(text)) + text + data) is None


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_of_another_kind(kinds, tmp_path, kind):
    for other in KINDS:
        if kinds[other].suffix != kinds[kind].suffix:
            assert load_in(tmp_path, kinds[kind], kinds[other].content) is None


# ---------------------------------------------------------------------------------------------------------------------
# Models of one's own: what a visitor brings is also listed, described and asked


def use(library: ModelLibrary, path: Path) -> bytes:
    """Everything that the page does with a visitor's model."""
    key = library.own.add(path)
    info, bench = library.info(key), library.get(key)
    said = model_card(info) + one_line(info) + " ".join(bench.classes) + bench.name
    picture = bench.generate(GenerateRequest((1,))).pictures
    bench.mask_bands(MaskRequest(1))
    return said.encode() + picture.tobytes()


def assert_harmless(said: bytes) -> None:
    assert b"<script" not in said and len(said) < 10**6


@fuzz(60)
@given(data=st.data())
def test_own_models_with_another_card(library, kinds, tmp_path, data):
    header, meta, tensors = header_of(kinds["hkd"].content)
    card = data.draw(other_fields(meta["card"]), label="card")
    path = put(tmp_path, file_of(header, {**meta, "card": card}, tensors), ".hkd.safetensors")
    judged(lambda: use(library, path), check=assert_harmless)


@fuzz(30)
@given(data=st.data())
def test_own_models_with_other_bytes(library, kinds, tmp_path, data):
    content = data.draw(mutated(kinds["hkd"].content, header=600))
    judged(lambda: use(library, put(tmp_path, content, ".hkd.safetensors")), check=assert_harmless)


@fuzz(30)
@given(data=st.data())
def test_a_folder_with_a_model_of_another_card(kinds, tmp_path_factory, data):
    """Its page must open: a file that somebody sent is put beside the others."""
    header, meta, tensors = header_of(kinds["hkd"].content)
    card = data.draw(other_fields(meta["card"], WORDS | ANY), label="card")
    folder = tmp_path_factory.mktemp("folder", numbered=True)
    put(folder, file_of(header, {**meta, "card": card}, tensors), ".hkd.safetensors")
    library = ModelLibrary(folder)

    def opened() -> bytes:
        info = library.info(library.default)
        bench = library.get()
        assert bench.teacher is None
        return (model_card(info) + one_line(info) + " ".join(bench.classes)).encode()

    judged(opened, check=assert_harmless)


@fuzz(40)
@given(key=ANY)
def test_keys_that_nobody_was_told(library, key):
    known = (isinstance(key, str) and (key in ("", *library.names()))) or key is None
    found = judged(lambda: library.get(key), check=lambda bench: None)
    assert (found is not None) == known
