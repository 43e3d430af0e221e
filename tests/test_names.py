"""The name of a constant or of a type means one thing in the whole tree: it is read far from its file."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("analysis", "benchmarks", "flow_core", "foundation", "koopman_core", "ui")

# Names that say what a thing is to its file, the same in each: the words of a tab and the lists of its controls; what
# a generator of procedural pictures offers.
OF_A_TAB = {"ASK", "FILLED", "FORMULA", "INTRO", "LABEL", "QUESTION", "SENTENCE", "SHARED"}
OF_A_TAB |= {"START_GAMMAS", "START_SETTINGS"}
OF_A_GENERATOR = {"FACTOR_DTYPE", "FACTOR_GROUPS", "RECIPE"}


def assigned(node: ast.stmt) -> list[str]:
    """Names of constants and of aliases of types that a statement of a module assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return [n for n in names if n[0].isupper()]


def test_no_constant_has_two_meanings():
    places = defaultdict(set)
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                for name in assigned(node):
                    places[name].add(path.relative_to(ROOT).as_posix())
    twice = {name: where for name, where in places.items() if len(where) > 1}
    for names, folders in ((OF_A_TAB, ("ui/tabs/", "ui/panels/")), (OF_A_GENERATOR, ("foundation/procedural/",))):
        for name in names & twice.keys():
            assert all(path.startswith(folders) for path in twice.pop(name)), name
    assert twice == {}
    assert {name for name, where in places.items() if len(where) > 1} >= OF_A_TAB | OF_A_GENERATOR  # none for nothing
