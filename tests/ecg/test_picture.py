"""The ECG strip."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable

import matplotlib.image
import numpy as np
import pytest

from pipeline_assets.ecg.beats import find_beats
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import synthetic_ecg
from pipeline_assets.ecg.picture import strip_height, strip_png, title, voltage_limits
from pipeline_assets.ecg.read import Recording

RED = (0xC0, 0x39, 0x2B)


def red_dots(png: bytes) -> int:
    dots = np.round(matplotlib.image.imread(io.BytesIO(png))[..., :3] * 255)
    return int((np.abs(dots - RED).max(axis=-1) < 8).sum())


def test_a_small_png_with_a_mark_for_each_beat(recording_of: Callable[..., Recording], config: EcgConfig) -> None:
    recording = recording_of(synthetic_ecg(np.random.default_rng(4))[0])
    beats = {"MLII": find_beats(recording.signal_mv[0], 360.0, config)}
    png = strip_png(recording, beats)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    assert red_dots(strip_png(recording, {})) == 0
    assert 3 * len(beats["MLII"]) < red_dots(png)
    assert red_dots(strip_png(recording, beats, seconds=5)) < red_dots(png)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e3, 1e9])
@pytest.mark.parametrize("samples", [1, 360, 3600])
def test_any_signal_can_be_drawn(scale: float, samples: int, recording_of: Callable[..., Recording]) -> None:
    counts = 1024 + scale * np.random.default_rng(0).normal(size=samples)
    png = strip_png(recording_of(counts), {"MLII": np.array([0])})
    assert 1_000 < len(png) < 60_000


def test_the_title_names_the_key_and_the_rate(recording_of: Callable[..., Recording]) -> None:
    recording = recording_of([0, 1], key="a$b/" + "x" * 200 + "/rec.mat")
    assert title(recording, 71.6).endswith("/rec.mat   ·   72 beats/min")
    assert len(title(recording, 71.6)) < 120
    assert title(recording_of([0, 1], key="a$b.mat"), float("nan")) == r"a\$b.mat   ·   heart rate unknown"


def test_limits_are_whole_large_squares_around_the_signal() -> None:
    assert voltage_limits(np.array([-0.6, 1.2])) == (-1.0, 1.5)
    assert voltage_limits(np.array([0.0, 0.45])) == (-0.5, 1.0)


def test_squares_are_square_within_reason() -> None:
    assert strip_height(10.0, 5.0) - 0.8 == pytest.approx(10.4 * 50 / 250)
    assert strip_height(10.0, 1e6) == 5.0
    assert strip_height(1e6, 2.0) == 2.0


def test_matplotlib_and_the_detector_are_imported_only_when_needed() -> None:
    code = (
        "import sys, pipeline_assets.ecg.picture, pipeline_assets.ecg.derive, pipeline_assets.ecg.examples\n"
        "print([name for name in ('matplotlib', 'sleepecg', 'scipy.io', 'scipy.signal', 'h5py', 'wfdb', 'pandas', 'dagster') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
