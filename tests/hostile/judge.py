"""What a stranger may get: a finite answer that JSON can hold, or one or two sentences, and nothing else."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis.core.errors import UserError

MAX_TEXT = 600  # characters of a complaint
MAX_ANSWER = 8 * 2**20  # characters of an answer
HERE = {str(p) for p in (Path.home(), Path.cwd(), Path(sys.prefix), Path(tempfile.gettempdir()))}


class Count:
    """How many hostile cases were judged in this process."""

    cases = 0


def judged(question: Callable[[], Any], complaints: type[Exception] | tuple = UserError, check=None) -> Any:
    """Ask, and look at what comes out.

    Args:
        question: what is asked.
        complaints: the errors that are allowed, with a sentence in each.
        check: of an answer; that JSON can hold it where nothing is given.

    Returns:
        The answer; None after a complaint.

    Raises:
        AssertionError: neither a good answer nor a good complaint; any other error comes through as it is.
    """
    Count.cases += 1
    try:
        answer = question()
    except complaints as e:
        assert_sentences(str(e))
        return None
    (check or assert_plain)(answer)
    return answer


def assert_sentences(text: str) -> None:
    """One or two sentences that tell nothing of the machine."""
    assert 15 < len(text) <= MAX_TEXT and text.isprintable(), text
    text.encode()  # a lone surrogate of the caller's would break the answer on its way
    assert text.endswith(".") and len(re.findall(r"[.!?](?=\s|$)", text)) <= 2, text
    assert "Traceback" not in text and not any(place in text for place in HERE), text


def assert_plain(answer: Any) -> None:
    """JSON can hold it, without NaN and infinity, and it is not endless."""
    text = json.dumps(answer, allow_nan=False)
    text.encode()
    assert len(text) <= MAX_ANSWER


def assert_finite(value: Any) -> None:
    """Numbers in a request, a result or a State are finite; arrays, tuples and dataclasses are looked into."""
    if isinstance(value, np.ndarray):
        assert value.dtype.kind != "O" and np.isfinite(value).all()
    elif isinstance(value, (tuple, list)):
        for v in value:
            assert_finite(v)
    elif isinstance(value, float):
        assert np.isfinite(value)
    else:
        assert value is None or isinstance(value, (str, int))
