"""A sensor's tick goes on looking while nothing lands, and not for long."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from resources.ledger.batches import due
from resources.platform import Platform
from resources.settings import Settings
from sensors import lingering
from sensors.lingering import look_while_idle
from tests.running import next_batch, toy
from tests.toy_source import TOY


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each look began."""
    begun: list[float] = []
    look = lingering.look_for_arrivals

    def counted(*args: object) -> object:
        begun.append(time.monotonic())
        return look(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(lingering, "look_for_arrivals", counted)
    monkeypatch.setattr(lingering, "_QUICK_SECONDS", 60.0)
    return begun


def a_platform(tmp_path: Path) -> Platform:
    return Platform(Settings(home=tmp_path / "home", settle_seconds=0.0))


def land(platform: Platform, text: str) -> None:
    path = platform.settings.home / "landing" / "toy" / "a.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_that_lands_during_a_tick_is_found_by_that_tick(tmp_path: Path, looks: list[float]) -> None:
    platform = a_platform(tmp_path)
    landing = threading.Timer(0.5, land, [platform, toy(1)])
    landing.start()
    found = look_while_idle(platform, TOY)
    landing.join()
    assert len(found.new_files) == 1
    assert len(looks) > 1


def test_a_tick_that_finds_nothing_ends(tmp_path: Path, looks: list[float]) -> None:
    assert look_while_idle(a_platform(tmp_path), TOY).new_files == []
    assert 2 <= len(looks) <= 5


def test_a_tick_with_a_batch_to_start_does_not_go_on_looking(tmp_path: Path, looks: list[float]) -> None:
    platform = a_platform(tmp_path)
    land(platform, toy(1))
    batch = next_batch(platform)
    assert look_while_idle(platform, TOY).new_files == []
    assert due(platform.ledger, TOY.name) == [batch]
    assert len(looks) == 1


def test_a_slow_listing_is_taken_once_a_tick(
    tmp_path: Path, looks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "_QUICK_SECONDS", -1.0)
    look_while_idle(a_platform(tmp_path), TOY)
    assert len(looks) == 1
