"""The soak runs: a real `strandline dev` with toy sources, watched from outside, and judged. Its times mean nothing here."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from bench.soak.deliveries import DUPLICATE, REFUSED, ROWS, Delivery, Sender
from bench.soak.judging import Finding, growth, table
from bench.soak.sources import parse
from bench.soak.watching import Sample, kind_of

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.platform != "linux", reason="the soak finds its processes in /proc")
def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    soak = subprocess.Popen(
        [sys.executable, "-m", "bench.soak", "--minutes", "0.2", "--sources", "2", "--every", "5", "--files", "6",
         "--burst-every", "8", "--burst", "20", "--sample", "2", "--rest", "4", "--output", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        table_of_it, progress = soak.communicate(timeout=270)
    finally:
        soak.terminate()  # it ends the deployment that it started
    assert soak.returncode == 0, table_of_it + progress
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in table_of_it.splitlines()[2:]}
    assert rows["files with lost, doubled or wrong rows"].endswith("| yes |")
    assert "0 of " in rows["files with lost, doubled or wrong rows"]
    assert rows["counted.by_value equals what SQL counts"].endswith("| yes |")
    samples = list(csv.DictReader((tmp_path / "soak.csv").open()))
    assert float(samples[-1]["landed"]) == float(rows["landed"].split()[3].replace(",", "")) > 40
    assert all(float(samples[-1][f"memory {kind}"]) > 20 for kind in ("webserver", "daemon", "code location"))
    assert max(float(one["processes runs"]) for one in samples) > 0
    assert float(samples[-1]["events"]) > 100
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("source", ["plain", "counted", "paired", "surveys", "posted"])
def test_what_is_expected_is_what_lies_in_the_folder(tmp_path: Path, source: str) -> None:
    sender = Sender(tmp_path / "landing", tmp_path / "aside", seed=3)
    for _ in range(30):
        sender.send(source, 10)
        for one in sender.waiting():
            one.visible = one.landed
    kinds = {one.expected for one in sender.sent}
    assert kinds == {ROWS, REFUSED} | ({DUPLICATE} if source == "posted" else set())
    expected = sender.expected_rows(source)
    newest: dict[str, Delivery] = {one.key: one for one in sender.sent}
    assert len(newest) < len(sender.sent), "some were overwritten"
    for one in newest.values():
        content = (tmp_path / "landing" / one.key).read_bytes()
        if one.expected == REFUSED:
            with pytest.raises(ValueError, match="could not convert"):
                parse(content)
        elif one.expected == ROWS:
            delivery, values = parse(content)
            for other in one.others:
                values += parse((tmp_path / "landing" / other).read_bytes())[1]
            assert expected[one.key, delivery] == values
    assert len(expected) == sum(one.expected == ROWS and not one.is_replaced for one in sender.sent)


def made_up(a_file: float = 0.0, an_hour: float = 0.0, dagster_exponent: float = 1.0) -> list[Sample]:
    """Half an hour of landing and ten minutes without. a_file, an_hour: what the daemon grows by, MiB."""
    samples = []
    for number in range(240):
        landed = min(number, 180)
        samples.append(
            Sample(
                at=number * 10.0,
                landed=landed * 10,
                memory={
                    "daemon": 200 + a_file * landed * 10 + an_hour * number / 360 + number % 3,
                    "webserver": 150 + number % 2,
                },
                largest={"runs": 120.0},
                runs=landed,
                dagster_bytes=int(100_000 * landed**dagster_exponent),
                ledger_bytes=landed * 5000,
                ledger_files=landed * 10,
            )
        )
    return samples


def wrong(findings: list[Finding]) -> list[str]:
    return [one.what for one in findings if one.ok is False]


def test_growth_that_files_explain_is_none_and_other_growth_is_seen() -> None:
    assert wrong(growth(made_up(), 600)) == []
    assert wrong(growth(made_up(a_file=0.01), 600)) == []
    assert wrong(growth(made_up(a_file=0.05), 600)) == ["memory of daemon, while files land"]
    assert wrong(growth(made_up(an_hour=60), 600)) == ["memory of daemon, afterwards"]


def test_storage_that_costs_more_and_more_a_run_is_seen() -> None:
    assert wrong(growth(made_up(dagster_exponent=2.2), 600)) == ["Dagster's storage, kB a run"]


def test_few_samples_judge_nothing() -> None:
    assert {one.ok for one in growth(made_up(a_file=5)[:20], 60)} == {None}


def test_the_table_says_what_was_not_met() -> None:
    shown = table([Finding("a", "1", "0", False), Finding("b", "2", "", None), Finding("c", "0", "0", True)])
    assert [line.split(" | ")[-1] for line in shown.splitlines()[2:]] == ["NO |", "not judged |", "yes |"]


def test_processes_are_told_apart_by_their_command() -> None:
    for command, kind in (
        ("/venv/bin/python -m dagster_webserver --host 127.0.0.1", "webserver"),
        ("/venv/bin/python -m dagster._daemon run --empty-workspace", "daemon"),
        ("/venv/bin/python -m dagster api grpc --lazy-load-user-code --socket /tmp/x", "code location"),
        ("/venv/bin/python -B -c from multiprocessing.spawn import spawn_main; spawn_main(...)", "runs"),
        ("/venv/bin/python -m dagster code-server start --socket /tmp/y", "code location"),
        ("/venv/bin/python -c from multiprocessing.forkserver import main; main(...)", "readers"),
        ("/venv/bin/python -m dagster dev -w workspace.yaml", "dev"),
    ):
        assert kind_of(command) == kind
