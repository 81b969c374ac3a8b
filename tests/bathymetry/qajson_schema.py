"""What QAJSON 0.1.4 demands, as a JSON schema of our own words: its own file is under the LGPL and not ours to ship.

Names, types, what is required and the listed values are those of github.com/ausseabed/qajson, qa.schema.json 0.1.4; it forbids
no further members, this does where the report writes none.
"""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
FILE_TYPES = ["Raw Files", "SVP Files", "Trueheave Files", "Survey DTMs", "Pink Chart", "any", "unknown"]
STATUSES = ["draft", "queued", "running", "aborted", "failed", "completed"]


def _object(required: list[str], **members: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": members, "additionalProperties": False}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


FILE = _object(["path", "file_type"], path=TEXT, file_type={"enum": FILE_TYPES}, description=TEXT)
TIME = {"type": "string", "format": "date-time"}
CHECK = _object(
    ["info"],
    info=_object(
        ["id"],
        id=TEXT,
        name=TEXT,
        description=TEXT,
        version=TEXT,
        group=_object(["id"], id=TEXT, name=TEXT, description=TEXT),
    ),
    inputs=_object(["files"], files=_list(FILE), params=_list(_object(["name", "value"], name=TEXT, value={}))),
    outputs=_object(
        ["execution"],
        execution=_object(["status"], start=TIME, end=TIME, status={"enum": STATUSES}, error=TEXT),
        files=_list(FILE),
        count={"type": "number"},
        percentage={"type": "number"},
        messages=_list(TEXT),
        data={},
        check_state={"enum": ["pass", "fail", "warning"]},
    ),
)
LEVEL = _object(["checks"], checks=_list(CHECK))
QAJSON = _object(
    ["qa"],
    qa=_object(
        ["version", "raw_data", "survey_products"],
        version=TEXT,
        raw_data=LEVEL,
        survey_products=LEVEL,
        chart_adequacy=LEVEL,
    ),
)
