"""From a file to its prices, each row checked. Pure functions: no Dagster, no outside.

`csv_file`, `json_lines` and `parquet_file` give columns, `cells` tells what a cell means, `checked` which rows are wrong.
"""

from pipeline_assets.rates.read.csv_file import read_csv, recognise_csv
from pipeline_assets.rates.read.json_lines import read_json_lines, recognise_json_lines
from pipeline_assets.rates.read.parquet_file import read_parquet, recognise_parquet

__all__ = [
    "read_csv",
    "read_json_lines",
    "read_parquet",
    "recognise_csv",
    "recognise_json_lines",
    "recognise_parquet",
]
