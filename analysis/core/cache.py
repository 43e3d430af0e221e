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
    """Keeps the latest results up to `capacity` bytes. Not locked: its owner is."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.bytes = 0
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, made when it is not there."""
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key][0]
        value = make()
        size = size_of(value)
        if size <= self.capacity:
            self._items[key] = (value, size)
            self.bytes += size
            while self.bytes > self.capacity:
                self.bytes -= self._items.popitem(last=False)[1][1]
        return value
