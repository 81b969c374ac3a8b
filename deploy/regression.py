"""Golden data sets through a deployment: land them, wait until the ledger says what became of each file, and compare the
tables with the known answers: `python -m deploy.regression --namespace N`.

Where one machine reaches both the landing store and the ledger, that is all. On AWS landing is done from outside (no task
may write to the landing store) with `--land-only`, and judging within the network, with `--judge-only`, under one `--run`.

Exit code 0: every answer is as it should be. 1: one is not, or a file was not settled in time. 2: wrong use.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.golden import Answer, Golden, write_golden
from resources.errors import UserError
from resources.lake.sql import QueryError, run_query
from resources.ledger.queries import search_keys
from resources.ledger.states import SETTLED, FileState
from resources.platform import Platform
from resources.settings import DEFAULT_NAMESPACE, Settings

_RELATIVE = 1e-6
_MOST_FILES = 1000
_MOST_SHOWN = 5


class NotHere(UserError):
    """This is not where golden files may land. The message says why."""


@dataclass(frozen=True)
class Finding:
    """One comparison. wrong: empty when all is as it should be."""

    name: str
    wrong: str

    @property
    def is_right(self) -> bool:
        return not self.wrong


def land(platform: Platform, sets: Sequence[Golden]) -> int:
    """Put the files into the landing store, and return how many."""
    count = 0
    for golden in sets:
        for key in golden.keys:
            platform.landing.put(golden.folder / key, platform.settings.prefix_of(golden.source) + key)
            count += 1
    return count


def wait_until_settled(platform: Platform, sets: Sequence[Golden], seconds: float, every: float = 1.0) -> list[Finding]:
    """Wait until every file is, or one is held; then what became of each, source by source."""
    deadline = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= deadline
        found = {golden.source: _files(platform, golden) for golden in sets}
        states = [state for files in found.values() for state, _ in files.values()]
        if is_last or FileState.HELD in states or all(state in SETTLED for state in states):
            return [_judge_files(golden, found[golden.source]) for golden in sets]
        time.sleep(every)


def _files(platform: Platform, golden: Golden) -> dict[str, tuple[str, str | None]]:
    """By key below the source's folder: state and error class of its newest version."""
    prefix = platform.settings.prefix_of(golden.source)
    folders = {key.rpartition("/")[0].partition("/")[0] for key in golden.keys}
    rows = {}
    for folder in sorted(folders):
        beginning = f"{prefix}{folder}/" if folder else prefix
        found = search_keys(platform.ledger, beginning, limit=_MOST_FILES, source=golden.source)
        rows.update({row.key.removeprefix(prefix): (row.state, row.error_class) for row in found.rows})
    return {key: rows.get(key, ("not seen yet", None)) for key in golden.keys}


def _judge_files(golden: Golden, found: Mapping[str, tuple[str, str | None]]) -> Finding:
    wrong = []
    for key, (state, error_class) in found.items():
        wanted = golden.refused.get(key)
        expected = f"{FileState.QUARANTINED} ({wanted})" if wanted else str(FileState.COMMITTED)
        is_now = f"{state} ({error_class})" if error_class else str(state)
        if is_now != expected:
            wrong.append(f"{key} is {is_now}; expected {expected}")
    return Finding(f"{golden.source}: {len(found)} files, {len(golden.refused)} of them refused", _some(wrong))


def judge(platform: Platform, answer: Answer) -> Finding:
    """Ask a query and compare."""
    try:
        rows = run_query(platform.lake, platform.ledger, answer.query, platform.product_rows).to_pylist()
    except QueryError as error:
        return Finding(answer.name, f"the query fails: {error}")
    wrong = [] if len(rows) == len(answer.rows) else [f"{len(rows)} rows; expected {len(answer.rows)}"]
    for row, wanted in zip(rows, answer.rows, strict=False):
        wrong += [
            f"{name} is {row.get(name)}; expected {value} (row {dict(wanted)})"
            for name, value in wanted.items()
            if not _equal(row.get(name), value)
        ]
    return Finding(answer.name, _some(wrong))


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=_RELATIVE, abs_tol=1e-9)
    return bool(found == wanted)


def _some(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
    return "; ".join(wrong[:_MOST_SHOWN]) + more


def check_place(settings: Settings, namespace: str) -> None:
    """Raises NotHere for another namespace than this process is set to, and for the one that has no name of its own:
    golden files are not for where people look for data."""
    if namespace == DEFAULT_NAMESPACE:
        raise NotHere(
            f"golden files do not land in the namespace {DEFAULT_NAMESPACE}; take one made for tests, such as staging"
        )
    if settings.namespace != namespace:
        raise NotHere(
            f"this process is set to the namespace {settings.namespace}; set STRANDLINE_NAMESPACE={namespace}"
        )


def run_regression(
    platform: Platform, run: str, *, seconds: float, lands: bool = True, judges: bool = True
) -> list[Finding]:
    """What was found; empty when nothing is judged."""
    with tempfile.TemporaryDirectory(prefix="strandline-golden-") as folder:
        sets = list(write_golden(Path(folder), run))
        if lands:
            print(f"{land(platform, sets)} files landed as run {run}", flush=True)
        if not judges:
            return []
        findings = wait_until_settled(platform, sets, seconds)
        return findings + [judge(platform, answer) for golden in sets for answer in golden.answers]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.regression", description=__doc__)
    parser.add_argument("--namespace", required=True)
    parser.add_argument(
        "--run", default=f"{int(time.time())}", help="a name that no run before had; stands in the keys"
    )
    parser.add_argument("--seconds", type=float, default=900, help="longest wait until all files are settled")
    parser.add_argument("--report", type=Path, help="a file for the findings, as JSON")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--land-only", action="store_true")
    only.add_argument("--judge-only", action="store_true")
    options = parser.parse_args(arguments)
    if not re.fullmatch(r"[a-z0-9-]{1,40}", options.run):
        parser.error("--run: expected small letters, digits and hyphens, at most 40")
    try:
        settings = Settings.load()
        check_place(settings, options.namespace)
        platform = Platform(settings)
        findings = run_regression(
            platform, options.run, seconds=options.seconds, lands=not options.judge_only, judges=not options.land_only
        )
        platform.close()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for finding in findings:
        print(
            f"{'ok   ' if finding.is_right else 'WRONG'} {finding.name}"
            + (f": {finding.wrong}" if finding.wrong else "")
        )
    if options.report:
        options.report.write_text(
            json.dumps({"run": options.run, "findings": [asdict(one) for one in findings]}, indent=1)
        )
    return int(not all(finding.is_right for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
