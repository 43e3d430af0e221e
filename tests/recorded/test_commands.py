"""Commands offer the options that they did, perhaps more, and refuse what they did."""

from __future__ import annotations

import pytest

from tests.recorded import files
from tests.recorded.commands import call, options

RECORDS = files.read("commands")


@pytest.mark.parametrize("record", [r for r in RECORDS if "help" in r], ids=lambda r: r["command"])
def test_a_command_has_its_options(record: dict):
    now, then = options(record["command"]), record["help"]
    assert now["code"] == then["code"]
    for names in ("options", "choices"):  # none may be lost; new ones come
        assert set(now[names]) >= set(then[names])


@pytest.mark.parametrize(
    "record", [r for r in RECORDS if "code" in r], ids=lambda r: f"{r['command']} {r['arguments']}"
)
def test_a_mistake_ends_with_its_exit_code(record: dict):
    code, printed = call(record["command"], record["arguments"])
    assert code == record["code"] and printed.strip() and "Traceback" not in printed
