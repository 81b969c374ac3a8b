"""Steps of the CARIS chain that go wrong, each in its way, over a real local host."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline_assets.bathymetry.caris import steps
from pipeline_assets.bathymetry.caris.checkpoint import FILES, MANIFEST, read_checkpoint, write_checkpoint
from pipeline_assets.bathymetry.caris.given import bring
from pipeline_assets.bathymetry.caris.products import PRODUCTS
from pipeline_assets.bathymetry.caris.steps import CommandFailed
from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.stored import save_surface
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making
from resources.caris_host.host import HostNotReady
from resources.platform import Platform
from tests.bathymetry import fake_carisbatch as fake
from tests.bathymetry.test_caris_commands import GRID, rows
from tests.conftest import Put

LINE = b"a line that the stand-in does not look at"


@dataclass
class Bench:
    """A survey of one line on a platform whose CARIS is a stand-in, and the making of its steps."""

    making: Making
    state: Path
    said: list[str]

    def project(self, folder: str = "made", older: Path | None = None) -> Path:
        """Make the first step; its folder."""
        return self.step("caris_project", folder, older)

    def step(self, name: str, folder: str, older: Path | None = None) -> Path:
        to = self.making.folder / folder
        to.mkdir()
        product = next(one for one in PRODUCTS if one.name == name)
        product.make(replace(self.making, folder=to, older=older))
        return to

    def calls(self) -> list[str]:
        return [name for name in fake.calls(self.state) if name != "--version"]


@pytest.fixture
def bench(platform: Platform, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    state, given = tmp_path / "fake", tmp_path / "given"
    monkeypatch.setenv("STRANDLINE_CARIS_HOST", "local:")
    monkeypatch.setenv("STRANDLINE_CARIS_PROGRAM", str(fake.install(state)))
    given.mkdir()
    (given / "BlueFin.hvf").write_text("<HIPSVesselConfig/>")
    put("bathymetry/s/0001.gsf", LINE.decode())
    of_rows = rows("0001.gsf")
    digest = hashlib.sha256(LINE).hexdigest()
    of_rows["lines"] = of_rows["lines"].set_column(of_rows["lines"].column_names.index("sha256"), "sha256", [[digest]])
    nothing = np.full((GRID.rows, GRID.columns), np.nan, np.float32)
    none = np.zeros(nothing.shape, np.int32)
    surface = Surface(GRID, nothing, nothing, nothing, nothing, none, none, "cube", {}, "MSL")
    preliminary = tmp_path / "preliminary"
    preliminary.mkdir()
    save_surface(surface, Provenance("s", "1a", "e", "1", datetime(2026, 1, 1, tzinfo=UTC)), preliminary)
    (tmp_path / "work").mkdir()
    said: list[str] = []
    outside = PRODUCTS[0].outside
    assert outside is not None
    making = Making(
        of_rows, tmp_path / "work", BathymetryConfig(caris_files=str(given)), "s",
        {"preliminary_surface": preliminary}, outside=outside(platform), say=said.append,
    )  # fmt: skip
    return Bench(making, state, said)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("partial", "it converted 0 of 1 lines"),
        ("error_exit", "its exit code is 1, where 0 means no errors, it said Error: Could not allocate memory"),
        ("exit_only", "its exit code is 1, where 0 means no errors"),
        ("error_line", "it said Error: There is not enough disk space"),
        ("says_nothing", "it does not say how many lines it converted"),
    ],
)
def test_a_line_that_is_not_converted_fails_the_step_whatever_the_exit_code(bench: Bench, how: str, words: str) -> None:
    fake.misbehave(bench.state, ImportToHIPS=[how])
    with pytest.raises(CommandFailed) as failed:
        bench.project()
    assert f"ImportToHIPS failed: {words}" in str(failed.value)
    assert "0001.gsf" in str(failed.value)
    assert any("ImportToHIPS said: ======" in text for text in bench.said), "the run's log has its last words"
    assert not (bench.making.folder / "made" / MANIFEST).exists()


@pytest.mark.parametrize("how", ["no_output", "empty_output"])
def test_a_file_that_was_to_be_made_and_was_not(bench: Bench, how: str) -> None:
    fake.misbehave(bench.state, CreateHIPSFile=[how])
    with pytest.raises(CommandFailed, match=r"CreateHIPSFile failed: it left no project/survey\.hips, or an empty one"):
        bench.project()


@pytest.mark.parametrize(
    ("how", "limit", "words"),
    [("silence", "QUIET_SECONDS", "no output for 1 s"), ("hang", "STEP_SECONDS", "over 1 s")],
)
def test_a_command_that_does_not_end_is_stopped(
    bench: Bench, how: str, limit: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.misbehave(bench.state, ImportToHIPS=[how])
    monkeypatch.setenv(f"STRANDLINE_CARIS_{limit}", "1")
    with pytest.raises(CommandFailed, match=f"ImportToHIPS failed: it was stopped: {words}"):
        bench.project()


def finished(bench: Bench) -> Path:
    """A first step that is finished: the line need not be real, since the stand-in does not look at it."""
    fake.misbehave(bench.state, ImportToHIPS=["converted"] * 3)
    return bench.project("first")


def test_the_same_again_is_taken_from_before_and_anything_new_is_run(bench: Bench, tmp_path: Path) -> None:
    first = finished(bench)
    ran = bench.calls()
    again = bench.project("again", older=first)
    assert bench.calls() == ran
    assert read_checkpoint(again) == read_checkpoint(first)
    assert (again / FILES / "project/survey.hips").read_bytes() == (first / FILES / "project/survey.hips").read_bytes()
    (tmp_path / "given" / "BlueFin.hvf").write_text("<HIPSVesselConfig waterline='1'/>")
    changed = bench.project("changed", older=again)
    assert bench.calls() == [*ran, *ran]
    assert read_checkpoint(changed).fingerprint != read_checkpoint(first).fingerprint
    (changed / FILES / "project/survey.hips").unlink()
    bench.project("anew", older=changed)
    assert bench.calls() == [*ran, *ran, *ran], "what it kept is gone"


def test_a_line_that_changed_since_it_was_read_is_not_imported(bench: Bench, put: Put) -> None:
    put("bathymetry/s/0001.gsf", "other soundings")
    with pytest.raises(Refused, match=r"bathymetry/s/0001\.gsf is not what was read of it any more"):
        bench.project()
    assert bench.calls() == []


def test_a_step_of_another_generation_must_be_made_first(bench: Bench) -> None:
    first = finished(bench)
    outdated = bench.making.folder / "outdated"
    outdated.mkdir()
    checkpoint = read_checkpoint(first)
    write_checkpoint(replace(checkpoint, step="caris_preliminary_surface", after={"caris_project": "0" * 64}), outdated)
    bench.making = replace(
        bench.making,
        products={**bench.making.products, "caris_project": first, "caris_preliminary_surface": outdated},
    )
    with pytest.raises(Refused, match="caris_preliminary_surface was made from another caris_project") as refused:
        bench.step("caris_filtered", "filtered")
    assert refused.value.error_class == "step_outdated"


def test_what_a_step_kept_and_lost_is_asked_for_by_name(bench: Bench) -> None:
    first = finished(bench)
    products = {**bench.making.products, "caris_project": first}
    bench.making = replace(bench.making, products=products)
    (first / FILES / "project/survey.hips").unlink()
    work = Path(read_checkpoint(first).work_folder)
    (work / "project/survey.hips").unlink()
    with pytest.raises(Refused, match=r"project/survey\.hips, which caris_project kept, is gone"):
        bench.step("caris_preliminary_surface", "one")
    (first / MANIFEST).write_text("{")
    with pytest.raises(Refused, match=r"manifest\.json cannot be read .* Materialize first again"):
        bench.step("caris_preliminary_surface", "two")


def test_no_host_and_no_file_to_give(bench: Bench, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.making = replace(bench.making, config=BathymetryConfig())
    with pytest.raises(Refused, match="Set STRANDLINE_BATHYMETRY_CARIS_FILES"):
        bench.project()
    with pytest.raises(Refused, match=r"there is no file 'a\.hvf' in "):
        bring(str(bench.state), "a.hvf", bench.state / "x", None)
    monkeypatch.delenv("STRANDLINE_CARIS_HOST")
    outside: steps.Outside = PRODUCTS[0].outside(Platform(platform.settings))  # type: ignore[misc]
    with pytest.raises(HostNotReady, match="Set STRANDLINE_CARIS_HOST to local:"):
        outside.open("s")


def test_runs_wait_in_the_queue_for_a_seat_where_caris_is_the_engine_of_all() -> None:
    assert {one.pool(BathymetryConfig(engine="caris")) for one in PRODUCTS} == {"caris_licence"}
    assert {one.pool(BathymetryConfig()) for one in PRODUCTS} == {None}
