"""The ECG source: read this and you know it."""

from __future__ import annotations

from pipeline_assets.ecg import derive, examples, picture, read, schema
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.source import FileSource, Reader, Table

ECG = FileSource(
    name="ecg",
    description="Electrocardiograms from devices: one recording a file, in counts of the converter.",
    owners=("team:cardiology",),
    readers=(
        Reader("matlab5", "MATLAB 5 file (.mat)", recognises=read.recognise_matlab5, read=read.read_matlab5),
        Reader("matlab73", "MATLAB 7.3 file (.mat)", recognises=read.recognise_matlab73, read=read.read_matlab73),
        Reader("matlab4", "MATLAB 4 file (.mat)", recognises=read.recognise_matlab4, read=read.read_matlab4),
    ),
    tables=(
        Table("samples", schema.Samples),
        Table("recordings", schema.Recordings, derived_from=("samples",)),
        Table("beats", schema.Beats, derived_from=("samples",)),
    ),
    derive=derive.checked_tables,
    config=EcgConfig,
    picture=picture.recording_png,
    preload=("scipy.io", "scipy.signal", "sleepecg"),
    preload_for_picture=("matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image"),
    examples=examples.write_landable_examples,
    question="SELECT source_key, lead, beats, round(heart_rate_bpm, 1) AS heart_rate_bpm, verdict, warnings "
    "FROM ecg.recordings ORDER BY source_key",
)
