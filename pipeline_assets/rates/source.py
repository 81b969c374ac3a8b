"""The rates source: read this and you know it."""

from __future__ import annotations

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.rates import derive, examples, read, schema
from pipeline_assets.rates.config import RatesConfig
from pipeline_assets.rates.serving import SERVING, prepare
from pipeline_assets.source import FileSource, Reader, Table

RATES = FileSource(
    name="rates",
    description="Prices of moving a container between ports, by day. A file goes in whole or not at all.",
    owners=("team:freight",),
    readers=(
        Reader("csv", "CSV file of prices", recognises=read.recognise_csv, read=read.read_csv),
        Reader("json_lines", "JSON lines of prices", recognises=read.recognise_json_lines, read=read.read_json_lines),
        Reader("parquet", "Parquet file of prices", recognises=read.recognise_parquet, read=read.read_parquet),
    ),
    tables=(
        Table("prices", schema.Prices),
        Table("batches", schema.Batches, derived_from=("prices",)),
    ),
    derive=derive.checked_tables,
    aggregates=(
        Aggregate(
            "daily_rates",
            schema.DailyRates,
            of="prices",
            keys=derive.KEYS,
            columns=derive.COLUMNS,
            compute=derive.daily_rates,
            question="SELECT day, sum(prices)::BIGINT AS prices, round(sum(average * prices) / sum(prices), 1) AS average "
            "FROM rates.daily_rates GROUP BY day ORDER BY day LIMIT 10",
        ),
    ),
    config=RatesConfig,
    # The same prices sent again, under whatever name, are one batch; other prices under a known name are another.
    overwrite="new",
    equal_bytes="duplicate",
    prepare=prepare,
    serving=SERVING,
    after=("places",),
    kinds=frozenset({"postgres"}),
    preload=("pyarrow.csv", "pyarrow.json"),
    examples=examples.write_examples,
    question="SELECT source_key, prices, lanes, first_day, last_day FROM rates.batches ORDER BY source_key",
)
