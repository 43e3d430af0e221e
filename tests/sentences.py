"""What a sentence is checked for: its numbers and the names in it, never its wording."""

import re

import pytest

NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?")


def _value(written: str) -> float:
    return float(written.replace(",", "").replace("−", "-"))


def numbers(text: str) -> list[float]:
    """All numbers of a text, in its order; 60 of 60 %."""
    return [_value(n) for n in NUMBER.findall(text)]


def tells(text: str, *parts: float | str) -> bool:
    """Whether a text has these numbers, as it rounds them, and these names, one after the other."""
    at = 0
    for part in parts:
        if isinstance(part, str):
            found = text.find(part, at)
            end = found + len(part) if found >= 0 else None
        else:
            known = NUMBER.finditer(text, at)
            end = next((m.end() for m in known if _value(m.group()) == pytest.approx(part, rel=1e-9)), None)
        if end is None:
            return False
        at = end
    return True
