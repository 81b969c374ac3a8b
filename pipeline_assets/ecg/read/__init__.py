"""Files -> `Recording`: one module for each format. Pure functions; the only thing they raise about a file is `Refused`.

recording.py says what a recording is, variable.py what is expected of a MATLAB variable, sidecar.py where rate and
gain of a bare MATLAB file come from, record_parts.py which files make one WFDB record.
"""

from pipeline_assets.ecg.read.matlab4 import read_matlab4, recognise_matlab4
from pipeline_assets.ecg.read.matlab5 import read_matlab5, recognise_matlab5
from pipeline_assets.ecg.read.matlab73 import read_matlab73, recognise_matlab73
from pipeline_assets.ecg.read.record_parts import missing_parts, needed_parts, primary_part, record_name, stands_alone
from pipeline_assets.ecg.read.recording import Annotations, Recording, class_of, lead_names, recording_id
from pipeline_assets.ecg.read.wfdb_record import read_wfdb, recognise_wfdb

__all__ = [
    "Annotations",
    "Recording",
    "class_of",
    "lead_names",
    "missing_parts",
    "needed_parts",
    "primary_part",
    "read_matlab4",
    "read_matlab5",
    "read_matlab73",
    "read_wfdb",
    "recognise_matlab4",
    "recognise_matlab5",
    "recognise_matlab73",
    "recognise_wfdb",
    "record_name",
    "recording_id",
    "stands_alone",
]
