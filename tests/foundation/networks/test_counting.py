"""Counted network calls."""

from __future__ import annotations

import pytest

from foundation.networks.counting import CountedCalls


def test_counts_calls_and_passes_everything_through():
    f = CountedCalls(lambda *args, **kwargs: (args, kwargs))
    assert f.calls == 0
    assert f(1, 2, label=3) == ((1, 2), {"label": 3})
    assert f() == ((), {})
    assert f.calls == 2


def test_a_call_that_fails_was_still_a_call():
    def fail():
        raise RuntimeError("no")

    f = CountedCalls(fail)
    with pytest.raises(RuntimeError, match="no"):
        f()
    assert f.calls == 1


def test_two_wrappers_of_one_function_count_apart():
    f, g = CountedCalls(abs), CountedCalls(abs)
    f(-1)
    assert (f.calls, g.calls) == (1, 0)
