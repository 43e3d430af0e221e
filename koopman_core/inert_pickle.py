"""Pickles read as inert data: nothing in the file is imported, called or compiled.

A pickle is a program for a stack machine. The standard library takes it apart (`pickletools.genops`); the machine here
knows the instructions of protocols 2 to 5 and makes plain containers of them. A global is looked up in a table of
names, every other one is refused, and the function behind a name is one of this file: most of them only write down
their arguments. What a file can ask for is bounded by its own length: instructions, tensors and numbers are counted.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import SEEK_CUR, BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MAX_FILE_BYTES = 1_000_000_000  # the largest network that loads here has 200 million numbers
MAX_INSTRUCTIONS = 300_000  # an official pickle of 550 tensors takes about 90,000
MAX_ENTRIES, MAX_NESTING = 20_000, 12  # of all modules' tables; official networks have about 3,000
# how torch.save marks its older format, in which a pickled storage is wrapped
_STORAGE_MAGIC, _STORAGE_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {
    "FloatStorage": torch.float32, "HalfStorage": torch.float16, "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16,
}  # fmt: skip


class PickleRefused(ValueError):
    """A file that is not read; the sentence says why."""


@dataclass(frozen=True, eq=False)
class Global:
    """A name that stands in a pickle.

    Attributes:
        name: "module.attribute".
        call: what a call of it gives here, from the arguments.
    """

    name: str
    call: Callable[[Machine, tuple], object] | None


@dataclass(eq=False)
class Object:
    """A call that was not made: what was to be called, with what, and the state that was to be set."""

    name: str
    arguments: tuple
    state: object = None


@dataclass(frozen=True, eq=False)
class Storage:
    """Numbers of a tensor: (n,), one after the other."""

    values: Tensor


class _Mark:
    pass


_MARK = _Mark()


class Machine:
    """Runs the pickle of one file and those nested in it.

    Args:
        data: the whole file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.instructions = self.copied = 0

    def load(self) -> object:
        """The value of the pickle that fills the file.

        Raises:
            PickleRefused: no pickle of protocol 2 to 5, cut short, something follows it, too long, or a name or
                instruction that is not known here.
        """
        file = BytesIO(self.data)
        value = self.run(file)
        if file.tell() != len(self.data):
            raise PickleRefused("bytes follow the end of the pickle")
        return value

    def charge(self, n: int) -> None:
        """Count what a call copies: a value that the file holds once may be referred to a thousand times."""
        self.copied += n
        if self.copied > 2 * len(self.data):  # protocol 2 writes bytes as text, which is copied once more
            raise PickleRefused("it unfolds to more than the file holds")

    def run(self, file: BytesIO, persistent: bool = False) -> object:
        """The value of the pickle that starts where `file` stands; leaves it at the pickle's end."""
        head = file.read(2)
        file.seek(-len(head), SEEK_CUR)
        if not (len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5):
            raise PickleRefused("it is no pickle of protocol 2 to 5")
        stack: list = []
        memo: dict[int, object] = {}
        try:
            for opcode, argument, _ in pickletools.genops(file):
                self.instructions += 1
                if self.instructions > MAX_INSTRUCTIONS:
                    raise PickleRefused(f"it has more than {MAX_INSTRUCTIONS:,} instructions")
                if opcode.name == "STOP":
                    (value,) = stack
                    return value
                if opcode.name == "BINPERSID" and not persistent:
                    raise PickleRefused("it refers to objects outside of the file")
                self._step(opcode.name, argument, stack, memo)
        except PickleRefused:
            raise
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, AssertionError) as e:
            raise PickleRefused(f"it is damaged or cut short ({type(e).__name__})") from None
        raise PickleRefused("it is cut short")

    def _step(self, name: str, argument, stack: list, memo: dict) -> None:
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_known(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(module, attribute))
        elif name == "BINPERSID":
            stack.append(Object("persistent", stack.pop()))
        elif name in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            items = _to_mark(stack)
            stack.append(_MAKE[name](items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(name[-1])
            if len(stack) < n:
                raise IndexError
            stack[-n:] = [tuple(stack[-n:])]
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else _to_mark(stack)
            _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            if name == "SETITEM":
                items = stack[-2:]
                del stack[-2:]
            else:
                items = _to_mark(stack)
            _expect(stack[-1], dict).update(_pairs(items))
        elif name == "ADDITEMS":
            items = _to_mark(stack)
            _expect(stack[-1], set).update(_set(items))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = _expect(stack.pop(), tuple), _expect(stack.pop(), Global)
            if function.call is None:
                raise PickleRefused(f"it calls {function.name}, which is no function")
            stack.append(function.call(self, arguments))
        elif name == "BUILD":
            state, target = stack.pop(), stack[-1]
            if isinstance(target, Object):
                target.state = state
            elif not (isinstance(target, dict) and state in ({}, None)):
                raise PickleRefused(f"it sets the state of a {type(target).__name__}")
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            _to_mark(stack)
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            raise PickleRefused(f"it uses the instruction {name}, which no EDM pickle needs")


_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set}


def _to_mark(stack: list) -> list:
    """Everything above the topmost mark, which goes too."""
    items: list = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _expect(value, kind: type):
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _key(value):
    # a nested tuple would be hashed to any depth, and huge numbers can be chosen so that all hashes are equal
    if not (isinstance(value, str | bytes) or (isinstance(value, int) and abs(value) < 2**31)):
        raise PickleRefused(f"a {type(value).__name__} is the key of a table")
    return value


def _pairs(items: list) -> dict:
    return {_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)}


def _set(items: Iterable) -> set:
    return {_key(v) for v in items}


_MAKE: dict[str, Callable[[list], object]] = {"TUPLE": tuple, "LIST": list, "DICT": _pairs, "FROZENSET": _set}


# ------------------------------------------------------------------------------------------------------------
# The names that official pickles use, and what stands for each of them


def _record(name: str) -> Callable[[Machine, tuple], Object]:
    return lambda machine, arguments: Object(name, arguments)


def _as_dict(machine: Machine, arguments: tuple) -> dict:
    if arguments:  # Python 3 fills it by instructions of its own
        raise PickleRefused("a table is made from another one")
    return {}


def _as_set(machine: Machine, arguments: tuple) -> set:
    if not arguments:
        return set()
    machine.charge(len(_expect(arguments[0], list)))
    return _set(arguments[0])


def _as_bytes(machine: Machine, arguments: tuple) -> bytes:
    text, codec = arguments
    if codec != "latin1":  # what pickle itself writes for bytes in protocol 2
        raise PickleRefused("it encodes text")
    machine.charge(len(_expect(text, str)))
    return text.encode("latin1")


def _as_number(machine: Machine, arguments: tuple):
    dtype, raw = arguments
    code, order = dtype.arguments[0], dtype.state[1] if dtype.state else "<"
    if not (dtype.name == "numpy.dtype" and re.fullmatch("[fiub][1248]", code) and order in "<>|"):
        raise PickleRefused("it holds a scalar of an unknown type")
    (value,) = np.frombuffer(_expect(raw, bytes), np.dtype(order.replace("|", "<") + code))
    return value.item()


def _little_endian(system: object) -> bool:
    return _expect(system, dict).get("little_endian") is True


def _as_storage(machine: Machine, arguments: tuple) -> Storage:
    """Numbers in torch.save's older format: four small pickles, the keys, then for each its length and bytes."""
    (data,) = arguments
    machine.charge(len(_expect(data, bytes)))
    file = BytesIO(data)
    magic, protocol, system, what, keys = (machine.run(file, persistent=True) for _ in range(5))
    if magic != _STORAGE_MAGIC or protocol != _STORAGE_PROTOCOL or not _little_endian(system):
        raise PickleRefused("a tensor is stored in an unknown way")
    if not isinstance(what, Object) or what.name != "persistent":
        raise PickleRefused("a tensor's storage holds something else")
    kind, storage, key, _, count, view = what.arguments
    name = _expect(storage, Global).name.removeprefix("torch.")
    if kind != "storage" or name not in _STORAGES or keys != [key] or view is not None:
        raise PickleRefused("a tensor is stored in an unknown way")
    dtype = _STORAGES[name]
    width = torch.finfo(dtype).bits // 8
    whole = type(count) is int and 0 < count == int.from_bytes(file.read(8), "little")
    if not whole or len(data) - file.tell() != count * width:
        raise PickleRefused("a tensor's storage has another length than it says")
    return Storage(torch.frombuffer(bytearray(file.read()), dtype=dtype))


def _as_tensor(machine: Machine, arguments: tuple) -> Tensor:
    """A view into a storage; no memory of its own."""
    storage, offset, size, stride = _expect(arguments[0], Storage), *arguments[1:4]
    whole = all(type(n) is int and n >= 0 for n in (offset, *size, *stride)) and len(size) == len(stride) <= 8
    # each number of the storage at most once: strides of 0 would make a huge tensor of a small file
    if not whole or not 0 < math.prod(size) <= len(storage.values) - offset:
        raise PickleRefused("a tensor reaches beyond its storage")
    if offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) >= len(storage.values):
        raise PickleRefused("a tensor reaches beyond its storage")
    return storage.values.as_strided(size, stride, offset)


def _as_parameter(machine: Machine, arguments: tuple) -> Tensor:
    return _expect(arguments[0], Tensor)


_CONTAINERS = tuple(f"torch.nn.modules.container.{name}" for name in ("ModuleDict", "ModuleList", "Sequential"))
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_TABLE: dict[str, Callable[[Machine, tuple], object] | None] = {
    PERSISTENT: _record(PERSISTENT),
    "collections.OrderedDict": _as_dict,
    "dnnlib.util.EasyDict": _as_dict,
    "dnnlib.EasyDict": _as_dict,
    "builtins.set": _as_set,
    "__builtin__.set": _as_set,
    "_codecs.encode": _as_bytes,
    "torch.storage._load_from_bytes": _as_storage,
    "torch._utils._rebuild_tensor_v2": _as_tensor,
    "torch._utils._rebuild_parameter": _as_parameter,
    **{name: _record(name) for name in _CONTAINERS},
    **{f"torch.{n}": None for n in _STORAGES},
    "numpy.dtype": _record("numpy.dtype"),
    "numpy.ndarray": None,
    **{f"numpy.{core}.multiarray.scalar": _as_number for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": _record("numpy array") for core in ("core", "_core")},
}


def _known(module, attribute) -> Global:
    name = f"{_expect(module, str)}.{_expect(attribute, str)}"
    if name not in _TABLE:
        raise PickleRefused(f"it asks for {name[:100]!r}, which no EDM pickle needs")
    return Global(name, _TABLE[name])


# ------------------------------------------------------------------------------------------------------------
# Modules


def read(path: str | Path) -> object:
    """The value of a pickle in a file; see `Machine.load`.

    Raises:
        PickleRefused: as there, or a file that is missing or larger than `MAX_FILE_BYTES`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PickleRefused(f"it is larger than {MAX_FILE_BYTES // 10**6} MB, and so than any EDM pickle")
        data = path.read_bytes()
    except OSError as e:
        raise PickleRefused(f"it cannot be read ({e.strerror})") from None
    return Machine(data).load()


def described(value: object, what: str) -> tuple[str, dict]:
    """Class name and state of an object that was saved with its class's source text, which is not looked at.

    Raises:
        PickleRefused: it is something else.
    """
    meta = value.arguments[0] if isinstance(value, Object) and value.name == PERSISTENT and value.arguments else None
    if isinstance(meta, dict) and isinstance(meta.get("class_name"), str) and isinstance(meta.get("state"), dict):
        return meta["class_name"], meta["state"]
    raise PickleRefused(f"{what} is not an object in the official form")


def state_dict(module: object) -> dict[str, Tensor]:
    """Parameters and buffers of a described module and of all modules in it, under their dotted names.

    Raises:
        PickleRefused: something in it is no module or no tensor, it goes too deep, or there are too many.
    """
    tensors: dict[str, Tensor] = {}
    entries = 0

    def table(state: object, name: str) -> dict[str, object]:
        # counted before it is looked at: many modules may share one large table
        nonlocal entries
        value = state.get(name, {}) if isinstance(state, dict) else None
        entries += 1 + (len(value) if isinstance(value, dict) else 0)
        if entries > MAX_ENTRIES:
            raise PickleRefused("its modules are nested without end")
        if not isinstance(value, dict) or not all(isinstance(k, str) and len(k) < 100 for k in value):
            raise PickleRefused(f"{name} of a module is no table of names")
        return value

    def walk(value: object, prefix: str, depth: int) -> None:
        if depth > MAX_NESTING:
            raise PickleRefused("its modules are nested without end")
        if isinstance(value, Object) and value.name in _CONTAINERS:
            state = value.state
        else:
            state = described(value, repr(prefix[:100]))[1]
        for kind in ("_parameters", "_buffers"):
            for name, tensor in table(state, kind).items():
                if tensor is None:
                    continue
                if not isinstance(tensor, Tensor):
                    raise PickleRefused(f"{(prefix + name)[:100]!r} is no tensor")
                tensors[f"{prefix}{name}"] = tensor
        for name, child in table(state, "_modules").items():
            if child is not None:
                walk(child, f"{prefix}{name}.", depth + 1)

    walk(module, "", 0)
    return tensors
