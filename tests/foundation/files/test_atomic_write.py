"""A file that is there is whole: `foundation.files.atomic_write`."""

import os
import stat

import pytest

from foundation.files.atomic_write import atomic_write


def test_the_new_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"  # until the block is left
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["page.md"]


def test_a_block_that_raises_changes_nothing(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["page.md"]


def test_writers_at_the_same_time_have_names_of_their_own(tmp_path):
    path = tmp_path / "page.md"
    with atomic_write(path) as one:
        with atomic_write(path) as two:
            one.write_text("one")
            two.write_text("two")
        assert path.read_text() == "two"
    assert path.read_text() == "one" and os.listdir(tmp_path) == ["page.md"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_mode_is_the_users_umask_whoever_makes_the_file(tmp_path):
    before = os.umask(0o022)
    try:
        with atomic_write(tmp_path / "a") as part:
            part.unlink()
            os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "none" / "a"):
        pass
