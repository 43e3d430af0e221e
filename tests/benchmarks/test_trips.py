"""Trips: which files a question enters, counted on files of the test's own."""

import importlib.util

import pytest

from analysis.core.errors import UserError
from benchmarks.trips import handler, trip


@pytest.fixture
def house(tmp_path):
    """Two modules, of which the first calls the second."""
    (tmp_path / "b.py").write_text("def give():\n    return inner()\n\ndef inner():\n    return 1\n")
    (tmp_path / "a.py").write_text(
        "def ask(b):\n    own()\n    return b.give() + b.give() + own()\n\ndef own():\n    return 1\n"
    )
    found = {}
    for name in "ab":
        spec = importlib.util.spec_from_file_location(f"trip_{name}", tmp_path / f"{name}.py")
        found[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    return tmp_path, found


def test_files_and_moves_are_counted(house):
    root, modules = house
    found = trip(lambda: modules["a"].ask(modules["b"]), root)
    assert found.files == ("a.py", "b.py")
    assert found.moves == 2  # to b, where both gives and their inner calls stay, and back to a's own


def test_other_files_do_not_count(house, tmp_path):
    root, _ = house
    assert trip(lambda: importlib.util.find_spec("json"), root).files == ()


def test_libraries_of_an_environment_within_the_repository_do_not_count(house):
    root, modules = house
    folder = root / ".venv" / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "library.py").write_text("def work(ask):\n    return ask()\n")
    spec = importlib.util.spec_from_file_location("trip_library", folder / "library.py")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    found = trip(lambda: library.work(modules["b"].give), root)
    assert (found.files, found.moves) == (("b.py",), 0)


def test_a_control_that_is_not_there_is_a_sentence():
    class Page:
        blocks, fns = {}, {}

    with pytest.raises(UserError):
        handler(Page(), "nothing")
