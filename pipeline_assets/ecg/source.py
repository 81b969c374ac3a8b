"""The ECG source: read this and you know it."""

from __future__ import annotations

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.ecg import derive, examples, picture, read, schema, summary
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.source import FileSource, Reader, Records, Table

ECG = FileSource(
    name="ecg",
    description="Electrocardiograms from devices: one recording a file, or a record of several, in counts "
    "of the converter.",
    owners=("team:cardiology",),
    readers=(
        Reader("matlab5", "MATLAB 5 file (.mat)", recognises=read.recognise_matlab5, read=read.read_matlab5),
        Reader("matlab73", "MATLAB 7.3 file (.mat)", recognises=read.recognise_matlab73, read=read.read_matlab73),
        Reader("wfdb", "WFDB header (.hea)", recognises=read.recognise_wfdb, read=read.read_wfdb),
        # MATLAB 4 has next to no magic, so it is asked last.
        Reader("matlab4", "MATLAB 4 file (.mat)", recognises=read.recognise_matlab4, read=read.read_matlab4),
    ),
    tables=(
        Table("samples", schema.Samples),
        Table("recordings", schema.Recordings, derived_from=("samples",)),
        Table("beats", schema.Beats, derived_from=("samples",)),
        Table("annotations", schema.Annotations),
    ),
    records=Records(
        name_of=read.record_name,
        primary=read.primary_part,
        needs=read.needed_parts,
        stands_alone=read.stands_alone,
        wanted="a WFDB header (.hea) or a MATLAB file (.mat) of the same name",
    ),
    derive=derive.checked_tables,
    aggregates=(
        Aggregate(
            "class_summary",
            schema.ClassSummary,
            of="recordings",
            keys=summary.KEYS,
            columns=summary.COLUMNS,
            compute=summary.by_class_and_lead,
            question="SELECT class_label, lead, recordings, warn, round(duration_s / 60, 1) AS minutes, "
            "round(heart_rate_median_bpm, 1) AS heart_rate_median_bpm FROM ecg.class_summary ORDER BY ALL",
        ),
    ),
    config=EcgConfig,
    picture=picture.recording_png,
    preload=("scipy.io", "scipy.signal", "sleepecg", "h5py", "wfdb"),
    preload_for_picture=("matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image"),
    examples=examples.write_examples,
    question="SELECT source_key, lead, beats, round(heart_rate_bpm, 1) AS heart_rate_bpm, verdict, warnings "
    "FROM ecg.recordings ORDER BY source_key",
)
