"""Telling people what reconciling found. No Dagster here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sized
from dataclasses import asdict

from pipeline_assets.operations.reconcile import Findings
from resources.ledger import Ledger
from resources.ledger.alerts import Alert, AlertKind, record, settle

_MOST_NAMED = 3
_COUNTS: dict[str, str] = {
    "new_files": "files had landed unseen",
    "adopted": "files were entered from the tables, which the ledger did not know",
    "read_again": "committed files have missing or wrong rows and are to be read again",
    "lost": "of such files are not in the landing store any more",
    "aggregates": "aggregates are gone and are to be made anew",
}


def note_findings(ledger: Ledger, findings: Findings) -> None:
    """Enter what reconciling a source found for the next round of alerts; all balanced, that earlier findings are over.

    Equal findings are told once a day, others at once. Raises what the ledger raises.
    """
    with ledger.write() as connection:
        if findings.balanced:
            settle(connection, kind=AlertKind.RECONCILER, source=findings.source)
        else:
            record(connection, finding_alert(findings))


def finding_alert(findings: Findings) -> Alert:
    found = asdict(findings)
    lines = [f"{_size(found[name]):,} {words}" for name, words in _COUNTS.items() if found[name]]
    if findings.lake_lost:
        lines.insert(0, "the tables are gone or damaged")
    for table, file_ids in findings.strange.items():
        lines.append(
            f"{findings.source}.{table} has rows of {len(file_ids):,} files that the ledger does not account for"
        )
    named = (findings.lost or findings.read_again or [one for ids in findings.strange.values() for one in ids])[
        :_MOST_NAMED
    ]
    said = {name: found[name] for name in (*_COUNTS, "lake_lost", "strange")}
    identity = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    return Alert(
        f"{AlertKind.RECONCILER}/{findings.source}/{identity}",
        AlertKind.RECONCILER,
        findings.source,
        title=f"{findings.source}: landing store, ledger and tables did not agree",
        text="; ".join(lines) + (f". First: {', '.join(named)}" if named else ""),
        commands=(
            *(f"strandline explain {file_id}" for file_id in named[:1]),
            f"strandline reconcile --source {findings.source}",
        ),
    )


def _size(value: int | Sized) -> int:
    return value if isinstance(value, int) else len(value)
