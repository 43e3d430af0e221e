"""What tests read of a sentence."""

from tests.sentences import numbers, tells


def test_numbers_as_they_are_written():
    assert numbers("skip 1 makes 50 % of 12,345 (σ = 2.5e-3), from −0.5 to +3; x0 has none.") == [
        1, 50, 12_345, 2.5e-3, -0.5, 3,
    ]  # fmt: skip
    assert numbers("levels 0-3, [0.1, 0.2].") == [0, 3, 0.1, 0.2]


def test_names_and_numbers_in_their_order():
    text = "Of 6 factors size holds at 0.50, place at 0.25."
    assert tells(text, 6, "size", 0.5, "place", 0.25) and not tells(text, "place", 0.5)
    assert not tells(text, 5) and not tells(text, 0.5001) and not tells(text, "kind")
