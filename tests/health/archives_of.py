"""Archives for tests, and where the real ones are."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.landed_file import LandedFile

DATA = Path(os.environ.get("STRANDLINE_TEST_DATA", "/nowhere")) / "health"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="STRANDLINE_TEST_DATA has no folder `health`")

SCHEMAS = "https://sage-bionetworks.github.io/mobile-client-json/schemas"

ANNOTATIONS: dict[str, Any] = {
    "recordid": "rec-1",
    "assessmentid": "spelling",
    "assessmentrevision": "5",
    "uploadedon": "2024-02-29T23:59:59.999Z",
    "clientinfo": "ClientInfo [appName=Study, appVersion=7, osName=iPhone OS]",
}

METADATA: dict[str, Any] = {
    "appName": "Study",
    "appVersion": "version 1.0, build 7",
    "deviceInfo": "a phone",
    "deviceTypeIdentifier": "phone",
    "files": [],
}


def zipped(files: Mapping[str, Any]) -> bytes:
    """A zip with these members; contents that are no bytes are written as JSON."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return stream.getvalue()


def landed(files: Mapping[str, Any] | bytes, annotations: Any = ANNOTATIONS, key: str = "health/a.zip") -> LandedFile:
    """An archive with its sidecar; `annotations` None leaves it away, bytes are what it holds."""
    data = files if isinstance(files, bytes) else zipped(files)
    companions = {}
    if annotations is not None:
        content = annotations if isinstance(annotations, bytes) else json.dumps(annotations).encode()
        companions["a.zip.metadata.json"] = LandedFile("health/a.zip.metadata.json", data=content)
    return LandedFile(key, data=data, companions=companions)
