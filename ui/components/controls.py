"""The controls of a tab as a dataclass, so that handlers take and give values by name.

A handler is called with the values of the controls that it names as arguments (`inputs_kwargs`), and gives
{component: value}; what it leaves out stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self

import gradio as gr
from gradio.components import Component


def shown_text(part: Component, value: Any) -> str:
    """A control's value as the page's script reads it (`value` of `ui/js/workspaces.js`): of a list its words."""
    if isinstance(part, gr.Dropdown):
        return next((name for name, known in part.choices if known == value), "" if value is None else str(value))
    if isinstance(value, bool):  # a tick
        return str(int(value))
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def chosen(part: Component, out: Mapping) -> Any:
    """A control's value after an address: its own among {component: value}, or the one that it begins with."""
    return out.get(part, part.value)


class Controls:
    """Base of the dataclasses; every field is a component, or None where the page has no such control."""

    @classmethod
    def names(cls) -> Self:
        """Each control's own name in its place: what handlers answer, by name and without a page."""
        return cls(**{f.name: f.name for f in fields(cls)})  # type: ignore[arg-type]

    def named(self, *names: str) -> dict[str, Any]:
        """Some controls by name, for `inputs_kwargs`; all of them by default."""
        chosen = names or tuple(f.name for f in fields(self))  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in chosen}

    def listed(self, *names: str) -> list[Component]:
        """Some controls, for `outputs`; all of them by default."""
        return [c for c in self.named(*names).values() if c is not None]
