"""Which rows of a file are wrong, and the report that its refusal is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.landed_file import Refused
from pipeline_assets.rates.config import RatesConfig, ReadingConfig
from pipeline_assets.rates.read.cells import Cells

_CODE = r"^[A-Z]{2}[A-Z0-9]{3}$"
_MOST_TEXT = 40
ERROR_CLASS = "wrong_rows_in_batch"


def prices_of(cells: Cells, config: RatesConfig) -> dict[str, pa.Array]:
    """The rows of `rates.prices`. Raises Refused with a report of all rows that are wrong: all go in, or none."""
    if not len(cells) and not cells.wrong_rows:
        raise Refused("no_prices", "the file has no row. Send it again with its prices.")
    faults = _faults(cells, config)
    wrong = {column: mask for column, mask in faults.items() if pc.any(mask).as_py()}
    if wrong or cells.wrong_rows:
        raise _refused(cells, wrong, config)
    return {
        "row": cells.numbers,
        "orig_code": cells.orig_code,
        "dest_code": cells.dest_code,
        "day": cells.day,
        "price": cells.price,
    }


def has_faults(cells: Cells, config: RatesConfig) -> bool:
    return any(pc.any(mask).as_py() for mask in _faults(cells, config).values())


def _faults(cells: Cells, config: RatesConfig) -> dict[str, pa.Array]:
    days = cells.day
    return {
        "orig_code": _wrong_code(cells.orig_code, config),
        "dest_code": _wrong_code(cells.dest_code, config),
        "day": _beyond(days, pa.scalar(config.day_first), pa.scalar(config.day_last)),
        "price": _beyond(cells.price, pa.scalar(config.price_min), pa.scalar(config.price_max)),
    }


def _wrong_code(codes: pa.Array, config: RatesConfig) -> pa.Array:
    """Few codes come often: each is looked at once."""
    encoded = codes.dictionary_encode()
    texts = encoded.dictionary
    right = pc.match_substring_regex(texts, _CODE)
    if isinstance(config, ReadingConfig):
        right = pc.and_(right, pc.is_in(texts, value_set=pa.array(sorted(config.known_ports), pa.string())))
    if not len(texts):
        return pa.array(np.ones(len(codes), bool))
    return pc.invert(pc.fill_null(right.take(encoded.indices), False))


def _beyond(values: pa.Array, lowest: pa.Scalar, highest: pa.Scalar) -> pa.Array:
    """Also what is no value at all; NaN is in no range."""
    inside = pc.and_(pc.greater_equal(values, lowest), pc.less_equal(values, highest))
    return pc.invert(pc.fill_null(inside, False))


def _refused(cells: Cells, wrong: dict[str, pa.Array], config: RatesConfig) -> Refused:
    masks = {column: np.asarray(mask) for column, mask in wrong.items()}
    any_wrong = np.logical_or.reduce(list(masks.values())) if masks else np.zeros(len(cells), bool)
    total = len(cells) + len(cells.wrong_rows)
    bad = int(any_wrong.sum()) + len(cells.wrong_rows)
    counts: Counter[str] = Counter({column: int(mask.sum()) for column, mask in masks.items()})
    if cells.wrong_rows:
        counts["form"] = len(cells.wrong_rows)
    shown = list(_shown(cells, masks, any_wrong, config))
    more = "" if bad <= config.report_rows else f"; and {bad - config.report_rows:,} more rows"
    by_column = ", ".join(f"{column} {count:,}" for column, count in sorted(counts.items()))
    return Refused(
        ERROR_CLASS,
        f"{bad:,} of {total:,} rows are wrong ({by_column}), so none was taken: a batch goes in whole or not at all. "
        f"{'; '.join(text for _, text in shown)}{more}. Mend them and send the whole file again.",
        location=f"row {shown[0][0]}" if shown else "",
    )


def _shown(
    cells: Cells, masks: dict[str, np.ndarray], any_wrong: np.ndarray, config: RatesConfig
) -> list[tuple[int, str]]:
    most = config.report_rows
    rows: list[tuple[int, str]] = [(number, f"row {number}: {why}") for number, why in cells.wrong_rows[:most]]
    for at in np.flatnonzero(any_wrong)[:most]:
        number = cells.numbers[int(at)].as_py()
        why = ", ".join(_reason(cells, column, int(at), config) for column, mask in masks.items() if mask[at])
        rows.append((number, f"row {number}: {why}"))
    return sorted(rows)[:most]


def _reason(cells: Cells, column: str, at: int, config: RatesConfig) -> str:
    text = cells.text(column, at)
    shown = repr(text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…")
    if not text:
        return f"{column} is empty"
    if column in {"orig_code", "dest_code"}:
        is_code = pc.match_substring_regex(pa.scalar(text), _CODE).as_py()
        return f"{column} {shown} is {'no known port' if is_code else 'no UN/LOCODE'}"
    value: Any = getattr(cells, column)[at].as_py()
    if column == "day":
        if value is None:
            return f"day {shown} is no day such as 2016-01-31"
        return f"day {shown} is outside of {config.day_first} to {config.day_last}"
    if value is None or value != value:
        return f"price {shown} is no number"
    return f"price {shown} is not between {config.price_min:g} and {config.price_max:g}"
