"""Settings files: small TOML, every key overridable on the command line, unknown keys refused."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from foundation.mistakes import Mistake

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
S = TypeVar("S")


class SettingsError(Mistake):
    """A settings file or override that cannot be used; `field` is section.key, or the file, "section" or "override"."""


def read_settings(path: str | Path, overrides: Sequence[str], sections: type[S]) -> S:
    """Read a TOML file into one frozen dataclass a section.

    Args:
        path: TOML file; each top-level table is a section.
        overrides: "section.key=value" (value in TOML syntax; a bare word is a string).
        sections: a TypedDict, name -> dataclass.

    Returns:
        A dict of that type, every section in it.

    Raises:
        SettingsError: unreadable file, unknown section or key, wrong type, or a value its dataclass refuses.
    """
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(
            f"{path} cannot be read ({e.strerror}): give --config an existing TOML file.", "file"
        ) from None
    except (ValueError, RecursionError) as e:  # also a number of many thousand digits, and lists in lists in lists
        raise SettingsError(f"{path} is not valid TOML: {e}.", "file") from None
    for item in overrides:
        key, eq, value = item.removeprefix("--").partition("=")
        section, dot, name = key.partition(".")
        if not (eq and dot and name):
            raise SettingsError(f"{item!r:.80} is not an override: write section.key=value.", "override")
        table = raw.setdefault(section, {})
        if isinstance(table, dict):
            table[name] = _value(value)
    classes = typing.get_type_hints(sections)
    unknown = raw.keys() - classes.keys()
    if unknown:
        raise SettingsError(
            f"Unknown section {sorted(unknown)[0]!r}: known are {', '.join(classes)}.", sorted(unknown)[0]
        )
    return typing.cast(S, {name: build(cls, raw.get(name, {}), name) for name, cls in classes.items()})


def plain_sections(settings: Mapping[str, object], without: Collection[str] = ()) -> dict[str, dict]:
    """Sections that `read_settings` gave, as plain dicts for a card's recipe; those of `without` are left out."""
    return {
        name: dataclasses.asdict(section)
        for name, section in settings.items()
        if name not in without and dataclasses.is_dataclass(section) and not isinstance(section, type)
    }


def _value(text: str):
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text


def build(cls: type[T], values, where: str) -> T:
    """A dataclass from plain values, with types checked.

    Raises:
        SettingsError: unknown key, wrong type, or refused value.
    """
    if not isinstance(values, dict):
        raise SettingsError(f"{where} must be a table of settings.", where)
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}
    unknown = values.keys() - fields
    if unknown:
        raise SettingsError(
            f"Unknown key {where}.{sorted(unknown)[0]}: known are {', '.join(sorted(fields))}.",
            f"{where}.{sorted(unknown)[0]}",
        )
    kwargs = {k: _typed(v, hints[k], f"{where}.{k}") for k, v in values.items()}
    try:
        return cls(**kwargs)
    except (TypeError, ValueError) as e:
        raise SettingsError(f"{where}: {e}", ".".join(filter(None, (where, getattr(e, "field", ""))))) from None


def _typed(value, hint, where: str):
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        if not isinstance(value, (list, tuple)):
            raise SettingsError(f"{where} must be a list.", where)
        return tuple(_typed(v, inner, where) for v in value)
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is not hint:
        raise SettingsError(
            f"{where} must be of type {getattr(hint, '__name__', hint)}, not {type(value).__name__}.", where
        )
    return value
