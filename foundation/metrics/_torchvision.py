"""One place that knows how to import torchvision, whichever torch it meets.

PyPI's torchvision carries a compiled extension for the CUDA build of torch. Beside a CPU-only torch (seen
with torch 2.13.0 and torchvision 0.28.0) the extension does not load, and `import torchvision` then dies with
"operator torchvision::nms does not exist" (pytorch/vision issues 8985, 9077, 9085). Declaring the two schemas
that its Python code decorates is enough for everything but the operators themselves, which we never call.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec
from types import ModuleType

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library: torch.library.Library | None = None  # the schemas vanish with this object, so the module keeps it


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring the operators its Python code expects when its own extension cannot load.

    Returns:
        The torchvision module. Models and transforms work; box operators only where the extension loaded.

    Raises:
        ImportError: torchvision is not installed; the sentence says how to install it.
    """
    if "torchvision" not in sys.modules and not _extension_loads():
        _declare_schemas()
    return importlib.import_module("torchvision")


def _extension_loads() -> bool:
    """Load torchvision's extension as torchvision will do; loading it a second time is free."""
    spec = find_spec("torchvision")  # of a top-level name: finds the folder, runs nothing
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("torchvision is not installed: `pip install torchvision` (LPIPS needs it).")
    finder = FileFinder(spec.submodule_search_locations[0], (ExtensionFileLoader, EXTENSION_SUFFIXES))
    extension = finder.find_spec("_C")
    if extension is None:
        return False
    try:
        torch.ops.load_library(extension.origin)
    except (ImportError, OSError):  # unresolved symbols: built for another torch
        return False
    return True


def _declare_schemas() -> None:
    global _library
    missing = [schema for name, schema in _SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
    if not missing:
        return
    _library = torch.library.Library("torchvision", "DEF")
    for schema in missing:
        _library.define(schema)
