"""Golden files through a deployment: a drain beside the regression, as a daemon would be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import regression
from deploy.golden import Answer, write_golden
from deploy.regression import main, run_regression
from resources.ledger.states import FileState
from resources.platform import Platform
from resources.settings import Settings
from tests.checkout import ROOT


@pytest.fixture
def golden_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql: str) -> Path:
    for name, value in {
        "HOME": str(tmp_path / "home"), "NAMESPACE": "golden", "WORKERS": "2", "SETTLE_SECONDS": "0.05",
        "SERVING_URL": postgresql, "LOG_LEVEL": "ERROR",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"STRANDLINE_{name}", value)
    return tmp_path


def drain() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "drain"], cwd=ROOT, text=True, capture_output=True, check=False
    )


def test_every_answer_is_as_known(
    golden_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--namespace", "golden", "--run", "one", "--report", str(golden_home / "report.json")]
    assert main([*arguments, "--land-only"]) == 0
    assert main([*arguments, "--judge-only", "--seconds", "0"]) == 1, "nothing has read them yet"
    assert "not seen yet; expected committed" in capsys.readouterr().out
    drained = drain()
    assert drained.returncode == 3, drained.stdout + drained.stderr
    assert main([*arguments, "--judge-only"]) == 0, capsys.readouterr().out
    report = json.loads((golden_home / "report.json").read_text())
    assert len(report["findings"]) == 8
    assert all(finding["wrong"] == "" for finding in report["findings"])

    # One fault in what is known, and it is seen.
    known = list(write_golden(golden_home / "known", "one"))

    def faulty(change: str) -> list[regression.Finding]:
        def write(folder: Path, run: str) -> list[object]:
            sets = list(write_golden(folder, run))
            signals = sets[1]
            if change == "refusal":
                signals.refused[next(iter(signals.refused))] = "another_class"
            elif change == "value":
                answer = signals.answers[0]
                signals.answers[0] = replace(answer, rows=({**answer.rows[0], "mean_mv": 0.5}, *answer.rows[1:]))
            elif change == "row":
                signals.answers[0] = replace(signals.answers[0], rows=signals.answers[0].rows[1:])
            elif change == "query":
                signals.answers[0] = Answer("no table", "SELECT * FROM ecg.nothing", ())
            return list(sets)

        monkeypatch.setattr(regression, "write_golden", write)
        platform = Platform(Settings.load())
        try:
            return [one for one in run_regression(platform, "one", seconds=0, lands=False) if not one.is_right]
        finally:
            platform.close()

    says = {
        "refusal": "expected quarantined (another_class)",
        "value": "expected 0.5",
        "row": f"{len(known[1].answers[0].rows)} rows; expected {len(known[1].answers[0].rows) - 1}",
        "query": "the query fails",
    }
    for change, words in says.items():
        (finding,) = faulty(change)
        assert words in finding.wrong


def test_a_run_is_told_apart_by_its_keys_and_prices(tmp_path: Path) -> None:
    one, two, again = (list(write_golden(tmp_path / name, run)) for name, run in (("1", "a"), ("2", "b"), ("3", "a")))
    signals, prices = one[1], one[2]
    assert not set(signals.keys) & set(two[1].keys)
    assert (prices.folder / prices.keys[0]).read_bytes() != (two[2].folder / two[2].keys[0]).read_bytes()
    assert [golden.answers for golden in one] == [golden.answers for golden in again]
    assert all((golden.folder / key).is_file() for golden in one for key in golden.keys)


def test_it_does_not_land_where_people_look_for_data(golden_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--namespace", "default"]) == 2
    assert "do not land in the namespace default" in capsys.readouterr().err
    assert main(["--namespace", "other"]) == 2
    assert "set STRANDLINE_NAMESPACE=other" in capsys.readouterr().err
    assert not (golden_home / "home" / "landing").exists()
    with pytest.raises(SystemExit):
        main(["--namespace", "golden", "--run", "Not A Name"])


def test_a_held_file_is_not_waited_for(golden_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "_files", lambda _, golden: dict.fromkeys(golden.keys, (FileState.HELD, None)))
    findings = run_regression(Platform(Settings.load()), "two", seconds=600, lands=False)
    assert "is held; expected committed" in findings[0].wrong
