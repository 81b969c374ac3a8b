"""A zip of casts, or one packed file -> `CruiseFile`. What is in it decides how it is read, not how it is called."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from pipeline_assets.archives import ArchiveLimits, Member, is_packed, is_zip, open_archive, read_ahead, unpacked
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read import exchange_ctd
from pipeline_assets.ocean.read.cruise_file import CruiseFile, identity, joined
from pipeline_assets.ocean.read.formats import FORMATS, format_of, read_any
from pipeline_assets.ocean.read.rows_ahead import RowsAhead

SETTING = "STRANDLINE_OCEAN_MAX_UNPACKED_MB"
MEMBERS_SETTING = "STRANDLINE_OCEAN_MAX_MEMBERS"


def recognise_zip(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a zip, whatever its name."""
    return is_zip(head)


def recognise_packed(head: bytes) -> bool:
    """Whether a file that begins with these bytes is packed by gzip, bzip2 or xz."""
    return is_packed(head)


def read_packed(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """The one file that is packed in it. Refused: as its format, and as `archives.unpacked`."""
    content = file.read_bytes()
    inner = unpacked(content, int(config.max_unpacked_mb * 1e6), SETTING)
    found = read_any(LandedFile(file.key, data=inner, landed_at=file.landed_at), config)
    for name, value in identity(file, content).items():
        setattr(found, name, value)
    return found


def read_zip(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """All casts of the archive's files, in the order of their names.

    Refused: as `archives.open_archive`; `no_cruise_file` when nothing in it can be read; else as the member that is bad.
    """
    room = int(config.max_unpacked_mb * 1e6)
    limits = ArchiveLimits(
        members=config.max_members,
        member_bytes=room,
        total_bytes=room,
        setting=SETTING,
        members_setting=MEMBERS_SETTING,
    )
    content = file.read_bytes()
    base = CruiseFile(
        **identity(file, content), kind="zip", casts=[], cast_index=np.empty(0, np.int32), pressure=np.empty(0),
        parameters=[], findings=Findings(),
    )  # fmt: skip
    others: list[str] = []
    texts: list[exchange_ctd.Member] = []
    parts: list[CruiseFile] = []
    with (
        open_archive(LandedFile(file.key, data=content), limits) as members,
        exchange_ctd.rows_ahead() as rows,
    ):
        there = sorted((member for member in members if not member.is_litter), key=lambda one: one.name)
        with closing(read_ahead(there)) as unpacking:
            for member, unpacked_member in unpacking:
                before = len(texts)
                _read_member(member, unpacked_member, config, base, texts, parts, others)
                for found in texts[before:]:
                    rows.add(found.text)
        if not texts and not parts:
            kinds = ", ".join(one.description for one in FORMATS)
            raise Refused(
                "no_cruise_file",
                f"nothing in the archive can be read ({', '.join(others[:5]) or 'it is empty'}); expected files of these kinds: {kinds}.",
                location=others[0] if others else "",
            )
        base.findings.add(
            "other_member", "info", "a file of the archive is of no known kind; left out", count=len(others),
            places=others,
        )  # fmt: skip
        return _together(base, texts, parts, rows)


def _read_member(
    member: Member,
    content: bytes,
    config: OceanConfig,
    base: CruiseFile,
    texts: list[exchange_ctd.Member],
    parts: list[CruiseFile],
    others: list[str],
) -> None:
    found = format_of(content)
    if found is None:
        others.append(member.name)
        return
    try:
        if found.read is exchange_ctd.read_ctd:
            texts += exchange_ctd.members_of(content, member.name, base.findings)
            return
        part = found.read(LandedFile(f"{base.key}/{member.name}", data=content), config)
    except Refused as refused:
        place = f"{member.name}: {refused.location}" if refused.location else member.name
        raise Refused(
            refused.error_class, f"member {member.name}: {refused.message}", location=place, record=member.name
        ) from refused
    for cast in part.casts:
        cast.member = member.name
    base.findings.update(part.findings, member.name)
    parts.append(part)


def _together(
    base: CruiseFile, texts: list[exchange_ctd.Member], parts: list[CruiseFile], rows: RowsAhead
) -> CruiseFile:
    kinds = {part.kind for part in parts} | ({exchange_ctd.KIND} if texts else set())
    base.kind = f"{kinds.pop()}_zip" if len(kinds) == 1 else "mixed_zip"
    if not parts:
        return exchange_ctd.read_members(texts, base, rows)
    if texts:
        of_texts = CruiseFile(
            key=base.key, sha256="", size_bytes=0, kind=exchange_ctd.KIND, casts=[], cast_index=np.empty(0, np.int32),
            pressure=np.empty(0), parameters=[], findings=base.findings,
        )  # fmt: skip
        parts = [exchange_ctd.read_members(texts, of_texts, rows), *parts]
    base.stamp, base.comments = parts[0].stamp, parts[0].comments
    scores = [part for part in parts if part.score is not None and part.score_possible]
    if scores:
        base.score = sum(part.score or 0 for part in scores)
        base.score_possible = sum(part.score_possible or 0 for part in scores)
    return joined(parts, base)
