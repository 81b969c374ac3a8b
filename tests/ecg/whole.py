"""The ECG source with all it can read: also WFDB records, whose files cannot be landed yet."""

from __future__ import annotations

from dataclasses import replace

from pipeline_assets.ecg import read, schema
from pipeline_assets.ecg.source import ECG as LANDABLE
from pipeline_assets.source import Reader, Table

WFDB = Reader("wfdb", "WFDB record", recognises=read.recognise_wfdb, read=read.read_wfdb)
*FIRST, MATLAB4 = LANDABLE.readers
ECG = replace(
    LANDABLE,
    # MATLAB 4 has next to no magic, so it is asked last.
    readers=(*FIRST, WFDB, MATLAB4),
    tables=(*LANDABLE.tables, Table("annotations", schema.Annotations)),
)
