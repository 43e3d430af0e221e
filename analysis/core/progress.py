"""How a long computation tells where it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None] | None


Report = Callable[[float, str], None]
