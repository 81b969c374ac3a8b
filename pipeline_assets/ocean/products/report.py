"""A cruise on one page, for people: an HTML file that needs nothing else, and the same in short for the asset's page."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_assets.ocean.products.pictures import beside, map_png, section_png, track_km
from pipeline_assets.product import Making, ProductResult

if TYPE_CHECKING:
    import pandas as pd

REPORT_COLUMNS = {
    "levels": ("cast_index", "row", "pressure_dbar", "temperature_c", "practical_salinity"),
    "casts": (
        "source_key", "cast_index", "station", "cast_number", "time", "latitude", "longitude", "observations",
        "pressure_max_dbar",
    ),
    "parameter_stats": (
        "parameter", "unit", "n", "n_good", "n_missing", *(f"n_flag_{flag}" for flag in (*range(1, 10), "other", "none")),
        "n_qartod_suspect", "n_qartod_fail", "min_good", "max_good",
    ),
    "findings": ("source_key", "code", "severity", "parameter", "message", "count", "places"),
    "files": ("source_key", "kind", "observations", "casts", "stations", "findings_error", "findings_warning"),
}  # fmt: skip
_FLAGS = [f"n_flag_{flag}" for flag in (*range(1, 10), "other", "none")]
_MOST_FINDINGS, _MOST_IN_BRIEF = 500, 12
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #1b2631; }}
table {{ border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto; }}
th, td {{ border-bottom: 1px solid #d5d8dc; padding: .2em .7em; text-align: left; vertical-align: top; }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
img {{ max-width: 100%; }} .error {{ color: #b03a2e; }} .warning {{ color: #9a6700; }}
</style></head><body>
<h1>{title}</h1><p>{summary}</p>
<h2>Stations</h2><img alt="map of the stations" src="{map}">
<h2>Sections</h2><img alt="sections of temperature and salinity" src="{section}">
<h2>Files</h2>{files}
<h2>Parameters and flags</h2><p>WOCE flags as the originators gave them; QARTOD is automatic and changes none.</p>{parameters}
<h2>Findings</h2>{findings}
</body></html>
"""


def make_report(making: Making) -> ProductResult:
    """The report of a cruise: `report.html` with its pictures, and these as files."""
    files = making.rows["files"].to_pandas()
    casts = _in_order(making.rows["casts"].to_pandas())
    parameters = _by_parameter(making.rows["parameter_stats"].to_pandas())
    findings = making.rows["findings"].to_pandas()
    station_map = map_png(_numbers(casts["latitude"]), _numbers(casts["longitude"]))
    section = _section(casts, making.rows["levels"].to_pandas())
    (making.folder / "map.png").write_bytes(station_map)
    (making.folder / "section.png").write_bytes(section)
    summary = _summary(files, casts)
    title = f"Cruise {making.partition}"
    page = _PAGE.format(
        title=html.escape(title), summary=html.escape(summary), map=_inline(station_map), section=_inline(section),
        files=_table(files.drop(columns="file_id")), parameters=_table(parameters), findings=_findings(findings),
    )  # fmt: skip
    (making.folder / "report.html").write_text(page, encoding="utf-8")
    return ProductResult(
        markdown=f"**{_plain(title)}**: {_plain(summary)}\n\n{_brief(parameters)}",
        picture=beside([station_map, section]),
        metadata={"casts": len(casts), "findings": len(findings), "errors": int(files["findings_error"].sum())},
    )


def _in_order(casts: pd.DataFrame) -> pd.DataFrame:
    """Casts by time; those without one at the end, as in their files."""
    return casts.sort_values("time", kind="stable", na_position="last", ignore_index=True)


def _numbers(column: Any) -> Any:
    return np.asarray(column, np.float64)


def _summary(files: pd.DataFrame, casts: pd.DataFrame) -> str:
    times = casts["time"].dropna()
    when = f", {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}" if len(times) else ""
    return (
        f"{len(files):,} files, {int(files['observations'].sum()):,} observations in {len(casts):,} casts at "
        f"{casts['station'].nunique():,} stations{when}"
    )


def _section(casts: pd.DataFrame, levels: pd.DataFrame) -> bytes:
    km = track_km(_numbers(casts["latitude"]), _numbers(casts["longitude"]))
    place = casts.assign(km=km)[["file_id", "cast_index", "km"]]
    joined = levels.merge(place, on=["file_id", "cast_index"], how="left")
    values = {name: _numbers(joined[name]) for name in ("temperature_c", "practical_salinity")}
    return section_png(_numbers(joined["km"]), _numbers(joined["pressure_dbar"]), values)


def _by_parameter(stats: pd.DataFrame) -> pd.DataFrame:
    """Counts over all casts, one row for each parameter and unit, in the order of the files."""
    counts = ["n", "n_good", "n_missing", *_FLAGS, "n_qartod_suspect", "n_qartod_fail"]
    wanted = dict.fromkeys(counts, "sum") | {"min_good": "min", "max_good": "max"}
    return stats.groupby(["parameter", "unit"], sort=False, dropna=False).agg(wanted).reset_index()


def _brief(parameters: pd.DataFrame) -> str:
    shown = parameters.sort_values("n", ascending=False, kind="stable").head(_MOST_IN_BRIEF)
    lines = [
        f"| {_plain(str(row.parameter))} | {row.n:,} | {row.n_good:,} | {row.n_flag_3:,} | {row.n_flag_4:,} | {row.n_qartod_fail:,} |"
        for row in shown.itertuples()
    ]
    more = len(parameters) - len(shown)
    rest = f"\n\nand {more} more parameters in report.html" if more else ""
    return (
        "\n".join(["| parameter | n | good | flag 3 | flag 4 | QARTOD fail |", "|---|---|---|---|---|---|", *lines])
        + rest
    )


def _findings(findings: pd.DataFrame) -> str:
    if findings.empty:
        return "<p>None.</p>"
    rank = {"error": 0, "warning": 1, "info": 2}
    ordered = findings.assign(rank=findings["severity"].map(rank)).sort_values(
        ["rank", "source_key", "code"], kind="stable"
    )
    more = len(ordered) - _MOST_FINDINGS
    shown = ordered.drop(columns=["rank", "file_id"]).head(_MOST_FINDINGS)
    return _table(shown) + (f"<p>and {more:,} more in the table ocean.findings</p>" if more > 0 else "")


def _table(rows: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(_heading(str(name)))}</th>" for name in rows.columns)
    body = "".join(f"<tr>{''.join(map(_cell, values))}</tr>" for values in rows.itertuples(index=False))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _heading(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ") if name.startswith("n_") else name.replace("_", " ")


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "<td></td>"
    if isinstance(value, (int, np.integer)):
        return f'<td class="number">{value:,}</td>'
    if isinstance(value, (float, np.floating)):
        return f'<td class="number">{value:.6g}</td>'
    text = str(value)
    of_class = f' class="{text}"' if text in {"error", "warning"} else ""
    return f"<td{of_class}>{html.escape(text)}</td>"


def _plain(text: str) -> str:
    """Text for Markdown, in which nothing of it means anything."""
    escaped = html.escape(text, quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#!" else letter for letter in escaped)


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
