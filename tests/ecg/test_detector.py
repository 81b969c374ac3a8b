"""SleepECG's detector, called so that no signal makes it write or read past its memory."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import sleepecg

from pipeline_assets.ecg.beats import pan_tompkins
from pipeline_assets.ecg.examples import synthetic_ecg

FS_HZ = 360.0
REFRACTORY = int(0.2 * FS_HZ)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("flat", [0, 40])
def test_a_heart_is_heard_as_sleepecg_hears_it(seed: int, flat: int) -> None:
    signal_mv = (synthetic_ecg(np.random.default_rng(seed))[0][0] - 1024) / 200
    signal_mv[:flat] = signal_mv[flat]
    np.testing.assert_array_equal(pan_tompkins(signal_mv, FS_HZ), sleepecg.detect_heartbeats(signal_mv, FS_HZ))


def beats_of_fast_noise(signals: int) -> tuple[int, int]:
    """How many signals had as many beats as SleepECG has room for, or more; how many had some closer than 200 ms."""
    beyond = too_close = 0
    for seed in range(signals):
        rng = np.random.default_rng(seed)
        samples = int(rng.integers(int(FS_HZ), 3600))
        fast = np.sin(2 * np.pi * 4.9 * np.arange(samples) / FS_HZ + 6 * rng.random())
        beats = pan_tompkins(fast + rng.normal(size=samples) * rng.choice([0, 0.01, 0.1, 1]), FS_HZ)
        beyond += len(beats) >= samples // REFRACTORY
        too_close += bool((np.diff(beats) < REFRACTORY).any())
    return beyond, too_close


def test_what_beats_every_200_ms_breaks_no_memory() -> None:
    # Called directly, SleepECG 0.6.0 aborts on these signals: in a process of its own that would fail this test only.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        beyond, too_close = process.submit(beats_of_fast_noise, 3000).result()
    assert beyond > 20
    assert too_close == 0


@pytest.mark.parametrize("samples", [360, 500, 719, 720])
def test_the_first_two_seconds_are_there_to_learn_from(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sleepecg import heartbeats

    lengths: list[int] = []

    def thresholding(filtered: np.ndarray, energy: np.ndarray, fs_hz: float) -> np.ndarray:
        lengths.extend((len(filtered), len(energy)))
        return original(filtered, energy, fs_hz)

    original = heartbeats._thresholding
    monkeypatch.setattr(heartbeats, "_thresholding", thresholding)
    beats = pan_tompkins((synthetic_ecg(np.random.default_rng(5))[0][0][:samples] - 1024) / 200, FS_HZ)
    assert min(lengths) >= 2 * FS_HZ
    assert len(beats) >= 1
    assert beats.max() < samples
