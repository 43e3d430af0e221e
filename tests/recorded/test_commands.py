"""Commands offer the options that they did, and refuse what they did."""

from __future__ import annotations

import pytest

from tests.recorded import files
from tests.recorded.commands import call, options

RECORDS = files.read("commands")


@pytest.mark.parametrize("record", [r for r in RECORDS if "help" in r], ids=lambda r: r["command"])
def test_a_command_has_its_options(record: dict):
    assert options(record["command"]) == record["help"]


@pytest.mark.parametrize(
    "record", [r for r in RECORDS if "code" in r], ids=lambda r: f"{r['command']} {r['arguments']}"
)
def test_a_mistake_ends_with_its_exit_code(record: dict):
    code, printed = call(record["command"], record["arguments"])
    assert code == record["code"] and printed.strip() and "Traceback" not in printed
