"""Signal checks, beats and tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.errors
import pytest

from pipeline_assets.columns import to_table
from pipeline_assets.ecg import schema
from pipeline_assets.ecg.beats import (
    find_beats,
    folded,
    heart_rate_bpm,
    rr_intervals_s,
    snap_to_peaks,
)
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import checked_tables
from pipeline_assets.ecg.derive import tables as tables_of
from pipeline_assets.ecg.examples import Example, synthetic_ecg
from pipeline_assets.ecg.quality import assess
from pipeline_assets.ecg.read import Recording, read_matlab5
from pipeline_assets.ecg.signal_checks import check_signal, constant_runs
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.validation import to_pandas

MODELS = {
    "samples": schema.Samples,
    "recordings": schema.Recordings,
    "beats": schema.Beats,
    "annotations": schema.Annotations,
}
Maker = Callable[..., Recording]


def tables(recording: Recording, config: EcgConfig) -> dict[str, dict[str, Any]]:
    return tables_of(recording, assess(recording, config))


def frame_of(name: str, rows: dict[str, Any]) -> pd.DataFrame:
    """The rows as they come back from their table."""
    table = to_table(MODELS[name], rows, {"file_id": "f", "batch_id": "b"})
    return to_pandas(MODELS[name], table.drop_columns(["file_id", "batch_id"]))


@pytest.fixture
def counts() -> np.ndarray:
    return synthetic_ecg(np.random.default_rng(7))[0][0].astype(np.float64)


def refused(recording: Recording, config: EcgConfig) -> Refused:
    with pytest.raises(Refused) as caught:
        check_signal(recording, config)
    return caught.value


def test_runs_cover_the_lead() -> None:
    starts, lengths = constant_runs(np.array([5.0, 5, 1, 2, 2, 2]))
    assert starts.tolist() == [0, 2, 3]
    assert lengths.tolist() == [2, 1, 3]


def test_good_files_pass(good: list[Example], config: EcgConfig) -> None:
    for example in good:
        check_signal(read_matlab5(LandedFile.at(example.path), config), config)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_missing_samples_are_refused_with_their_place(
    value: float, counts: np.ndarray, recording_of: Maker, config: EcgConfig
) -> None:
    counts[[*range(100, 160), 3599]] = value
    error = refused(recording_of(counts), config)
    assert error.error_class == "nan_samples"
    assert error.location == "lead MLII, samples 100-159, 3599-3599"
    assert "61 samples" in error.message


def test_many_ranges_are_cut_short(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    counts[0:100:10] = math.nan
    assert refused(recording_of(counts), config).location == "lead MLII, samples 0-0, 10-10, 20-20 and 7 more ranges"


def test_flat_line_begins_at_its_threshold(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    middle = np.median(counts)
    counts[999], counts[1539:1541] = middle + 1, middle + 1
    counts[1000:1539] = middle
    check_signal(recording_of(counts), config)
    counts[1539] = middle
    error = refused(recording_of(counts), config)
    assert error.error_class == "flat_line"
    assert error.location == "lead MLII, samples 1000-1539"


def test_a_lead_with_one_value_is_a_flat_line(recording_of: Maker, config: EcgConfig) -> None:
    assert refused(recording_of(np.full(3600, 1024.0)), config).error_class == "flat_line"


@pytest.mark.parametrize("rail", [0.0, 2047.0])
def test_saturation_begins_at_its_threshold(
    rail: float, counts: np.ndarray, recording_of: Maker, config: EcgConfig
) -> None:
    counts[1000:1035] = rail
    check_signal(recording_of(counts), config)
    counts[1035] = rail
    error = refused(recording_of(counts), config)
    assert error.error_class == "saturation"
    assert error.location == "lead MLII, samples 1000-1035"


def test_clipped_r_waves_are_saturation(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    low = recording_of(np.clip(counts, None, 1060))
    assert refused(low, config).error_class == "saturation"
    check_signal(recording_of(np.clip(counts, None, counts.max() - 10)), config)


def test_short_stays_at_the_extreme_are_no_saturation(
    counts: np.ndarray, recording_of: Maker, config: EcgConfig
) -> None:
    for start in range(0, 3600, 100):
        counts[start : start + 7] = 2000
    check_signal(recording_of(counts), config)
    for start in range(0, 3600, 100):
        counts[start : start + 8] = 2000
    assert refused(recording_of(counts), config).error_class == "saturation"


def test_every_lead_is_checked(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    other = counts.copy()
    other[10] = math.nan
    error = refused(recording_of([counts, other], leads=("II", "V5")), config)
    assert error.location == "lead V5, samples 10-10"


def test_every_sample_file_is_judged_as_declared(examples: list[Example], config: EcgConfig) -> None:
    judged = 0
    for example in examples:
        if example.error_class in ("nan_samples", "flat_line", "saturation"):
            error = refused(read_matlab5(LandedFile.at(example.path), config), config)
            assert error.error_class == example.error_class
            judged += 1
    assert judged == 3


def test_all_beats_of_the_sample_files_are_found(good: list[Example], config: EcgConfig) -> None:
    for example in good:
        recording = read_matlab5(LandedFile.at(example.path), config)
        found = find_beats(recording.signal_mv[0], recording.fs_hz, config)
        assert example.r_peaks is not None
        assert len(found) == len(example.r_peaks) > 5
        assert np.abs(found - example.r_peaks).max() <= 2, example.key


@pytest.mark.parametrize("cut", [0, 1, 3, 8, 20])
def test_beats_at_the_edges_are_found(cut: int, config: EcgConfig) -> None:
    counts, peaks = synthetic_ecg(np.random.default_rng(3), samples=7200)
    first, last = peaks[3], peaks[13]
    signal = (counts[0, first - cut : last + cut + 1] - 1024) / 200
    found = find_beats(signal, 360.0, config)
    expected = np.array(peaks[3:14]) - (first - cut)
    assert len(found) == len(expected)
    assert np.abs(found - expected).max() <= 2


def test_beats_in_the_mirror_images_come_back() -> None:
    assert folded(np.array([-5, 5, 50, 99, 100, 103]), 100).tolist() == [5, 50, 95, 98, 99]


def test_downward_beats_are_found_at_their_lowest_point(config: EcgConfig) -> None:
    counts, peaks = synthetic_ecg(np.random.default_rng(5))
    found = find_beats(-(counts[0] - 1024) / 200.0, 360.0, config)
    assert np.abs(found - peaks).max() <= 2


def test_of_two_close_beats_the_larger_stays(config: EcgConfig) -> None:
    signal = np.zeros(1000)
    signal[[300, 371, 500, 572]] = [1.0, 2.0, 1.0, 2.0]
    assert snap_to_peaks(signal, np.array([300, 371, 500, 572]), 360.0, config).tolist() == [371, 500, 572]
    assert snap_to_peaks(signal, np.array([310, 490]), 360.0, config).tolist() == [300, 500]


@pytest.mark.parametrize("signal", [np.zeros(3600), np.random.default_rng(0).normal(size=359), np.zeros(0)])
def test_no_beats_where_there_can_be_none(signal: np.ndarray, config: EcgConfig) -> None:
    assert len(find_beats(signal, 360.0, config)) == 0


@pytest.mark.parametrize("samples", [360, 361, 720, 1000, 100_000])
def test_any_length_from_a_second_on(samples: int, config: EcgConfig) -> None:
    counts, peaks = synthetic_ecg(np.random.default_rng(11), samples=samples)
    found = find_beats((counts[0] - 1024) / 200.0, 360.0, config)
    assert np.all(np.diff(found) >= 72)
    if samples >= 1000:
        assert abs(len(found) - len(peaks)) <= 0.02 * len(peaks)


def test_heart_rate_is_the_mean_of_the_rates_from_beat_to_beat() -> None:
    assert heart_rate_bpm(np.array([0, 180, 720]), 360.0) == (120.0 + 40.0) / 2
    assert math.isnan(heart_rate_bpm(np.array([5]), 360.0))
    assert math.isnan(heart_rate_bpm(np.array([], dtype=np.int64), 360.0))


def test_rr_intervals_are_as_many_as_the_beats() -> None:
    rr = rr_intervals_s(np.array([0, 180, 540]), 360.0)
    assert math.isnan(rr[0])
    assert rr[1:].tolist() == [0.5, 1.0]
    assert len(rr_intervals_s(np.array([], dtype=np.int64), 360.0)) == 0


def test_tables_of_one_lead(good: list[Example], config: EcgConfig) -> None:
    recording = read_matlab5(LandedFile.at(good[0].path, good[0].key), config)
    frames = {name: MODELS[name].validate(frame_of(name, rows)) for name, rows in tables(recording, config).items()}
    samples, row, beats = frames["samples"], frames["recordings"].iloc[0], frames["beats"]
    assert np.array_equal(samples["mv"], recording.signal_mv[0])
    assert samples["sample"].tolist() == list(range(3600))
    assert samples["t_s"].iloc[-1] == 3599 / 360
    assert (row["source_key"], row["lead"], row["samples"], row["duration_s"]) == (good[0].key, "MLII", 3600, 10.0)
    assert (row["min_mv"], row["max_mv"]) == (samples["mv"].min(), samples["mv"].max())
    assert row["mean_mv"] == pytest.approx(samples["mv"].mean())
    assert row["beats"] == len(beats) == len(good[0].r_peaks or ())
    assert row["heart_rate_bpm"] == pytest.approx((60 / beats["rr_s"]).mean())
    assert beats["beat"].tolist() == list(range(len(beats)))
    assert np.array_equal(beats["mv"], recording.signal_mv[0][beats["sample"]])
    assert np.array_equal(beats["t_s"], beats["sample"] / 360)
    assert beats["rr_s"].isna().tolist() == [True] + [False] * (len(beats) - 1)


def test_tables_of_three_leads(recording_of: Maker, config: EcgConfig) -> None:
    leads = [synthetic_ecg(np.random.default_rng(seed))[0][0] for seed in (1, 2)]
    recording = recording_of([*leads, np.full(3600, 1000)])
    frames = {name: MODELS[name].validate(frame_of(name, rows)) for name, rows in tables(recording, config).items()}
    assert frames["samples"]["lead"].value_counts().to_dict() == {"MLII": 3600, "lead_2": 3600, "lead_3": 3600}
    second = frames["samples"][frames["samples"]["lead"] == "lead_2"]
    assert np.array_equal(second["mv"], recording.signal_mv[1])
    assert second["sample"].tolist() == list(range(3600))
    rows = frames["recordings"].set_index("lead")
    assert rows["beats"].to_dict() == {**frames["beats"]["lead"].value_counts().to_dict(), "lead_3": 0}
    assert rows["heart_rate_bpm"].isna().to_dict() == {"MLII": False, "lead_2": False, "lead_3": True}
    first_beats = frames["beats"][frames["beats"]["beat"] == 0]
    assert first_beats["lead"].tolist() == ["MLII", "lead_2"]
    assert first_beats["rr_s"].isna().all()


def test_a_recording_without_beats_has_an_empty_table_of_beats(recording_of: Maker, config: EcgConfig) -> None:
    rows = tables(recording_of(np.full(3600, 1000)), config)
    assert len(schema.Recordings.validate(pd.DataFrame(rows["recordings"]))) == 1
    assert all(len(rows["beats"][column]) == 0 for column in ("beat", "sample", "t_s", "mv", "rr_s"))


def test_the_same_recording_gives_the_same_tables(recording_of: Maker, counts: np.ndarray, config: EcgConfig) -> None:
    one, two = (tables(recording_of(counts), config) for _ in range(2))
    for name in MODELS:
        pd.testing.assert_frame_equal(pd.DataFrame(one[name]), pd.DataFrame(two[name]), check_exact=True)


@pytest.mark.parametrize("name", MODELS)
def test_schemas_refuse_what_they_do_not_describe(
    name: str, recording_of: Maker, counts: np.ndarray, config: EcgConfig
) -> None:
    frame = frame_of(name, tables(recording_of(counts), config)[name])
    for wrong in (frame.assign(extra=1), frame.drop(columns="recording_id"), frame.assign(t_s="?", duration_s="?")):
        with pytest.raises((pandera.errors.SchemaError, pandera.errors.SchemaErrors)):
            MODELS[name].validate(wrong)
    if name not in ("samples", "annotations"):
        with pytest.raises((pandera.errors.SchemaError, pandera.errors.SchemaErrors)):
            MODELS[name].validate(pd.concat([frame, frame], ignore_index=True))


@pytest.mark.parametrize("model", MODELS.values())
def test_every_column_is_described_and_every_number_has_a_unit(model: type) -> None:
    assert model.__doc__
    for column in model.to_schema().columns.values():  # type: ignore[attr-defined]
        assert column.description, column.name
        if not str(column.dtype).startswith(("str", "object")):
            assert column.metadata["unit"], column.name


def test_ten_seconds_take_milliseconds(good: list[Example], config: EcgConfig) -> None:
    data = good[0].path.read_bytes()
    times = []
    for _ in range(20):
        start = time.perf_counter()
        checked_tables(read_matlab5(LandedFile("rec.mat", data=data), config), config)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005
