"""Checkpoints: what was saved comes back, and no file, however damaged, gives anything but a sentence."""

from __future__ import annotations

import json
import math
import os
import random
import struct
import time
from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.files import checkpoints
from foundation.files.checkpoints import CheckpointError, expected_shapes, load_tensors, peek, save, sha256
from foundation.networks.unet import UNet, UNetConfig
from tests.refusals import refuses

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3) / 7,
    "bias": torch.tensor([-1.0, 2.0]),
    "step": torch.tensor(5.0),
    "count": torch.tensor([1, 2**40]),
}
SHAPES = {"weight": (2, 3), "bias": (2,), "step": (), "count": (2,)}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    save(path, TENSORS, kind="hkd", config={"base": 8}, card={"name": "é", "metrics": {"loss": 0.5}})
    return path


def parts(path) -> tuple[dict, bytes]:
    """Header and data of a safetensors file, read by hand."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write(path, header, data: bytes, length: int | None = None) -> None:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.unlink(missing_ok=True)  # a new file: a tensor of the old one may still be mapped from it
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)


def edited(path, edit: Callable[[dict], object]):
    """The file with its header changed in place by `edit`, or replaced by what that returns."""
    header, data = parts(path)
    header = edit(header) or header
    write(path, header, data)
    return path


def edited_meta(path, **changes):
    def edit(header):
        meta = json.loads(header["__metadata__"][checkpoints.METADATA_KEY])
        meta = {k: v for k, v in (meta | changes).items() if v is not ...}
        header["__metadata__"][checkpoints.METADATA_KEY] = json.dumps(meta)

    return edited(path, edit)


def refused(path, field: str | set[str], match: str | None = None, **options) -> str:
    with pytest.raises(CheckpointError, match=match) as caught:
        load_tensors(path, **options)
    assert caught.value.field in ({field} if isinstance(field, str) else field)
    message = str(caught.value)
    assert len(message) < 600 and str(path.parent) not in message
    message.encode()  # a lone surrogate of the file would break the page that shows it
    return message


# --- round trip ------------------------------------------------------------------------------------------------


def test_round_trip(good):
    header = peek(good)
    assert (header.kind, header.config) == ("hkd", {"base": 8})
    assert header.card == {"name": "é", "metrics": {"loss": 0.5}}
    assert header.shapes == SHAPES and header.parameters == 6 + 2 + 1 + 2
    loaded = load_tensors(good, SHAPES, kind="hkd")
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_are_stored_narrow_and_loaded_as_float32(tmp_path, dtype):
    path = tmp_path / "x.safetensors"
    save(path, TENSORS, kind="hkd", config={}, dtype=dtype)
    loaded = load_tensors(path)
    for name, tensor in TENSORS.items():
        expected = tensor.to(dtype).float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded[name], expected) and loaded[name].dtype == expected.dtype


def test_shared_strided_and_trainable_tensors(tmp_path):
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    path = tmp_path / "sub" / "folder" / "x.safetensors"  # folders are made
    save(path, {"a": base, "b": base, "t": base.T, "row": base[1]}, kind="hkd", config={})
    loaded = load_tensors(path)
    assert torch.equal(loaded["a"], base) and torch.equal(loaded["b"], base)
    assert torch.equal(loaded["t"], base.T) and torch.equal(loaded["row"], base[1])


def test_a_network_is_rebuilt_from_its_own_config(tmp_path):
    config = UNetConfig(resolution=8, base=4, multipliers=(1,), blocks=1, attention=(), embedding=8)
    net = UNet(config).eval()
    path = tmp_path / "net.safetensors"
    save(path, net.state_dict(), kind="teacher", config=config.to_dict())
    other = UNet(UNetConfig(**peek(path).config)).eval()
    other.load_state_dict(load_tensors(path, expected_shapes(other), kind="teacher"))
    x, c_noise = torch.randn(2, 3, 8, 8), torch.zeros(2)
    assert torch.equal(net(x, c_noise), other(x, c_noise))


def test_empty_tensors_and_no_tensors(tmp_path):
    save(tmp_path / "a.safetensors", {"none": torch.zeros(0, 3)}, kind="hkd", config={})
    assert load_tensors(tmp_path / "a.safetensors", {"none": (0, 3)})["none"].shape == (0, 3)
    save(tmp_path / "b.safetensors", {}, kind="hkd", config={})
    assert load_tensors(tmp_path / "b.safetensors", {}) == {}


def test_sha256(good):
    import hashlib

    assert sha256(good) == hashlib.sha256(good.read_bytes()).hexdigest()


def test_loaded_tensors_outlive_their_file(good):
    loaded = load_tensors(good)
    save(good, {k: torch.zeros_like(t) for k, t in TENSORS.items()}, kind="hkd", config={})
    assert torch.equal(loaded["weight"], TENSORS["weight"])


# --- atomicity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["save_file", "fsync", "replace", "json"])
def test_a_save_that_fails_leaves_the_old_file(good, monkeypatch, broken):
    before = good.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    config: dict = {}
    if broken == "save_file":

        def half(tensors, filename, **_):
            filename.write_bytes(before[:50])
            fail()

        monkeypatch.setattr(checkpoints, "save_file", half)
    elif broken == "json":
        config = {"unfit": object()}
    else:
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises((OSError, TypeError)):
        save(good, {"weight": torch.zeros(5)}, kind="hkd", config=config)
    assert good.read_bytes() == before
    assert os.listdir(good.parent) == [good.name]  # nothing half-written is left lying about


def test_a_save_replaces_the_old_file_in_one_step(good, monkeypatch):
    """At the moment of the replacement the new file is whole."""
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(load_tensors(a)), replace(a, b)))
    save(good, {"weight": torch.ones(5)}, kind="hkd", config={})
    assert torch.equal(seen[0]["weight"], torch.ones(5)) and load_tensors(good).keys() == {"weight"}


# --- refusals --------------------------------------------------------------------------------------------------


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "none.safetensors", "path")
    (tmp_path / "folder.safetensors").mkdir()
    refused(tmp_path / "folder.safetensors", "path")


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, -60, -1])
def test_truncated(good, keep):
    content = good.read_bytes()
    good.unlink()
    good.write_bytes(content[:keep])
    refused(good, {"header", "header length", "tensors", "file"})


def test_trailing_bytes(good):
    with open(good, "ab") as f:
        f.write(b"\0" * 8)
    refused(good, "file")


@pytest.mark.parametrize("length", [0, 1, 10_000, 2**31, 2**63, 2**64 - 1])
def test_header_length_out_of_range(good, length):
    header, data = parts(good)
    write(good, header, data, length=length)
    refused(good, "header length")


def test_header_too_long(good):
    header, data = parts(good)
    write(good, json.dumps(header).encode() + b" " * checkpoints.MAX_HEADER_BYTES, data)
    refused(good, "header length")


@pytest.mark.parametrize("raw", [b"not json", b"\xff\xfe\xff\xfe", b'{"a": ', b"[" * 100_000, b"1" * 10_000])
def test_header_is_not_json(good, raw):
    write(good, raw, b"")
    refused(good, "header")


@pytest.mark.parametrize("header", [[], 33, None, "x", {}, {"__metadata__": None}, {"__metadata__": {"other": "1"}}])
def test_header_without_our_metadata(good, header):
    write(good, json.dumps(header).encode(), b"")
    refused(good, "metadata")


@pytest.mark.parametrize("meta", ["", "{", "[]", "3", "null", "[" * 100_000, 3, None, {"format": 1}])
def test_metadata_is_not_ours(good, meta):
    edited(good, lambda header: header["__metadata__"].update({checkpoints.METADATA_KEY: meta}))
    refused(good, "metadata")


def test_half_a_character_in_a_header_is_refused(good):
    """Python reads it, and then no answer can hold it."""
    refused(edited_meta(good, card={"name": "\ud800"}), "metadata")


def test_a_plain_safetensors_file(tmp_path):
    safetensors.torch.save_file({"a": torch.zeros(3)}, tmp_path / "x.safetensors")
    refused(tmp_path / "x.safetensors", "metadata")


@pytest.mark.parametrize("version", [0, 2, "1", None, ..., "x" * 100_000, [[]] * 10_000], ids=lambda v: repr(v)[:9])
def test_another_format(good, version):
    refused(edited_meta(good, format=version), "format")


@pytest.mark.parametrize(
    "changes", [{"kind": 3}, {"kind": ...}, {"config": []}, {"config": ...}, {"card": 3}, {"card": "x"}], ids=repr
)
def test_damaged_metadata(good, changes):
    refused(edited_meta(good, **changes), "metadata")


def test_no_card_is_an_empty_card(good):
    assert peek(edited_meta(good, card=...)).card == {}
    assert peek(edited_meta(good, card=None)).card == {}


def test_wrong_kind(good):
    refused(good, "kind", "'hkd' .*'teacher'", kind="teacher")
    refused(edited_meta(good, kind="x" * 100_000), "kind", "'teacher'", kind="teacher")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nan_and_infinity(tmp_path, value, dtype):
    weight = torch.zeros(2, 3, dtype=dtype)
    weight[1, 2] = value
    save(tmp_path / "x.safetensors", {"weight": weight, "bias": torch.zeros(2)}, kind="hkd", config={})
    refused(tmp_path / "x.safetensors", "weight")


def test_a_double_that_float32_cannot_hold(tmp_path):
    save(tmp_path / "x.safetensors", {"w": torch.tensor([1e300], dtype=torch.float64)}, kind="hkd", config={})
    refused(tmp_path / "x.safetensors", "w")


def test_missing_unknown_and_misshapen_tensors(good):
    message = refused(good, "tensors", "1 .* 0 ", expected=SHAPES | {"extra": (2,)})
    assert "extra" in message
    refused(good, "tensors", "0 .* 1 .*weight", expected={k: v for k, v in SHAPES.items() if k != "weight"})
    refused(good, "weight", ".2, 3.,.* .3, 2.", expected=SHAPES | {"weight": (3, 2)})
    refused(good, "weight", ".2, 3.,.* .6,.", expected=SHAPES | {"weight": (6,)})
    refused(good, "step", ".1,.", expected=SHAPES | {"step": (1,)})


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("weight", None),
        ("weight", []),
        ("weight", {}),
        ("weight", {"shape": [2, 3]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": [0]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24, 24]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 20]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": [10_000, 10_024]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 0]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": ["0", "24"]}),
        ("weight", {"dtype": "F32", "shape": [2, 3], "data_offsets": None}),
        ("weight", {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}),
        ("weight", {"dtype": "F32", "shape": [2.0, 3], "data_offsets": [0, 24]}),
        ("weight", {"dtype": "F32", "shape": [True, 6], "data_offsets": [0, 24]}),
        ("weight", {"dtype": "F32", "shape": "23", "data_offsets": [0, 24]}),
        ("weight", {"dtype": "F32", "shape": 6, "data_offsets": [0, 24]}),
        ("weight", {"dtype": "F99", "shape": [2, 3], "data_offsets": [0, 24]}),
        ("weight", {"dtype": ["F32"], "shape": [2, 3], "data_offsets": [0, 24]}),
        ("weight", {"dtype": None, "shape": [2, 3], "data_offsets": [0, 24]}),
        ("\ud800" * 1000, {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 25]}),
    ],
)  # fmt: skip
def test_damaged_entries(good, name, entry):
    edited(good, lambda header: header.update({name: entry}))
    refused(good, "tensors")


def test_overlapping_entries(good):
    """Two names for the same bytes: safetensors itself refuses that."""
    edited(good, lambda header: header.update(twin=header["weight"]))
    refused(good, "file")


def claims(path, entries: dict[str, list[int]], size: int) -> None:
    """A sparse file that claims float32 tensors of these shapes, `size` bytes of data, and takes no room."""
    header, offset = {}, 0
    for name, shape in entries.items():
        end = offset + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    header["__metadata__"] = {
        checkpoints.METADATA_KEY: json.dumps({"format": 1, "kind": "hkd", "config": {}, "card": {}})
    }
    write(path, header, b"")
    try:
        os.truncate(path, path.stat().st_size + size)
    except OSError:
        pytest.skip("this file system holds no sparse file of that size")


def test_the_limit_is_read_from_the_header_alone(tmp_path, monkeypatch):
    path = tmp_path / "huge.safetensors"
    claims(path, {"a": [2**20, 2**19]}, 4 * 2**39)  # 2 TiB
    monkeypatch.setattr(checkpoints, "load_file", lambda *_: pytest.fail("the file was read"))
    refused(path, "parameters", "200,000,000")


def test_the_limit_counts_all_tensors_together(tmp_path):
    path = tmp_path / "x.safetensors"
    claims(path, {f"t{i}": [10] for i in range(10)}, 400)
    assert peek(path, max_parameters=100).parameters == 100
    with refuses("parameters", " 99 ", CheckpointError):
        peek(path, max_parameters=99)
    assert len(load_tensors(path, max_parameters=100)) == 10
    refused(path, "parameters", " 99 ", max_parameters=99)


def test_a_wrong_network_is_refused_before_the_data_is_read(good, monkeypatch):
    monkeypatch.setattr(checkpoints, "load_file", lambda *_: pytest.fail("the file was read"))
    refused(good, "weight", expected=SHAPES | {"weight": (3, 2)})
    refused(good, "kind", kind="teacher")


@pytest.mark.parametrize("shape", [[10**4000] * 900, [1] * 1_000_000, [2**70], [0, 2**70]], ids=len)
def test_absurd_shapes_are_refused_at_once(good, shape):
    """A header of huge integers takes minutes to multiply out, which would be a way to hang a server."""
    edited(good, lambda header: header.update(absurd={"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}))
    started = time.perf_counter()
    refused(good, {"tensors", "file", "header length"})
    assert time.perf_counter() - started < 20


# --- any damage at all -----------------------------------------------------------------------------------------


def loads_or_refuses(path, expected=None) -> None:
    """The one promise: finite tensors of the promised shapes, or CheckpointError."""
    try:
        header = peek(path)
        loaded = load_tensors(path, expected)
    except CheckpointError as e:
        assert len(str(e)) < 600
        str(e).encode()
        return
    assert {k: tuple(t.shape) for k, t in loaded.items()} == header.shapes
    if expected is not None:
        assert header.shapes == expected
    for tensor in loaded.values():
        assert tensor.dtype in (torch.float32, torch.int64)
        assert bool(tensor.isfinite().all())


FUZZ = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SAMPLE = safetensors.torch.save(
    TENSORS,
    {checkpoints.METADATA_KEY: json.dumps({"format": 1, "kind": "hkd", "config": {"base": 8}, "card": {}})},
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)),
        st.tuples(st.just("flip"), st.integers(0, len(SAMPLE) - 1), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.integers(0, len(SAMPLE)), st.integers(1, 40)),
        st.tuples(st.just("insert"), st.integers(0, len(SAMPLE)), st.binary(min_size=1, max_size=12)),
        st.tuples(st.just("end"), st.integers(0, len(SAMPLE)), st.just(0)),
        # a byte of the header for another that JSON likes: gets further than random bytes do
        st.tuples(st.just("set"), st.integers(8, 400), st.sampled_from(b'0123456789[]{},:"-.eEFIB_ ')),
    ),
    min_size=1,
    max_size=4,
)


@FUZZ
@given(changes=CHANGES, strict=st.booleans())
def test_mutated_bytes(tmp_path, changes, strict):
    content = bytearray(SAMPLE)
    for how, position, value in changes:
        position = min(position, max(len(content) - 1, 0))
        if how == "cut":
            del content[position : position + value]
        elif how == "end":
            del content[position:]
        elif how == "insert":
            content[position:position] = value
        elif content:
            content[position] = value if how == "set" else content[position] ^ 1 << value
    path = tmp_path / "mutated.safetensors"
    path.unlink(missing_ok=True)  # never change a file in place that a tensor may be mapped from
    path.write_bytes(bytes(content))
    loads_or_refuses(path, SHAPES if strict else None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["F32", "F16", "I64", "F64", "BF16", "U8", "BOOL"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "format", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for k, v in inner for p in places(v, (*path, k)))]


@FUZZ
@given(value=JSON, where=st.randoms(use_true_random=False), in_meta=st.booleans())
def test_mutated_json(tmp_path, value, where: random.Random, in_meta):
    """A well-formed header with one value, anywhere, replaced by another."""
    header, data = json.loads(SAMPLE[8 : 8 + struct.unpack("<Q", SAMPLE[:8])[0]]), SAMPLE[-52:]
    meta = json.loads(header["__metadata__"][checkpoints.METADATA_KEY])
    root = {"": meta if in_meta else header}
    *path, last = where.choice([("", *p) for p in places(root[""])])
    target = root
    for key in path:
        target = target[key]
    target[last] = value
    if in_meta:
        header["__metadata__"][checkpoints.METADATA_KEY] = json.dumps(root[""])
    path = tmp_path / "mutated.safetensors"
    write(path, header if in_meta else root[""], data)
    loads_or_refuses(path, SHAPES if where.random() < 0.5 else None)
