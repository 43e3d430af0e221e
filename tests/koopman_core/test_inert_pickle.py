"""Hostile pickles and archives: a sentence, nothing run, no file written, bounded memory and time."""

import io
import json
import os
import pickle
import resource
import struct
import time
import zipfile

import numpy as np
import pytest
import torch

from koopman_core import convert, inert_pickle
from tests.koopman_core.official_layout import official_names, reference, snapshot

SETTINGS, WEIGHTS, _ = reference()
GOOD = snapshot(WEIGHTS, SETTINGS)
PROTO, STOP = b"\x80\x04", b"."
SENTINEL = "KOOPMAN_HOSTILE_PICKLE_RAN"


class Evil:
    """Sets an environment variable when it is unpickled."""

    def __reduce__(self):
        return exec, (f"import os; os.environ[{SENTINEL!r}] = '1'",)


class EvilTable(dict):
    def __reduce__(self):
        return exec, (f"import os; os.environ[{SENTINEL!r}] = '1'",)


def called(module: str, name: str, *arguments) -> bytes:
    """A pickle that calls module.name."""
    body = pickle.dumps(arguments, protocol=4)[2:-1]
    return PROTO + f"c{module}\n{name}\n".encode() + body + b"R" + STOP


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def storage_bytes(
    count=4, said=None, magic=0x1950A86A20F9469CFC6C, kind="FloatStorage", view=b"N", tail=b"", order=True
):
    """What torch.save's older format holds of a storage."""
    said = count if said is None else said
    ident = b"(X\x07\x00\x00\x00storage" + f"ctorch\n{kind}\n".encode()
    ident += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + b"J" + struct.pack("<i", said) + view + b"tQ."
    parts = [pickle.dumps(v, protocol=2) for v in (magic, 1001, {"little_endian": order, "protocol_version": 1001})]
    numbers = np.ones(count, np.float32).tobytes()
    return (
        b"".join(parts)
        + b"\x80\x02"
        + ident
        + pickle.dumps(["0"], protocol=2)
        + struct.pack("<q", count)
        + numbers
        + tail
    )


def tensor(storage: bytes | None = None, offset=0, size=(4,), stride=(1,)) -> bytes:
    """A pickle of a tensor in this storage."""
    storage = storage_bytes() if storage is None else storage
    body = b"ctorch.storage\n_load_from_bytes\n" + b"B" + struct.pack("<I", len(storage)) + storage + b"\x85R"
    rest = b"".join(pickle.dumps(v, protocol=2)[2:-1] for v in (offset, size, stride))
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + body + rest + b"\x89NtR" + STOP


def in_network(value) -> bytes:
    """A snapshot that is good but for one more attribute of its network."""
    return snapshot(WEIGHTS, SETTINGS, odd=value)


def doubling(levels: int) -> bytes:
    """Lists of two times the list before."""
    steps = (b"q" + bytes([i]) + b"0]h" + bytes([i]) + b"ah" + bytes([i]) + b"a" for i in range(levels))
    return PROTO + b"]" + b"".join(steps) + STOP


def modules(make) -> bytes:
    """A snapshot whose network's modules are what `make` gives from the function that describes them."""
    with official_names() as (reconstruct, _):

        class Module:
            def __init__(self, children, parameters=None):
                self.children, self.parameters = children, parameters or {}

            def __reduce__(self):
                state = {"_parameters": self.parameters, "_modules": self.children, "_init_kwargs": {}}
                return reconstruct, ({"type": "class", "class_name": "EDMPrecond", "state": state},)

        return pickle.dumps({"ema": make(Module)}, protocol=4)


def endless(Module):
    root = Module({})
    root.children["model"] = Module({})
    for name in "abcdefgh":  # the same child many times over, level by level: 8^20 ways to the bottom
        root.children["model"].children[name] = None
    child = Module({})
    for _ in range(20):
        child = Module(dict.fromkeys("abcdefgh", child))
    root.children["model"].children["a"] = child
    return root


def sharing(Module):
    """A thousand modules that share one table of many tensors."""
    number = torch.zeros(1)
    numbers = {f"p{i}": number for i in range(1_000)}
    return Module({"model": Module({f"m{i}": Module({}, numbers) for i in range(1_000)})})


def doubled(levels: int = 60):
    """A list of two times the list before: small in a file, endless in print."""
    value: list = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def cyclic() -> bytes:
    """A network that is a module of itself."""
    body = b"}q\x00(" + short("type") + short("class") + short("class_name") + short("EDMPrecond") + short("state")
    body += b"}(" + short("_init_kwargs") + b"}" + short("_modules") + b"}" + short("model")
    body += b"ctorch_utils.persistence\n_reconstruct_persistent_obj\nh\x00\x85R" + b"s" + b"uu"
    network = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n" + body + b"\x85R"
    return PROTO + b"}" + short("ema") + network + b"s" + STOP


def same_storage_again(n: int) -> bytes:
    """One storage of 400 kB, called for n times."""
    storage = storage_bytes(100_000)
    first = b"ctorch.storage\n_load_from_bytes\nq\x00B" + struct.pack("<I", len(storage)) + storage + b"\x85q\x01R"
    return b"\x80\x02(" + first + b"h\x00h\x01R" * n + b"l" + STOP


def swap(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old)
    return data.replace(old, new)


PICKLES = {
    # no pickle, or a part of one
    "empty": b"", "text": b"hello, I am no pickle\n", "html": b"<!DOCTYPE html><html></html>", "one byte": b"\x80",
    "only a protocol": PROTO, "no stop": PROTO + b"]", "protocol 0": pickle.dumps({"ema": 1}, protocol=0),
    "protocol 1": pickle.dumps({"ema": 1}, protocol=1), "protocol 77": b"\x80\x4d" + GOOD[2:],
    "half": GOOD[: len(GOOD) // 2], "last byte missing": GOOD[:-1], "something behind": GOOD + b"x",
    "zip": b"PK\x03\x04" + bytes(100), "zeros": bytes(1000), "unknown instruction": PROTO + b"\xff" + STOP,
    "empty stack": PROTO + b"0" + STOP, "mark missing": PROTO + b"t" + STOP, "two values": PROTO + b"]]" + STOP,
    "memo missing": PROTO + b"h\x05" + STOP, "text that is none": PROTO + b"\x8c\x02\xff\xff" + STOP,
    "odd table": PROTO + b"}(]u" + STOP, "items of a list": PROTO + b"](K\x01K\x02u" + STOP,
    # what would run something
    "exec": pickle.dumps(Evil()), "exec protocol 2": pickle.dumps(Evil(), protocol=2),
    "exec in a table": pickle.dumps({"ema": {"a": [1, (2, Evil())]}}), "a table's subclass": pickle.dumps(EvilTable()),
    "exec in the network": in_network(Evil()), "exec beside the network": in_network({"a": {"b": [Evil()]}}),
    "exec in the storage": tensor(pickle.dumps(Evil(), protocol=2)),
    "exec behind the storage's magic": tensor(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(Evil(), 2) * 4),
    "eval": called("builtins", "eval", "1+1"), "old eval": called("__builtin__", "eval", "1+1"),
    "getattr": called("builtins", "getattr", "a", "b"), "system": called("os", "system", "true"),
    "posix": called("posix", "system", "true"), "popen": called("subprocess", "Popen", ["true"]),
    "import": called("importlib", "import_module", "antigravity"), "loads": called("pickle", "loads", b"N."),
    "torch.load": called("torch", "load", "x"), "hub": called("torch.hub", "load", "x", "y"),
    "numpy.load": called("numpy", "load", "x"), "partial": called("functools", "partial", "x"),
    "attrgetter": called("operator", "attrgetter", "x"), "copyreg": called("copyreg", "_reconstructor", 1, 2, 3),
    "a name with a dot": PROTO + short("torch.storage") + short("_load_from_bytes.__globals__") + b"\x93" + STOP,
    "a name from numbers": PROTO + b"K\x01K\x02\x93" + STOP,
    "a type that is called": called("torch", "FloatStorage", 4),
    "array that is called": called("numpy", "ndarray", (10**12,)),
    "instance": b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.",
    "inst": b"\x80\x02(X\x04\x00\x00\x00trueios\nsystem\n.",
    "extension": PROTO + b"\x82\x01" + STOP, "reference outside": PROTO + short("x") + b"Q" + STOP,
    "persistent text": b"\x80\x02Px\n.",
    "buffer outside": b"\x80\x05\x97.",
    "new with words": PROTO + b"cos\nsystem\n)}\x92.",
    "call of a table": PROTO + b"})R" + STOP, "state of a list": PROTO + b"]}b" + STOP,
    "state of a table": PROTO + b"}}" + short("x") + b"Nsb" + STOP,
    "scalar of text": called("numpy.core.multiarray", "scalar", "O", b"x" * 8),
    "scalar of objects": swap(pickle.dumps(np.float64(1)), short("f8"), short("O8")),
    "text in another code": called("_codecs", "encode", "x", "rot13"),
    # bombs
    "nested lists": PROTO + b"](" * 160_000 + STOP, "nested tuples": PROTO + b")" + b"\x85" * 250_000 + STOP,
    "a nested tuple as a key": PROTO + b"})" + b"\x85" * 250_000 + b"Ns" + STOP,
    "a number as a key": PROTO + b"}\x8a\x09" + bytes(8) + b"\x01Ns" + STOP,
    "doubling lists": doubling(200), "long loop": PROTO + b"]" + b"Na" * 250_000 + STOP,
    "huge bytes": PROTO + b"\x8e" + struct.pack("<Q", 2**60) + STOP,
    "huge text": PROTO + b"\x8d" + struct.pack("<Q", 2**40),
    "huge frame": PROTO + b"\x95" + struct.pack("<Q", 2**62) + STOP, "huge memo": PROTO + b"Nr\xff\xff\xff\xff" + STOP,
    "huge number": PROTO + b"I" + b"9" * 100_000 + b"\n" + STOP, "long of 2 GB": PROTO + b"\x8b\xff\xff\xff\x7f" + STOP,
    "one storage a thousand times": same_storage_again(20_000), "cyclic network": cyclic(),
    "modules without end": modules(endless),
    "modules with one table": modules(sharing),
    "a setting that is endless in print": snapshot(WEIGHTS, SETTINGS | {"encoder_type": doubled()}),
    "an endless setting of the network": snapshot(WEIGHTS, SETTINGS, sigma_data=doubled()),
    "a setting of many digits": snapshot(WEIGHTS, SETTINGS | {"img_channels": 10**5000}),
    "a setting that is a table": snapshot(WEIGHTS, SETTINGS | {"img_channels": {"a": 1}}),
    "lines in a name": PROTO + short("os\nhello\n") + short("system\x1b[2J") + b"\x93" + STOP,
    # tensors
    "storage with another magic": tensor(storage_bytes(magic=7)),
    "storage shorter than it says": tensor(storage_bytes(said=9)),
    "storage of huge length": tensor(storage_bytes(said=2**31 - 1)), "negative storage": tensor(storage_bytes(said=-1)),
    "storage with a tail": tensor(storage_bytes(tail=b"x")), "storage that is a view": tensor(storage_bytes(view=b"]")),
    "storage of objects": tensor(storage_bytes(kind="ObjectStorage")), "big-endian": tensor(storage_bytes(order=False)),
    "empty storage": tensor(b""), "beyond the storage": tensor(offset=1), "negative offset": tensor(offset=-1),
    "negative stride": tensor(stride=(-1,)), "huge by stride 0": tensor(size=(10**6, 10**6), stride=(0, 0)),
    "wide stride": tensor(size=(2,), stride=(10**9,)), "stride missing": tensor(stride=()),
    "size of text": tensor(size=("a",)), "many axes": tensor(size=(1,) * 70, stride=(1,) * 70),
    # whole pickles that hold something else
    "a number": pickle.dumps(3), "a tensor alone": tensor(), "a list": pickle.dumps([{"ema": 1}]),
    "no network": pickle.dumps({"loss_fn": None}), "a network of text": pickle.dumps({"ema": "EDMPrecond"}),
    "a state dict": pickle.dumps({"ema": {"model.map_layer0.weight": 1}}),
    "class name of bytes": swap(GOOD, short("EDMPrecond"), b"C\x0aEDMPrecond"),
    "settings of text": snapshot(WEIGHTS, SETTINGS, _init_kwargs="x"),
    "settings by position": snapshot(WEIGHTS, SETTINGS, _init_args=(8,)),
    "modules of text": snapshot(WEIGHTS, SETTINGS, _modules="x"),
    "parameters of numbers": snapshot(WEIGHTS, SETTINGS, _parameters={"a": 3}),
    "no model": snapshot({}, SETTINGS), "names of numbers": snapshot(WEIGHTS, SETTINGS, _buffers={3: torch.zeros(2)}),
}  # fmt: skip


def refused(path, tmp_path, capsys):
    """Converts; checks that nothing ran or was written and that one sentence says why."""
    os.environ.pop(SENTINEL, None)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert convert.main([str(path), str(tmp_path / "out.safetensors")]) == 2
    assert time.monotonic() - started < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kB of memory more than before"
    assert SENTINEL not in os.environ and [p.name for p in tmp_path.iterdir()] == [path.name]
    err = capsys.readouterr().err
    assert "Traceback" not in err and len(err.strip().splitlines()) == 1 and len(err) < 600
    return err


@pytest.mark.parametrize("data", PICKLES.values(), ids=PICKLES)
def test_hostile_pickles(tmp_path, capsys, data):
    path = tmp_path / "edm.pkl"
    path.write_bytes(data)
    refused(path, tmp_path, capsys)


def test_an_unknown_name_is_told(tmp_path, capsys):
    path = tmp_path / "edm.pkl"
    path.write_bytes(called("os", "system", "true"))
    assert "os.system" in refused(path, tmp_path, capsys)


def test_the_sentinel_works():
    pickle.loads(PICKLES["exec"])
    assert os.environ.pop(SENTINEL) == "1"


def test_the_helpers_make_what_they_say():
    """Else a hostile file would be refused for a slip of this file."""
    value = inert_pickle.Machine(tensor()).load()
    assert torch.equal(value, torch.ones(4))
    assert inert_pickle.Machine(doubling(2)).load() == [[[], []], [[], []]]
    assert torch.equal(pickle.loads(tensor()), torch.ones(4))


@pytest.mark.parametrize("n", range(24))
def test_damage_anywhere_is_a_sentence_or_harmless(tmp_path, n):
    """Bytes changed at random places: refused, or a teacher like another; never another error."""
    rng = np.random.default_rng(n)
    data = bytearray(GOOD)
    for place in rng.integers(0, len(data) if n % 2 else 3000, 5):
        data[place] = rng.integers(256)
    path = tmp_path / "edm.pkl"
    path.write_bytes(data)
    assert convert.main([str(path), str(tmp_path / "out.safetensors")]) in (0, 2)


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(header: dict, data: bytes = b"", version=b"\x01\x00") -> bytes:
    text = repr(header).encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


SETTINGS_BYTES = np.frombuffer(json.dumps(SETTINGS).encode(), np.uint8)
FLOATS = {"descr": "<f4", "fortran_order": False, "shape": (4,)}
GOOD_NPZ = npz(settings=SETTINGS_BYTES, **{f"tensor/{k}": v.numpy() for k, v in WEIGHTS.items()})
ARCHIVES = {
    "empty": b"", "text": b"x" * 100, "cut": GOOD_NPZ[:-100], "half": GOOD_NPZ[: len(GOOD_NPZ) // 2],
    "damaged": swap(GOOD_NPZ, GOOD_NPZ[2000:2010], b"0123456789"), "no settings": npz(a=np.ones(3)),
    "objects": zipped(settings=npy({"descr": "|O", "fortran_order": False, "shape": (1,)}, pickle.dumps([Evil()]))),
    "settings of text": npz(settings=np.array("x")),
    "settings of numbers": npz(settings=np.frombuffer(b"[1, 2]", np.uint8)),
    "no JSON": npz(settings=np.frombuffer(b"{", np.uint8)),
    "deep JSON": npz(settings=np.frombuffer(b"[" * 100_000, np.uint8)),
    "an array of huge size": zipped(settings=npy({**FLOATS, "shape": (2**50,)})),
    "a negative size": zipped(settings=npy({**FLOATS, "shape": (-4,)}, bytes(16))),
    "a header that is code": zipped(settings=b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os')"),
    "no array": zipped(settings=b"hello"), "future version": zipped(settings=npy(FLOATS, bytes(16), b"\x09\x00")),
    "zip bomb": zipped(settings=npy({**FLOATS, "shape": (2_000,)}, bytes(8000)), **{"tensor/a": bytes(100_000_000)}),
    "no weights": npz(settings=SETTINGS_BYTES),
}  # fmt: skip


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES)
def test_hostile_archives(tmp_path, capsys, data):
    path = tmp_path / "edm.npz"
    path.write_bytes(data)
    refused(path, tmp_path, capsys)


SAFETENSORS = {
    "empty": b"", "text": b"x" * 100, "huge header": struct.pack("<Q", 2**60) + b"{}",
    "no settings": struct.pack("<Q", 2) + b"{}",
    "offsets beyond": struct.pack("<Q", 62) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16000000]}} ',
    "no JSON": struct.pack("<Q", 8) + b"nonsense",
}  # fmt: skip


@pytest.mark.parametrize("data", SAFETENSORS.values(), ids=SAFETENSORS)
def test_hostile_safetensors(tmp_path, capsys, data):
    path = tmp_path / "edm.safetensors"
    path.write_bytes(data)
    refused(path, tmp_path, capsys)


def test_a_file_that_is_too_large(tmp_path, capsys, monkeypatch):
    path = tmp_path / "edm.pkl"
    path.write_bytes(GOOD)
    monkeypatch.setattr(inert_pickle, "MAX_FILE_BYTES", 1000)
    refused(path, tmp_path, capsys)


def test_a_missing_file(tmp_path):
    assert convert.main([str(tmp_path / "none.pkl"), str(tmp_path / "out.safetensors")]) == 2
