"""The products of the ocean source."""

from __future__ import annotations

from pipeline_assets.ocean.products import dynamodb, netcdf, report
from pipeline_assets.product import Product

PRODUCTS = (
    Product(
        "netcdf",
        "The cruise as NetCDF by the CF conventions 1.8: a file for each kind of data, with the originators' flags and the "
        "results of the quality tests.",
        of=("observations", "levels", "casts", "files"),
        columns=netcdf.NETCDF_COLUMNS,
        make=netcdf.make_netcdf,
        checks={
            "cf_conventions": "The NetCDF files keep what the CF conventions demand (IOOS compliance checker, cf:1.8)."
        },
        preload=("netCDF4", "pandas", "compliance_checker.runner"),
        kinds=frozenset({"netcdf"}),
    ),
    Product(
        "report",
        "The cruise on one page: a map of its stations, sections, its files, parameters with their flags, and what was found "
        "in its files.",
        of=("levels", "casts", "parameter_stats", "findings", "files"),
        columns=report.REPORT_COLUMNS,
        make=report.make_report,
        preload=("pandas", "matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image"),
        kinds=frozenset({"html"}),
    ),
    Product(
        "parameter_stats_dynamodb",
        "The statistics of the cruise's parameters as items of a DynamoDB table.",
        of=("parameter_stats",),
        columns=dynamodb.STATS_COLUMNS,
        make=dynamodb.write_stats,
        is_on=dynamodb.is_on,
        when_empty=True,
        preload=("boto3",),
        kinds=frozenset({"dynamodb"}),
    ),
)
