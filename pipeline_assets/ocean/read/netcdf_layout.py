"""How the variables of a CF file lie along its dimensions, and from there one row for each observation.

Source: CF Conventions 1.11, chapter 9 "Discrete Sampling Geometries" and appendix H.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AXIS_NAMES = {
    "time": ("time", "juld", "datetime", "obs_time", "date_time"),
    "latitude": ("latitude", "lat", "nav_lat", "y"),
    "longitude": ("longitude", "lon", "long", "nav_lon", "x"),
    "vertical": ("pressure", "pres", "depth", "z", "lev", "level", "deph", "ctdprs", "altitude"),
}
_STANDARD = {
    "time": ("time",),
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "vertical": (
        "sea_water_pressure",
        "sea_water_pressure_due_to_sea_water",
        "depth",
        "altitude",
        "height",
        "air_pressure",
    ),
}
_AXIS = {"time": "T", "latitude": "Y", "longitude": "X", "vertical": "Z"}
_TIME_UNITS = re.compile(
    r"\s*(days?|hours?|hr|h|minutes?|min|seconds?|secs?|s|milliseconds?|msec|d)\s+since\s", re.IGNORECASE
)


@dataclass(eq=False)
class Variable:
    """One variable: its dimensions' names, attributes, and values: float64 with NaN, or texts as objects.

    A dimension of characters is gone: its texts are whole.
    """

    name: str
    dimensions: tuple[str, ...]
    attributes: Mapping[str, Any]
    values: NDArray[Any]

    @property
    def is_text(self) -> bool:
        return self.values.dtype == object

    def attribute(self, name: str) -> str:
        value = self.attributes.get(name, "")
        return value.strip() if isinstance(value, str) else ""


@dataclass(eq=False)
class Layout:
    """Which variable is what. dimensions: those whose every combination is one observation; element: the one within a cast.

    ragged: for each observation its instance, where the file says it by counts or indices (CF 9.3.3, 9.3.4).
    outer_of: for each instance what it belongs to along the dimension `outer`, such as the station of a profile (CF H.5.3).
    """

    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    element: str
    instance: str = ""
    ragged: NDArray[np.int64] | None = None
    outer: str = ""
    outer_of: NDArray[np.int64] | None = None
    roles: dict[str, Variable] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) if self.shape else 1

    def rows_of(self, variable: Variable) -> NDArray[Any] | None:
        """The variable's value for each observation; None if it does not lie along the observations."""
        if self.ragged is not None and variable.dimensions == (self.instance,):
            return _taken(variable.values, self.ragged, variable.is_text)
        if self.ragged is not None and self.outer_of is not None and variable.dimensions == (self.outer,):
            inner = Variable(
                variable.name, (self.instance,), {}, _taken(variable.values, self.outer_of, variable.is_text)
            )
            return self.rows_of(inner)
        if not set(variable.dimensions) <= set(self.dimensions):
            return None
        if len(set(variable.dimensions)) != len(variable.dimensions):
            return None
        order = [variable.dimensions.index(name) for name in self.dimensions if name in variable.dimensions]
        sizes = [
            size if name in variable.dimensions else 1 for name, size in zip(self.dimensions, self.shape, strict=True)
        ]
        values = variable.values.transpose(order) if order else variable.values
        return np.broadcast_to(values.reshape(sizes), self.shape).reshape(-1)

    def casts(self) -> NDArray[np.int64]:
        """For each observation the number of its cast: its place along all dimensions but the element."""
        if self.ragged is not None:
            return self.ragged
        if self.element not in self.dimensions:
            return np.arange(self.size)
        sizes = [1 if name == self.element else size for name, size in zip(self.dimensions, self.shape, strict=True)]
        numbers = np.arange(int(np.prod(sizes, dtype=np.int64))).reshape(sizes)
        return np.broadcast_to(numbers, self.shape).reshape(-1)


def _taken(values: NDArray[Any], at: NDArray[np.int64], is_text: bool) -> NDArray[Any]:
    """Values at some places; nothing at places that are none."""
    nothing: Any = None if is_text else np.nan
    if not len(values):
        return np.full(len(at), nothing)
    known = (at >= 0) & (at < len(values))
    return np.where(known, values[np.where(known, at, 0)], nothing)


def layout_of(variables: Sequence[Variable], feature_type: str, sizes: Mapping[str, int]) -> Layout | None:
    """How the observations lie; None for a file in which nothing is measured along anything."""
    roles = find_roles(variables)
    data = [one for one in variables if is_data(one, roles)]
    if not data:
        return None
    dimensions = _main_dimensions(data, roles.get("vertical"))
    layout = Layout(dimensions, tuple(sizes[name] for name in dimensions), "", roles=roles)
    _find_ragged(layout, variables, sizes)
    layout.element = _element(layout, feature_type.lower())
    return layout


def _main_dimensions(data: Sequence[Variable], vertical: Variable | None) -> tuple[str, ...]:
    """The dimensions of most measurements: those of the vertical among them, or as many that most variables lie along."""
    kinds = Counter(one.dimensions for one in data)
    deep = set(vertical.dimensions) if vertical is not None else set()

    def rank(kind: tuple[str, ...]) -> tuple[Any, ...]:
        covered = sum(set(one.dimensions) <= set(kind) for one in data)
        holds = bool(deep) and deep <= set(kind)
        return (holds, kinds[kind] if holds else covered, kinds[kind], -len(kind), kind)

    return max(kinds, key=rank)


def find_roles(variables: Sequence[Variable]) -> dict[str, Variable]:
    """The variables of time, latitude, longitude and of the vertical, by what CF says of them, else by their names."""
    roles: dict[str, Variable] = {}
    numbers = [one for one in variables if not one.is_text]
    for role in _AXIS:
        tests = (
            lambda one, role=role: one.attribute("standard_name") in _STANDARD[role],
            lambda one, role=role: one.attribute("axis") == _AXIS[role],
            lambda one, role=role: role == "vertical" and one.attribute("positive").lower() in {"up", "down"},
            lambda one, role=role: role == "time" and _TIME_UNITS.match(one.attribute("units")) is not None and len(one.dimensions) < 3
            and "time" in one.name.lower(),
            lambda one, role=role: one.name.lower() in _AXIS_NAMES[role],
        )  # fmt: skip
        for test in tests:
            found = [one for one in numbers if test(one) and one not in roles.values()]
            if role == "vertical":  # of pressure and depth, pressure
                found.sort(key=lambda one: "pressure" not in one.attribute("standard_name"))
            if found:
                roles[role] = found[0]
                break
    return roles


def is_time(variable: Variable) -> bool:
    return _TIME_UNITS.match(variable.attribute("units")) is not None


def is_flag(variable: Variable) -> bool:
    """Whether a variable holds quality flags of another."""
    standard = variable.attribute("standard_name")
    name = variable.name.lower()
    return (
        standard.endswith(("status_flag", "quality_flag"))
        or ("flag_values" in variable.attributes and "flag_meanings" in variable.attributes)
        or name.endswith(("_qc", "_flag", "_flag_w", "_flags", "_quality_flag", "_quality_control"))
    )


def is_data(variable: Variable, roles: Mapping[str, Variable]) -> bool:
    """Whether a variable is a measured quantity: numbers along at least one dimension that are no coordinate, flag or count."""
    if variable.is_text or not variable.dimensions or variable in roles.values() or is_flag(variable):
        return False
    if any(
        name in variable.attributes
        for name in ("cf_role", "sample_dimension", "instance_dimension", "grid_mapping_name")
    ):
        return False
    if variable.dimensions == (variable.name,) or is_time(variable):
        return False
    return not variable.name.lower().endswith(("_bnds", "_bounds"))


def _find_ragged(layout: Layout, variables: Sequence[Variable], sizes: Mapping[str, int]) -> None:
    for one in variables:
        sample, instance = one.attribute("sample_dimension"), one.attribute("instance_dimension")
        if sample and (sample,) == layout.dimensions and len(one.dimensions) == 1:
            counts = (
                np.nan_to_num(one.values.astype(np.float64), posinf=0, neginf=0).clip(0, layout.size).astype(np.int64)
            )
            ends = np.minimum(np.cumsum(counts), layout.size)
            layout.ragged = np.searchsorted(ends, np.arange(layout.size), side="right").astype(np.int64)
            layout.instance = one.dimensions[0]
            for other in variables:
                if (
                    other.attribute("instance_dimension")
                    and other.dimensions == (layout.instance,)
                    and not other.is_text
                ):
                    layout.outer = other.attribute("instance_dimension")
                    layout.outer_of = _places(other.values)
            return
        if instance and one.dimensions == layout.dimensions:
            layout.ragged = _places(one.values)
            layout.instance = instance
            return


def _places(values: NDArray[Any]) -> NDArray[np.int64]:
    whole = np.nan_to_num(values.astype(np.float64), nan=-1, posinf=-1, neginf=-1).clip(-1, 2**53)
    return whole.astype(np.int64)


def _element(layout: Layout, feature_type: str) -> str:
    """The dimension along which the rows of one cast lie."""
    dimensions, roles = layout.dimensions, layout.roles
    if len(dimensions) == 1 or layout.ragged is not None:
        # A single dimension: of one series or profile, unless each of its places is one by itself (points).
        return "" if feature_type == "point" and layout.ragged is None else dimensions[-1]
    vertical, time = roles.get("vertical"), roles.get("time")
    if feature_type in {"profile", "trajectoryprofile", "timeseriesprofile"} or (
        not feature_type and vertical is not None and len(vertical.dimensions) >= 1
    ):
        along = [name for name in (vertical.dimensions if vertical is not None else ()) if name in dimensions]
        if not feature_type:  # a single depth is a series' own, not a profile
            along = [name for name in along if layout.shape[dimensions.index(name)] > 1]
        if along:
            own = [name for name in along if time is None or name not in time.dimensions]
            return (own or along)[-1]
    if time is not None:
        along = [name for name in time.dimensions if name in dimensions]
        if along:
            return along[-1]
    return dimensions[-1]
