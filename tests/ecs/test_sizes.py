"""The table of sizes: what a batch gets, what Fargate offers, what a wrong table is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.ecs.sizes import (
    CAPACITY_TAG,
    FARGATE,
    FARGATE_MEMORY_MB,
    FARGATE_SPOT,
    RunSize,
    shipped_sizes,
    size_for,
    size_tags,
)
from resources.ledger.batches import Batch, BatchState
from resources.settings import Settings, SettingsError
from sensors.task_sizes import step_config, task_tags

MIB = 1 << 20


def batch(size_bytes: int, attempt: int = 0) -> Batch:
    return Batch("b", "toy", BatchState.PLANNED, 1, size_bytes, attempt, None, None, False, None)


@given(st.integers(0, 1 << 50), st.booleans())
def test_every_batch_has_a_size_that_grows_with_it(size_bytes: int, has_ec2: bool) -> None:
    table = shipped_sizes()
    found = size_for(table, size_bytes, has_ec2=has_ec2)
    larger = size_for(table, size_bytes * 2 + 1, has_ec2=has_ec2)
    assert (found.cpu, found.memory_mb) <= (larger.cpu, larger.memory_mb)
    if found.on == "ec2":
        assert has_ec2
    else:
        assert found.memory_mb in FARGATE_MEMORY_MB[found.cpu]
        # A large file is copied to the task's disk for the time of reading.
        if found.up_to_mb is not None and size_bytes <= found.up_to_mb * MIB:
            assert (found.storage_gb or 20) * 1024 >= 2 * size_bytes / MIB


@pytest.mark.parametrize(
    ("size_bytes", "cpu", "provider"),
    [
        (1, "1024", FARGATE_SPOT),
        (64 * MIB, "1024", FARGATE_SPOT),
        (64 * MIB + 1, "2048", FARGATE_SPOT),
        (20 << 30, "8192", FARGATE),
        (60 << 30, "16384", FARGATE),
        (500 << 30, "32768", "machines"),
    ],
)
def test_tags_of_a_batch(size_bytes: int, cpu: str, provider: str) -> None:
    tags = task_tags(Settings(runs_on="ecs", ec2_provider="machines"), batch(size_bytes))
    assert (tags["ecs/cpu"], tags[CAPACITY_TAG]) == (cpu, provider)
    assert ("ecs/ephemeral_storage" in tags) == (provider != "machines")


def test_without_machines_the_largest_of_fargate_is_for_all_that_is_beyond() -> None:
    tags = task_tags(Settings(runs_on="ecs"), batch(500 << 30))
    assert (tags["ecs/cpu"], tags["ecs/memory"], tags[CAPACITY_TAG]) == ("16384", "98304", FARGATE)


def test_who_was_interrupted_once_is_on_demand() -> None:
    settings = Settings(runs_on="ecs")
    assert task_tags(settings, batch(1, attempt=0))[CAPACITY_TAG] == FARGATE_SPOT
    assert task_tags(settings, batch(1, attempt=1))[CAPACITY_TAG] == FARGATE


def test_nothing_of_it_on_one_machine() -> None:
    assert task_tags(Settings(), batch(1 << 40)) == {}


def test_a_task_for_each_step_is_as_large_as_its_batch() -> None:
    settings = Settings(runs_on="ecs", task_per_step=("toy",), ec2_provider="machines")
    tags = task_tags(settings, batch(20 << 30))
    assert tags["ecs/cpu"] == "1024", "the run's own task only waits"
    assert step_config(settings, batch(20 << 30)) == {
        "execution": {
            "config": {
                "task_per_step": True, "capacity_provider": FARGATE, "cpu": 8192, "memory": 32768, "ephemeral_storage": 100,
            }
        }
    }  # fmt: skip
    assert step_config(settings, batch(500 << 30))["execution"]["config"]["capacity_provider"] == "machines"
    assert step_config(Settings(runs_on="ecs", task_per_step=("ecg",)), batch(1)) == {}
    assert step_config(Settings(task_per_step=("toy",)), batch(1)) == {}


def test_unknown_sources_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_assets.definitions import build_defs

    monkeypatch.setenv("STRANDLINE_TASK_PER_STEP", "ecg, surveys")
    with pytest.raises(SettingsError, match="STRANDLINE_TASK_PER_STEP names no source: surveys"):
        build_defs()


def rows(*changes: dict[str, Any]) -> str:
    usual = {"up_to_mb": None, "cpu": 1024, "memory_mb": 2048}
    return json.dumps([usual | change for change in changes])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("many", "expected JSON such as"),
        ("[]", "the last one with null"),
        (rows({"up_to_mb": 5}), "the last one with null"),
        (rows({"up_to_mb": 5}, {"up_to_mb": 5}, {}), "growing up_to_mb"),
        (rows({}, {}), "growing up_to_mb"),
        (rows({"memory_mb": 1024}), r"from 2048 to 8192 in steps of 1024 MiB with cpu 1024, not 1024"),
        (rows({"cpu": 1000}), "cpu is one of 256, 512"),
        (rows({"storage_gb": 20}), "21 to 200 GiB"),
        (rows({"storage_gb": 201}), "21 to 200 GiB"),
        (rows({"on": "ec2"}), "at least one row on Fargate"),
        (rows({"up_to_mb": 1}, {"on": "ec2", "storage_gb": 30}), "has its own disk"),
        (rows({"gpu": 1}), "gpu|Extra inputs"),
    ],
)
def test_a_wrong_table_is_told(monkeypatch: pytest.MonkeyPatch, value: str, told: str) -> None:
    monkeypatch.setenv("STRANDLINE_RUN_SIZES", value)
    with pytest.raises(SettingsError, match=told) as error:
        Settings.load()
    assert "STRANDLINE_RUN_SIZES" in str(error.value)


def test_a_table_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_RUN_SIZES", rows({"up_to_mb": 10, "on": "spot"}, {"cpu": 4096, "memory_mb": 30720}))
    table = Settings.load().run_sizes
    assert size_for(table, 10 * MIB, has_ec2=False).cpu == 1024
    assert size_for(table, 10 * MIB + 1, has_ec2=False).memory_mb == 30720


def test_fargate_is_no_provider_of_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_EC2_PROVIDER", "FARGATE_SPOT")
    with pytest.raises(SettingsError, match="expected a capacity provider with machines"):
        Settings.load()


def test_tags_say_what_dagsters_launcher_reads() -> None:
    size = RunSize(up_to_mb=None, cpu=2048, memory_mb=4096, storage_gb=0, on="on-demand")
    assert size_tags(size, attempt=1, ec2_provider=None) == {
        "ecs/cpu": "2048", "ecs/memory": "4096", CAPACITY_TAG: FARGATE,
    }  # fmt: skip
