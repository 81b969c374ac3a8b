"""The Iceberg catalog of a lake: a SQLite database beside its files, or AWS Glue where these are in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.lake.files import endpoint, region

if TYPE_CHECKING:
    from pyiceberg.catalog import MetastoreCatalog


def folder_catalog(folder: Path) -> MetastoreCatalog:
    from sqlalchemy import event

    from resources.lake.folder_catalog import LakeCatalog

    folder.mkdir(parents=True, exist_ok=True)
    catalog = LakeCatalog("lake", uri=f"sqlite:///{folder / 'catalog.db'}", warehouse=f"file://{folder / 'warehouse'}")
    event.listen(catalog.engine, "connect", _wait_for_other_writers)
    catalog.engine.dispose()
    return catalog


def _wait_for_other_writers(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA busy_timeout=60000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def glue_catalog(root: str) -> MetastoreCatalog:
    """root: ``s3://bucket/prefix``, where the tables are."""
    from pyiceberg.catalog.glue import GlueCatalog

    server = endpoint()
    return GlueCatalog(
        "lake",
        warehouse=root,
        **{
            "glue.region": region(),
            "glue.retry-mode": "adaptive",
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.region": region(),
            "s3.connect-timeout": "10",
            "s3.request-timeout": "60",
            **({"s3.endpoint": server} if server else {}),
        },
    )
