"""A least-recently-used cache bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch


def size_of(value: Any) -> int:
    """Bytes of the tensors and arrays inside nested lists, tuples and dataclasses."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, (list, tuple)):
        return sum(size_of(v) for v in value)
    if hasattr(value, "__dataclass_fields__"):
        return sum(size_of(getattr(value, name)) for name in value.__dataclass_fields__)
    return 64


class ByteLRU:
    """Keeps the latest results up to `capacity` bytes. Not locked: whoever owns it holds a lock around each call.

    `get` with `make` computes inside of that lock; what takes long is looked up with `find`, computed without the
    lock, and kept with `put`.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.bytes = 0
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def find(self, key: Hashable) -> Any:
        """The value of `key`, None where it is not there."""
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key][0]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value; the oldest ones give way. One that is larger than the cache is not kept."""
        size = size_of(value)
        if size > self.capacity:
            return
        self.bytes += size - self._items.pop(key, (None, 0))[1]
        self._items[key] = (value, size)
        while self.bytes > self.capacity:
            self.bytes -= self._items.popitem(last=False)[1][1]

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, made (never None) and kept when it is not there."""
        value = self.find(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value
