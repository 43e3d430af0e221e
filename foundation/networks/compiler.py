"""Whether torch.compile works here: a compiler's name on PATH says little, so one small function is compiled."""

from __future__ import annotations

import functools
import os
import random
import shutil
import sys
import time

import torch

from foundation.mistakes import Mistake

COMPILERS = ("g++", "clang++", "c++")  # what torch.compile looks for on Linux and macOS


def can_compile(choice: str, device: str = "cpu") -> bool:
    """Whether code is to be compiled.

    The first call with "auto" or "on" compiles a small function, which takes seconds; later ones remember the verdict.
    Where a compiler is there and does not work, one line on stderr says so.

    Args:
        choice: "auto" (where it works), "on", "off".
        device: kind of device that the code is for, "cpu" or "cuda".

    Raises:
        ValueError: "on" where it does not work; the sentence says why.
    """
    if choice == "off":
        return False
    why = compile_failure(device)
    if why and choice == "on":
        raise Mistake(
            f"Nothing can be compiled here ({why}): use compile=auto or off, or mend the compiler.", "compile"
        )
    return not why


@functools.cache
def compile_failure(device: str = "cpu") -> str:
    """Why torch.compile does not work for a kind of device, "" where it works; tried once a process.

    Whatever fails fails here, in its real form: a compiler that ends with an error, a missing Python.h, a folder of
    the cache that cannot be written to. The constant in the function is new each time, so that no cache answers.
    """
    if device == "cpu" and not any(shutil.which(name) for name in COMPILERS):
        return "there is no C++ compiler"
    constant = random.Random(time.time_ns()).random()  # not torch's generator, which belongs to the run
    try:
        x = torch.ones(16, device=device)
        y = torch.compile(lambda v: (v * constant).sin() + 1)(x)
        if torch.allclose(y, (x * constant).sin() + 1):
            return ""
        why = "compiled code gives other numbers"
    except Exception as e:  # whatever a compiler may raise: what is compiled runs uncompiled, too
        why = _reason(e)
    finally:
        torch.compiler.reset()
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"torch.compile does not work here, so nothing is compiled: {why}", file=sys.stderr, flush=True)
    return why


def _reason(error: Exception) -> str:
    """The line of an error that says most: a compiler's own "error:" where its output is there, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if " error: " in line), lines[0])[:200]
