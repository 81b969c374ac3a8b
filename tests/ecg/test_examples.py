"""The sample files: alike for a seed, all different, and true to what they claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import Example, synthetic_ecg, write_examples
from pipeline_assets.ecg.source import ECG
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.reading_units import derive, parse
from pipeline_assets.source import HEAD_BYTES


def test_a_seed_decides_every_byte(tmp_path: Path) -> None:
    one, two, other = (
        write_examples(tmp_path / name, seed=seed, good=4) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert [example.key for example in one] == [example.key for example in two] == [example.key for example in other]
    assert [e.path.read_bytes() for e in one] == [e.path.read_bytes() for e in two]
    assert one[0].path.read_bytes() != other[0].path.read_bytes()


def test_no_two_files_are_alike(examples: list[Example]) -> None:
    assert len({example.path.read_bytes() for example in examples}) == len(examples)
    assert len({example.key for example in examples}) == len(examples)


def test_keys_are_paths_below_the_folder(tmp_path: Path) -> None:
    written = write_examples(tmp_path, good=3)
    for example in written:
        assert example.path == tmp_path / example.key
        assert example.key.startswith(("MLII/", "wfdb/"))
        assert (example.r_peaks is None) == (example.error_class is not None) == ("/broken/" in example.key)
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {example.path for example in written} | {part for example in written for part in example.companions}


def test_broken_files_can_be_left_out(tmp_path: Path) -> None:
    assert [example.error_class for example in write_examples(tmp_path, good=2, broken=False)] == [None, None]


def test_good_files_and_most_broken_ones_are_recognised_by_one_reader(examples: list[Example]) -> None:
    recognisers = [reader.recognises for reader in ECG.readers]
    for example in examples:
        head = example.path.read_bytes()[:HEAD_BYTES]
        known = sum(recognises(head) for recognises in recognisers)
        assert known == (example.key not in ("MLII/broken/not_a_mat_file.mat", "MLII/broken/zero_bytes.mat")), (
            example.key
        )


def test_every_error_class_of_reading_and_checking_has_a_file(examples: list[Example]) -> None:
    assert {example.error_class for example in examples} == {
        None, "unreadable", "no_signal_variable", "wrong_type", "wrong_shape", "wrong_length",
        "nan_samples", "flat_line", "saturation", "noise",
    }  # fmt: skip


def test_true_r_peaks_are_the_tallest_points_around() -> None:
    for seed in range(10):
        counts, peaks = synthetic_ecg(np.random.default_rng(seed), early_beat=seed % 2 == 0)
        for peak in peaks:
            first = max(0, peak - 40)
            assert abs(first + int(counts[0, first : peak + 41].argmax()) - peak) <= 2


def test_an_early_beat_is_early() -> None:
    peaks = np.array(synthetic_ecg(np.random.default_rng(1), early_beat=True)[1])
    rr = np.diff(peaks)
    assert rr.min() < 0.75 * np.median(rr)
    assert rr.max() > 1.15 * np.median(rr)
    steady = np.diff(synthetic_ecg(np.random.default_rng(1))[1])
    assert steady.min() > 0.85 * np.median(steady)


def test_every_readable_file_is_judged_as_declared(examples: list[Example]) -> None:
    for example in examples:
        if example.error_class is None:
            file = LandedFile.at(example.path, example.key, example.companions)
            tables = derive(ECG, EcgConfig(), parse(ECG, EcgConfig(), file))
            warnings = tables["recordings"]["warnings"][0].split(",")
            assert example.warning in warnings, example.key
            found = tables["beats"]["sample"][
                np.broadcast_to(
                    tables["beats"]["lead"] == tables["recordings"]["lead"][0], len(tables["beats"]["sample"])
                )
            ]
            assert example.r_peaks is not None
            assert len(found) == len(example.r_peaks), example.key
            assert np.abs(found - example.r_peaks).max() <= 3, example.key


def test_every_format_and_every_doubt_has_a_file(examples: list[Example]) -> None:
    readers = {
        reader.name
        for example in examples
        for reader in ECG.readers
        if example.error_class is None and reader.recognises(example.path.read_bytes()[:HEAD_BYTES])
    }
    assert readers == {reader.name for reader in ECG.readers}
    assert {example.warning for example in examples} == {"", "baseline_wander", "mains_noise", "high_frequency_noise"}
