"""Compiling of the engine's loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], forceinline: bool = False) -> Any:
    """The function compiled by numba at its first call. It runs without the interpreter's lock and without fast-math, so
    that equal input gives equal bits.

    What was compiled is kept beside the file, or in the user's cache where that folder cannot be written
    (NUMBA_CACHE_DIR names another one). Where neither can be, each process compiles anew, which takes seconds.
    Compiled functions call only those of their own file: numba does not notice a change of others.
    """
    try:
        return njit(cache=True, nogil=True, error_model="numpy", forceinline=forceinline)(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy", forceinline=forceinline)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """The same for a small part of a compiled loop, which costs a call otherwise."""
    return compiled(function, forceinline=True)
