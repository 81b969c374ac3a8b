"""CSV files whose columns are those of a table: read by the table's schema, or refused with the place that differs.

No Dagster here. A source whose files are plain CSV needs no reader of its own::

    CSV = CsvFiles(schema.Readings)
    Reader("csv", "CSV file of readings", recognises=CSV.recognises, read=CSV.read)
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from pipeline_assets.columns import BATCH_ID, FILE_ID, SOURCE_KEY, ColumnInfo, columns_of
from pipeline_assets.landed_file import LandedFile, Refused

if TYPE_CHECKING:
    from pandera.pandas import DataFrameModel

_FRAME_COLUMNS = {FILE_ID, BATCH_ID}
_MOST_SHOWN = 3
_MOST_BLOCK_BYTES = (1 << 31) - 1
_OFFSET = r"(Z|z|[+-]\d\d:?\d\d)$"
"""What a time ends with that says its offset from UTC."""


@dataclass(frozen=True)
class CsvFiles:
    """How the CSV files of one kind become the rows of one table.

    A file has one line of headings, in any order, and a row for each line after it. Spaces around a cell do not count.

    schema: the pandera model of the table. The file has a column for each of it, but for `source_key`.
    delimiter, decimal: what stands between cells, and in a number before its fraction.
    encoding: of the text, by Python's name for it; the default is UTF-8 with or without a byte order mark.
    missing: cells that mean "no value". An empty cell always does.
    headings: for columns that are called otherwise in the file, the file's heading: ``{"level": "Water level (m)"}``.
    others: columns that the schema does not know: `refuse` the file, or `ignore` them.
    time_format: of dates with a time, for `strptime`; without it ISO 8601 is expected. In a column with a time zone, a
            time without an offset is UTC; in one without, a time has none.
    """

    schema: type[DataFrameModel]
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8-sig"
    missing: tuple[str, ...] = ()
    headings: Mapping[str, str] = field(default_factory=dict)
    others: Literal["refuse", "ignore"] = "refuse"
    time_format: str | None = None

    def __post_init__(self) -> None:
        unknown = self.headings.keys() - {column.name for column in columns_of(self.schema)}
        if unknown:
            raise ValueError(f"CsvFiles({self.schema.__name__}): headings names no column of it: {sorted(unknown)}")

    def recognises(self, head: bytes) -> bool:
        """Whether a file begins as text whose first line has at least one of the headings."""
        text = head.decode(self.encoding, "replace").lstrip("\ufeff \t\r\n")
        if not text or "\0" in text:
            return False
        try:
            cells = next(csv.reader([text.splitlines()[0]], delimiter=self.delimiter), [])
        except csv.Error:
            return False
        wanted = {self._heading(column) for column in columns_of(self.schema)}
        return any(cell.strip() in wanted for cell in cells)

    def read(self, file: LandedFile, config: Any) -> dict[str, pa.Array]:
        """The rows of a file, by column. Raises Refused: `encoding`, `no_headings`, `wrong_columns`, `ragged_rows`,
        `broken_csv`, `wrong_values`."""
        stream = io.StringIO(self._text(file.read_bytes()), newline="")
        headings = self._headings(stream)
        wanted = self._wanted(headings)
        cells = _cells(stream.read(), len(headings), self.delimiter)
        rows: dict[str, pa.Array] = {}
        wrong: list[_Wrong] = []
        for column in wanted:
            heading = self._heading(column)
            values = self._without_missing(cells[headings.index(heading)])
            array, bad = _converted(values, column.type, self.decimal, self.time_format)
            rows[column.name] = array
            wrong += [_Wrong(heading, column.type, bad, values)] * bool(bad)
        if wrong:
            raise _wrong_values(wrong)
        return rows

    def _heading(self, column: ColumnInfo) -> str:
        return self.headings.get(column.name, column.name)

    def _text(self, content: bytes) -> str:
        try:
            return content.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise Refused(
                "encoding",
                f"the text is not {self.encoding}: {error.reason} at byte {error.start}. Save the file as "
                f"{self.encoding.removesuffix('-sig').upper()} and land it again.",
                location=f"byte {error.start}",
            ) from error

    def _headings(self, stream: io.StringIO) -> list[str]:
        try:
            cells = next((cells for cells in csv.reader(stream, delimiter=self.delimiter) if any(cells)), None)
        except csv.Error as error:
            raise Refused("broken_csv", f"its first line cannot be read: {error}", location="line 1") from error
        if cells is None:
            raise Refused("no_headings", f"it is empty; expected a line of headings: {self._expected()}")
        return [cell.strip() for cell in cells]

    def _expected(self) -> str:
        own = [column for column in columns_of(self.schema) if column.name not in {*_FRAME_COLUMNS, SOURCE_KEY}]
        return self.delimiter.join(self._heading(column) for column in own)

    def _wanted(self, headings: list[str]) -> list[ColumnInfo]:
        """The columns to read. Raises Refused when the file has not exactly these."""
        columns = [column for column in columns_of(self.schema) if column.name not in _FRAME_COLUMNS]
        wanted = [column for column in columns if column.name != SOURCE_KEY or self._heading(column) in headings]
        names = [self._heading(column) for column in wanted]
        missing = [name for name in names if name not in headings]
        unexpected = [] if self.others == "ignore" else [name for name in headings if name not in names]
        twice = sorted({name for name in names if headings.count(name) > 1})
        problems = [f"lacks {', '.join(map(repr, missing))}"] * bool(missing)
        problems += [f"has {', '.join(map(repr, unexpected))}, which no column is for"] * bool(unexpected)
        problems += [f"has {', '.join(map(repr, twice))} more than once"] * bool(twice)
        if problems:
            raise Refused(
                "wrong_columns",
                f"its first line {'; it '.join(problems)}. Expected: {self._expected()}",
                location="line 1",
            )
        return wanted

    def _without_missing(self, cells: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        trimmed = pc.utf8_trim_whitespace(cells)
        is_missing = pc.is_in(trimmed, value_set=pa.array(["", *self.missing], pa.string()))
        return pc.if_else(is_missing, pa.scalar(None, pa.string()), trimmed)


def _cells(text: str, width: int, delimiter: str) -> list[pa.Array]:
    """The cells of all rows, column by column, as text. Raises Refused."""
    from pyarrow import csv as arrow_csv

    if not text.strip():
        return [pa.array([], pa.string())] * width
    names = [f"f{position}" for position in range(width)]
    ragged: list[Any] = []

    def note(row: Any) -> str:
        ragged.append(row)
        return "skip"

    content = text.encode()
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(content),
            # Without threads rows are numbered; a block that holds everything cuts through no row.
            read_options=arrow_csv.ReadOptions(
                column_names=names, use_threads=False, block_size=min(len(content) + 1, _MOST_BLOCK_BYTES)
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise Refused(
            "broken_csv", f"it is no well-formed CSV: {error}. A quotation mark that is not closed does this."
        ) from error
    if ragged:
        first = ragged[0]
        raise Refused(
            "ragged_rows",
            f"{len(ragged)} rows have not the {width} cells of the first line: row {first.number} has "
            f"{first.actual_columns}. A cell with a {delimiter!r} in it needs quotation marks around it.",
            location=f"row {first.number}",
        )
    return [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in table.columns]


@dataclass(frozen=True)
class _Wrong:
    """Cells of one column that are not of its type. rows: their numbers, from 1 for the first after the headings."""

    heading: str
    type: pa.DataType
    rows: list[int]
    cells: pa.Array


def _wrong_values(wrong: list[_Wrong]) -> Refused:
    parts = []
    for one in wrong:
        shown = ", ".join(f"{one.cells[row - 1].as_py()!r} in row {row}" for row in one.rows[:_MOST_SHOWN])
        more = f" and {len(one.rows) - _MOST_SHOWN:,} more" if len(one.rows) > _MOST_SHOWN else ""
        parts.append(f"column {one.heading}: {shown}{more}; expected {_in_words(one.type)}")
    first = wrong[0]
    return Refused("wrong_values", ". ".join(parts), location=f"row {first.rows[0]}, column {first.heading}")


def _in_words(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return f"a whole number of {kind.bit_width} bits"
    if pa.types.is_timestamp(kind):
        return "a time such as 2026-03-01T12:00:00" + ("Z" if kind.tz else " (without an offset)")
    if pa.types.is_date(kind):
        return "a date such as 2026-03-01"
    return "true or false" if pa.types.is_boolean(kind) else "a number"


def _converted(
    values: pa.Array, kind: pa.DataType, decimal: str, time_format: str | None
) -> tuple[pa.Array, list[int]]:
    """Text as values of a type, and the numbers of the rows whose text is none, from 1."""
    import pyarrow.compute as pc

    if pa.types.is_string(kind):
        return values, []
    if pa.types.is_timestamp(kind):
        array = _times(values, kind, time_format)
    else:
        if pa.types.is_floating(kind) and decimal != ".":
            values = pc.replace_substring(values, decimal, ".")
        array = _cast(values, kind)
        if pa.types.is_floating(kind):
            array = pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind))
    is_bad = pc.and_(pc.is_null(array), pc.is_valid(values))
    return array, [position + 1 for position in pc.indices_nonzero(is_bad).to_pylist()]


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values of a type, null where the text is none."""
    import pyarrow.compute as pc

    def cast(array: pa.Array) -> pa.Array:
        return pc.cast(array, kind)

    try:
        return cast(values)
    except pa.ArrowInvalid:
        bad = [text for text in pc.unique(values).to_pylist() if text is not None and not _works(cast, text)]
        is_bad = pc.is_in(values, value_set=pa.array(bad, pa.string()))
        return cast(pc.if_else(is_bad, pa.scalar(None, pa.string()), values))


def _works(cast: Callable[[pa.Array], pa.Array], text: str) -> bool:
    try:
        cast(pa.array([text], pa.string()))
    except pa.ArrowInvalid:
        return False
    return True


def _times(values: pa.Array, kind: pa.DataType, time_format: str | None) -> pa.Array:
    import pandas as pd
    import pyarrow.compute as pc

    if kind.tz is None:
        has_offset = pc.fill_null(pc.match_substring_regex(values, _OFFSET), False)
        values = pc.if_else(pc.and_(has_offset, time_format is None), pa.scalar(None, pa.string()), values)
    parsed = pd.to_datetime(
        values.to_pandas(), format=time_format or "ISO8601", errors="coerce", utc=kind.tz is not None
    )
    return pa.array(parsed, from_pandas=True).cast(kind, safe=False)
