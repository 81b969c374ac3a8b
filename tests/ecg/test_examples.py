"""The sample files: alike for a seed, all different, and true to what they claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline_assets.ecg.examples import Example, synthetic_ecg, write_examples
from pipeline_assets.ecg.read import recognise_matlab5


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
        assert example.key.startswith("MLII/")
        assert (example.r_peaks is None) == (example.error_class is not None) == ("/broken/" in example.key)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mat")} == {e.key for e in written}


def test_broken_files_can_be_left_out(tmp_path: Path) -> None:
    assert [example.error_class for example in write_examples(tmp_path, good=2, broken=False)] == [None, None]


def test_good_files_and_most_broken_ones_are_matlab_files(examples: list[Example]) -> None:
    unknown = {e.key for e in examples if not recognise_matlab5(e.path.read_bytes()[:128])}
    assert unknown == {"MLII/broken/not_a_mat_file.mat", "MLII/broken/zero_bytes.mat"}


def test_every_error_class_of_reading_and_checking_has_a_file(examples: list[Example]) -> None:
    assert {example.error_class for example in examples} == {
        None, "unreadable", "no_signal_variable", "wrong_type", "wrong_shape", "wrong_length",
        "nan_samples", "flat_line", "saturation",
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
