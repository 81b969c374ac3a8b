"""The tables of the health source that are the same whatever the mapping: a row for each record, and for each of its files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

_FILE = {"from": ["file"]}
_COUNT = {"unit": "1", "from": ["file"]}
_FROM_KEY = {"from": ["file.key"]}
_OF_DOCUMENTS = {"unit": "1", "from": ["documents.rows"]}


class Documents(pa.DataFrameModel):
    """One row for each file of an archive: which schema and dataset it has, and what became of it."""

    recordid: Series[str] = pa.Field(description="record, from its annotations")
    source_key: Series[str] = pa.Field(description="key of the archive in the landing store")
    file_name: Series[str] = pa.Field(description="file of the archive, with its folders")
    size_bytes: Series[np.int64] = pa.Field(ge=0, description="size, unpacked", metadata={"unit": "byte"})
    schema_id: Series[str] = pa.Field(nullable=True, description="$id of its JSON schema; missing if nothing names one")
    found_in: Series[str] = pa.Field(
        nullable=True, description="what named the schema: metadata.json, assessment, app, inter-app"
    )
    dataset: Series[str] = pa.Field(nullable=True, description="dataset whose tables its rows are in; missing if none")
    status: Series[str] = pa.Field(
        isin=["kept", "unmapped", "no_dataset"],
        description="kept: its rows are in its dataset's tables; unmapped: it has a schema that no mapping gives a dataset; "
        "no_dataset: nothing says what it is",
    )
    checked: Series[bool] = pa.Field(description="whether it was checked against its schema")
    rows: Series[np.int64] = pa.Field(ge=0, description="its rows in all tables of its dataset", metadata={"unit": "1"})
    extra_rows: Series[np.int64] = pa.Field(
        ge=0, description="of these, rows with something that no column holds (_extra)", metadata={"unit": "1"}
    )
    extra_fields: Series[str] = pa.Field(
        nullable=True, description="the fields that no column holds, with their tables: the first twenty"
    )

    class Config:
        strict = True


class Records(pa.DataFrameModel):
    """One row for each record: whose it is, when it came, and how far its files could be placed."""

    recordid: Series[str] = pa.Field(description="record, from its annotations")
    source_key: Series[str] = pa.Field(description="key of the archive in the landing store")
    study: Series[str] = pa.Field(
        nullable=True, description="study, from the key (STRANDLINE_HEALTH_STUDY_PATTERN)", metadata=_FROM_KEY
    )
    appid: Series[str] = pa.Field(description="app, from the annotations or the settings", metadata=_FILE)
    healthcode: Series[str] = pa.Field(nullable=True, description="participant, from the annotations", metadata=_FILE)
    assessmentid: Series[str] = pa.Field(description="assessment", metadata=_FILE)
    assessmentrevision: Series[np.int64] = pa.Field(
        description="revision of the assessment", metadata={"unit": "1", "from": ["file"]}
    )
    clientinfo: Series[str] = pa.Field(nullable=True, description="what sent it, in its own words", metadata=_FILE)
    appversion: Series[str] = pa.Field(nullable=True, description="version of the app, from clientinfo", metadata=_FILE)
    osname: Series[str] = pa.Field(nullable=True, description="operating system, from clientinfo", metadata=_FILE)
    uploadedon: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="time of the upload", metadata=_FILE
    )
    exportedon: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, nullable=True, description="time of the export", metadata=_FILE
    )
    files: Series[np.int64] = pa.Field(ge=0, description="files of the archive", metadata=_COUNT)
    kept: Series[np.int64] = pa.Field(
        ge=0, description="of these, files with rows in a dataset's tables or none to have", metadata=_OF_DOCUMENTS
    )
    unmapped: Series[np.int64] = pa.Field(
        ge=0,
        description="of these, files whose schema has no dataset",
        metadata={"unit": "1", "from": ["documents.status"]},
    )
    rows: Series[np.int64] = pa.Field(ge=0, description="rows in all datasets' tables", metadata={"unit": "1"})
    is_checked: Series[bool] = pa.Field(
        description="whether files were checked against schemas; not if the assessment is mapped by hand",
        metadata=_FILE,
    )
    waived: Series[np.int64] = pa.Field(ge=0, description="errors that waivers let pass", metadata=_COUNT)
    waivers: Series[str] = pa.Field(
        nullable=True, description="the waivers that were used, with counts", metadata=_FILE
    )
    status: Series[str] = pa.Field(
        isin=["complete", "unmapped_files"],
        description="complete: every file with a schema is in its dataset; unmapped_files: some has no dataset yet",
        metadata={"from": ["documents.status"]},
    )

    class Config:
        strict = True
