"""numba for the model: what it compiles is kept on disk, for compiling takes longer than a million lookups.

numba looks only at the file of a function to see whether what it kept is stale, not at the files of those it calls. So
the folder carries a hash of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def _folder() -> Path:
    here = Path(__file__).parent
    sources = hashlib.sha256()
    for file in sorted(here.glob("*.py")):
        sources.update(file.read_bytes())
    return here / "__pycache__" / f"numba-{sources.hexdigest()[:12]}"


#: Where it cannot be written, numba keeps nothing there and takes the user's cache.
setattr(numba.config, "CACHE_DIR", str(_folder()))  # noqa: B010 - its stubs do not know it

jit = cast("Callable[[F], F]", numba.njit(cache=True))
inline = cast("Callable[[F], F]", numba.njit(cache=True, inline="always"))
#: `numba.prange` runs over all cores.
parallel = cast("Callable[[F], F]", numba.njit(cache=True, parallel=True))
