"""What is made of a cruise: NetCDF that keeps the CF conventions and the values, a report, items of DynamoDB."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline_assets.batch_run import run_batch
from pipeline_assets.columns import arrow_schema, to_table
from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.derive import tables
from pipeline_assets.ocean.examples import Example
from pipeline_assets.ocean.products.dynamodb import dynamo_value, write_stats
from pipeline_assets.ocean.products.netcdf import make_netcdf
from pipeline_assets.ocean.products.pictures import map_png, on_globe, track_km
from pipeline_assets.ocean.products.report import make_report
from pipeline_assets.ocean.products.units import UNITS_OF, standard_name, udunits, variable_name
from pipeline_assets.ocean.source import OCEAN
from pipeline_assets.product import Making
from pipeline_assets.product_run import run_product
from pipeline_assets.source import FileSource
from resources.ledger.batches import due, get_batch
from resources.platform import Platform
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put
from tests.ocean.conftest import CONFIG
from tests.ocean.reading import read
from tests.running import Silent

CRUISE = "99ST20240105"
NOT_SCORED = OceanConfig(compliance=False)


def making(
    folder: Path, contents: Mapping[str, bytes], config: OceanConfig = NOT_SCORED, cruise: str = CRUISE
) -> Making:
    """What a product gets of files, by their keys."""
    rows: dict[str, list[pa.Table]] = {table.name: [arrow_schema(table.schema).empty_table()] for table in OCEAN.tables}
    for number, (key, content) in enumerate(sorted(contents.items())):
        made = tables(read(content, key=key), config)
        for table in OCEAN.tables:
            fill = {"file_id": f"f{number}", "batch_id": "b", "source_key": key}
            rows[table.name].append(to_table(table.schema, made[table.name], fill).cast(arrow_schema(table.schema)))
    folder.mkdir(exist_ok=True)
    return Making({name: pa.concat_tables(parts) for name, parts in rows.items()}, folder, config, cruise)


def content_of(examples: list[Example], *ends: str) -> dict[str, bytes]:
    found = {
        f"ocean/{one.key}": one.path.read_bytes() for one in examples if one.key.endswith(ends) and not one.error_class
    }
    assert len(found) == len(ends)
    return found


@pytest.fixture(scope="module")
def cruise(examples: list[Example]) -> dict[str, bytes]:
    """A CTD zip and a bottle file of one cruise."""
    return content_of(examples, "_ct1.zip", "_hy1.csv")


@pytest.fixture(scope="module")
def netcdf(tmp_path_factory: pytest.TempPathFactory, cruise: dict[str, bytes]) -> Making:
    made = making(tmp_path_factory.mktemp("netcdf") / "made", cruise)
    make_netcdf(made)
    return made


def text_of(variable: Any) -> list[str]:
    return [str(one) for one in netCDF4.chartostring(variable[:])]


def kinds(made: Making) -> list[str]:
    return sorted({row["kind"] for row in made.rows["files"].to_pylist()})


# --- NetCDF


def test_every_value_flag_and_test_result_is_in_the_netcdf_at_its_level(netcdf: Making) -> None:
    compared = 0
    for kind in kinds(netcdf):
        files = {row["file_id"] for row in netcdf.rows["files"].to_pylist() if row["kind"] == kind}
        levels = [row for row in netcdf.rows["levels"].to_pylist() if row["file_id"] in files]
        levels.sort(key=lambda row: (row["file_id"], row["cast_index"], row["row"]))
        place = {(row["file_id"], row["row"]): number for number, row in enumerate(levels)}
        with netCDF4.Dataset(netcdf.folder / f"{CRUISE}_{kind}.nc") as nc:
            nc.set_auto_mask(False)
            columns = {name: nc[name][:] for name in nc.variables}
            assert len(nc.dimensions["obs"]) == len(levels)
            for row in netcdf.rows["observations"].to_pylist():
                if row["file_id"] not in files:
                    continue
                name, at = row["parameter"], place[row["file_id"], row["row"]]
                value = columns[name][at]
                assert value == row["value"] or (row["value"] is None and value == nc[name]._FillValue)
                flag = f"{name}_flag"
                assert flag not in columns or columns[flag][at] == (
                    nc[flag]._FillValue if row["flag"] is None else row["flag"]
                )
                assert columns[f"{name}_qartod"][at] == row["qartod"]
                compared += 1
    assert compared == netcdf.rows["observations"].num_rows > 500


def test_casts_are_profiles_of_a_contiguous_ragged_array(netcdf: Making) -> None:
    (ctd_kind,) = [kind for kind in kinds(netcdf) if "ctd" in kind]
    with netCDF4.Dataset(netcdf.folder / f"{CRUISE}_{ctd_kind}.nc") as nc:
        assert (nc.Conventions, nc.featureType) == ("CF-1.8", "profile")
        assert nc["profile"].cf_role == "profile_id"
        assert nc["row_size"].sample_dimension == "obs"
        assert len(set(text_of(nc["profile"]))) == len(nc.dimensions["profile"])
        ctd = [row for row in netcdf.rows["casts"].to_pylist() if row["source_key"].endswith(".zip")]
        assert nc["row_size"][:].tolist() == [row["observations"] for row in ctd]
        assert text_of(nc["station"]) == [row["station"] for row in ctd]
        assert nc["latitude"][:].tolist() == [row["latitude"] for row in ctd]
        assert nc["longitude"][:].tolist() == [row["longitude"] for row in ctd]
        assert nc["time"][:].tolist() == [row["time"].timestamp() for row in ctd]
        assert nc["pressure"].positive == "down"
        salinity = nc["CTDSAL"]
        assert (salinity.standard_name, salinity.units) == ("sea_water_practical_salinity", "1")
        assert salinity.ancillary_variables == "CTDSAL_flag CTDSAL_qartod"
        assert nc["CTDTMP"].units == "degree_Celsius"
        assert (
            ", ".join(row["source_key"] for row in netcdf.rows["files"].to_pylist() if "zip" in row["source_key"])
            in nc.history
        )


def test_the_checker_finds_no_error_and_gives_every_point(tmp_path: Path, cruise: dict[str, bytes]) -> None:
    result = make_netcdf(making(tmp_path / "made", cruise, CONFIG))
    found = result.checks["cf_conventions"]
    assert found.passed, found.description
    assert found.metadata["errors"] == 0
    assert found.metadata["points"] == found.metadata["points possible"] > 100
    assert "100.0%" in result.markdown


def test_what_breaks_the_conventions_is_told(
    tmp_path: Path, cruise: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_assets.ocean.products.netcdf._EPOCH", "no units of time")
    bottle = {key: content for key, content in cruise.items() if key.endswith(".csv")}
    found = make_netcdf(making(tmp_path / "made", bottle, CONFIG)).checks["cf_conventions"]
    assert not found.passed
    assert "time" in found.description


def test_a_series_at_one_place_is_a_time_series(tmp_path: Path, examples: list[Example]) -> None:
    made = making(tmp_path / "made", content_of(examples, "mooring_water_level.csv"), CONFIG, "mooring")
    assert make_netcdf(made).checks["cf_conventions"].passed
    (path,) = made.folder.iterdir()
    with netCDF4.Dataset(path) as nc:
        assert nc.featureType == "timeSeries"
        assert nc["time"].dimensions == ("obs",)
        assert nc["time"][:].tolist() == [row["time"].timestamp() for row in made.rows["levels"].to_pylist()]


def test_every_kind_of_sample_file_gives_netcdf_without_errors(tmp_path: Path, examples: list[Example]) -> None:
    for end in ("_ctd.nc", ".cnv", ".btl"):
        made = making(tmp_path / end[-3:], content_of(examples, end), CONFIG)
        assert make_netcdf(made).checks["cf_conventions"].passed, end


def test_a_cruise_without_levels_has_no_netcdf(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no level or sample"):
        make_netcdf(making(tmp_path / "made", {}))


def test_without_the_checker_the_check_says_so(tmp_path: Path, cruise: dict[str, bytes]) -> None:
    found = make_netcdf(making(tmp_path / "made", cruise)).checks["cf_conventions"]
    assert (found.passed, found.description) == (True, "not scored: STRANDLINE_OCEAN_COMPLIANCE is off")


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [("ITS-90", "degree_Celsius"), ("pss-78", "1"), (" UMOL/KG ", "umol kg-1"), ("", None), ("FURLONGS", None)],
)
def test_units_are_those_of_udunits_or_left_out(unit: str, wanted: str | None) -> None:
    assert udunits(unit) == wanted


def test_a_standard_name_is_kept_only_with_units_of_its_kind() -> None:
    assert standard_name("sea_water_temperature", "degree_Celsius") == "sea_water_temperature"
    assert standard_name("sea_water_temperature", "dbar") is None
    assert standard_name("sea_water_fluorescence", "V") is None, "it is none of CF's"
    assert standard_name(None, "1") is None


def test_the_standard_names_are_those_of_the_table() -> None:
    import compliance_checker
    from cf_units import Unit

    table = (Path(compliance_checker.__file__).parent / "data" / "cf-standard-name-table.xml").read_text()
    entries = re.findall(r'<entry id="([^"]+)">.*?<canonical_units>(.*?)</canonical_units>', table, re.DOTALL)
    canonical = dict(entries)
    for name, units in UNITS_OF.items():
        for unit in units:
            assert Unit(unit).is_convertible(canonical[name]), (name, unit)


def test_variables_have_names_of_their_own() -> None:
    taken = {"time", "pressure"}
    names = [
        variable_name(name, taken) for name in ("NO2+NO3", "no2_no3", "Time", "14C", "", "±", "CTDSAL", "CTDSAL_FLAG")
    ]
    assert names[:4] == ["NO2_NO3", "no2_no3_2", "Time_2", "p_14C"]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in names)


# --- the report


def test_the_report_is_one_page_that_needs_nothing_else(tmp_path: Path, cruise: dict[str, bytes]) -> None:
    made = making(tmp_path / "made", cruise)
    result = make_report(made)
    page = (made.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    for key in cruise:
        assert html.escape(key) in page
    stats = made.rows["parameter_stats"].to_pandas()
    salinity = stats[stats["parameter"] == "CTDSAL"]
    for count in (salinity["n"].sum(), salinity["n_flag_2"].sum()):
        assert f'<td class="number">{count:,}</td>' in page
    assert f"| CTDSAL | {salinity['n'].sum():,} | {salinity['n_good'].sum():,} |" in result.markdown
    assert result.picture is not None
    assert len(result.picture) <= 100_000
    for png in (result.picture, *(path.read_bytes() for path in made.folder.glob("*.png"))):
        assert len(Image.open(io.BytesIO(png)).convert("RGB").getcolors(1 << 24)) > 4


def test_what_stands_in_files_is_text_in_the_report(tmp_path: Path, cruise: dict[str, bytes]) -> None:
    key = "ocean/<script>alert(1)</script>/a|b_hy1.csv"
    bottle = next(content for one, content in cruise.items() if one.endswith(".csv"))
    made = making(tmp_path / "made", {key: bottle}, cruise="<script>alert(1)</script>")
    result = make_report(made)
    assert "<script" not in (made.folder / "report.html").read_text()
    assert "<script" not in result.markdown


def test_a_track_is_measured_on_the_globe() -> None:
    def track(*positions: tuple[float, float]) -> list[float]:
        latitude, longitude = (np.array(one, np.float64) for one in zip(*positions, strict=True))
        return track_km(latitude, longitude).round(0).tolist()

    degree = 111.0  # of a great circle: 6371.0088 km * pi / 180 = 111.2
    assert track((0, 179), (0, -179)) == track((0, 179), (0, 181)) == [0, round(2 * degree)]
    assert track((89, 0), (89, 180)) == [0, round(2 * degree)]
    assert track((0, 0), (np.nan, 0), (0, 1)) == [0, 0, degree]
    assert track((np.nan, 0), (0, 0), (0, 1)) == [0, 0, degree]
    assert track((np.nan, 0)) == [0]
    assert track_km(np.zeros(0), np.zeros(0)).tolist() == []
    assert on_globe(np.array([91.0, 0.0, 0.0]), np.array([0.0, 361.0, 360.0])).tolist() == [False, False, True]


def width_of(png: bytes) -> int:
    """How far apart the outermost points of the stations' colour are, in pixels."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red = (np.abs(image - np.array([0xB0, 0x3A, 0x2E])).sum(axis=2) < 90).any(axis=0)
    there = np.flatnonzero(red)
    return int(there[-1] - there[0]) if len(there) else 0


def test_a_map_across_the_dateline_is_no_wider_than_elsewhere() -> None:
    latitude = np.linspace(-10, 10, 9)
    here = map_png(latitude, np.linspace(-4, 4, 9))
    there = map_png(latitude, (np.linspace(176, 184, 9) + 180) % 360 - 180)
    assert abs(width_of(here) - width_of(there)) <= 10
    assert width_of(here) > 100


@pytest.mark.parametrize("latitude", [85.0, -85.0])
def test_a_map_around_a_pole_shows_the_pole(latitude: float) -> None:
    png = map_png(np.full(12, latitude), np.linspace(-180, 150, 12))
    assert width_of(png) > 50


def test_a_map_of_no_positions_is_a_map() -> None:
    assert map_png(np.array([np.nan, 95.0]), np.array([0.0, 0.0])).startswith(b"\x89PNG")
    assert map_png(np.array([5.0]), np.array([5.0])).startswith(b"\x89PNG")


# --- DynamoDB


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        keys = (("cruise", "HASH"), ("item", "RANGE"))
        yield boto3.resource("dynamodb").create_table(
            TableName="stats",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def put(contents: Mapping[str, bytes], cruise: str = CRUISE) -> dict[str, Any]:
        made = making(tmp_path / "made", contents, OceanConfig(dynamodb_table="stats", compliance=False), cruise)
        write_stats(made)
        return json.loads((made.folder / "written.json").read_text())

    return put


def items(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {}
    while True:
        answer = table.scan(**query)
        found += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return found
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def test_the_table_has_an_item_for_each_row_of_the_statistics(
    dynamodb: Any, write: Callable[..., dict[str, Any]], cruise: dict[str, bytes], tmp_path: Path
) -> None:
    rows = making(tmp_path / "again", cruise).rows["parameter_stats"].to_pylist()
    assert write(cruise) == {"table": "stats", "items": len(rows), "items deleted": 0, "cruise": CRUISE}
    found = {(one["source_key"], int(one["cast_index"]), one["parameter"]): one for one in items(dynamodb)}
    assert len(found) == len(rows) > 50
    for row in rows:
        item = found[row["source_key"], row["cast_index"], row["parameter"]]
        assert item["n_good"] == row["n_good"]
        assert ("mean" in item) == (row["mean"] is not None)
        if row["mean"] is not None:
            assert isinstance(item["mean"], Decimal)
            assert float(item["mean"]) == row["mean"]


def test_what_a_cruise_has_there_is_exchanged(
    dynamodb: Any, write: Callable[..., dict[str, Any]], cruise: dict[str, bytes]
) -> None:
    write(cruise, "OTHER")
    write(cruise)
    before = items(dynamodb)
    assert write(cruise)["items deleted"] == 0
    assert sorted(map(str, items(dynamodb))) == sorted(map(str, before)), "written twice is written once"
    bottle = {key: content for key, content in cruise.items() if key.endswith(".csv")}
    done = write(bottle)
    assert done["items deleted"] > 0
    left = items(dynamodb)
    assert {one["source_key"] for one in left if one["cruise"] == CRUISE} == set(bottle)
    assert {one["source_key"] for one in left if one["cruise"] == "OTHER"} == set(cruise)
    write({})
    assert {one["cruise"] for one in items(dynamodb)} == {"OTHER"}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.1, Decimal("0.1")), (1e-200, "1e-200"), (float("inf"), "inf"), (7, 7), ("a", "a"), (-0.0, Decimal("-0"))],
)
def test_numbers_are_decimals_where_dynamodb_takes_them(value: Any, wanted: Any) -> None:
    found = dynamo_value(value)
    assert type(found) is type(wanted)
    assert float(found) == value if isinstance(value, float) else found == wanted


def test_without_a_table_there_is_no_such_product() -> None:
    assert [product.name for product in OCEAN.products_of(CONFIG)] == ["netcdf", "report"]
    with_table = OceanConfig(dynamodb_table="stats")
    assert "parameter_stats_dynamodb" in [product.name for product in OCEAN.products_of(with_table)]


# --- through the front door


def do_all(platform: Platform, source: FileSource) -> None:
    look_for_arrivals(platform, source)
    plan_batches(platform, source)
    for batch in due(platform.ledger, source.name):
        run_id = f"run-{batch.attempt}"
        run_batch(platform, source, NOT_SCORED, batch.batch_id, run_id, Silent(), hold_when_stopped=lambda: True)


def test_a_cruise_that_landed_has_its_products_and_a_later_file_changes_them(
    platform: Platform, put: Put, cruise: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    assert OCEAN.groups is not None
    at_once = dataclasses.replace(OCEAN, groups=dataclasses.replace(OCEAN.groups, quiet_seconds=0.0), checks=())
    platform.settings = platform.settings.model_copy(update={"file_timeout_seconds": 60.0})
    (zip_key, zip_content), (bottle_key, bottle_content) = sorted(cruise.items())
    put(zip_key, zip_content)
    do_all(platform, at_once)
    batch = get_batch(platform.ledger, at_once.batch_of(CRUISE))
    netcdf, report = at_once.products[:2]
    for product in (netcdf, report):
        run_product(platform, at_once, NOT_SCORED, product, batch, "run-1", print)
    folder = platform.settings.products_folder / "ocean" / CRUISE
    one = {path.name for path in (folder / "netcdf").iterdir()}
    put(bottle_key, bottle_content)
    do_all(platform, at_once)
    for product in (netcdf, report):
        run_product(platform, at_once, NOT_SCORED, product, batch, "run-2", print)
    two = {path.name for path in (folder / "netcdf").iterdir()}
    assert one < two
    assert len(two) == 2
    assert bottle_key in (folder / "report" / "report.html").read_text()
