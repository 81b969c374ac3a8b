"""Documents against schemas: the quick answer and the full report agree, waivers are used and counted."""

from __future__ import annotations

import copy
import json
from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.health.mapping import Mapping
from pipeline_assets.health.schemas import MappingError, Schemas, load_schemas
from pipeline_assets.health.validate import MOST_ERRORS, Context, Validator, Verdict, missing_references
from pipeline_assets.health.waivers import read_waivers
from tests.health.archives_of import METADATA, SCHEMAS

OWN = Mapping.load()
MOTION = f"{SCHEMAS}/v2/MotionRecord.json"
WEATHER = f"{SCHEMAS}/v2/WeatherResult.json"
ARCHIVE = f"{SCHEMAS}/v2/ArchiveMetadata.json"


def errors(schema_id: str, document: Any, first: int = 0) -> list[tuple[str, str]]:
    verdict = Verdict()
    Validator(OWN.schemas, schema_id).check(document, verdict, Context(), first)
    return [(error.pointer, error.message) for error in verdict.errors]


def test_every_schema_has_a_quick_answer() -> None:
    for schema_id in OWN.schemas.by_id:
        assert Validator(OWN.schemas, schema_id)._fast is not None, schema_id


def test_the_examples_of_the_schemas_are_valid_for_both() -> None:
    checked = 0
    for schema_id, schema in OWN.schemas.by_id.items():
        for example in schema.get("examples", []):
            validator = Validator(OWN.schemas, schema_id)
            full = [error.message for error in validator._full.iter_errors(example)]
            assert validator.is_valid(example) == (not full), schema_id
            checked += 1
    assert checked >= 5


def test_errors_say_where_and_what() -> None:
    rows = [{"x": 1.5}, {"x": "left"}, {"sensorType": "nose"}]
    assert errors(MOTION, [rows[0]]) == []
    found = errors(MOTION, rows, first=100)
    assert found[0] == ("/101/x", "'left' is not of type 'number'")
    assert found[1][0] == "/102/sensorType"
    assert found[1][1].startswith("'nose' is not one of ['accelerometer'")
    assert errors(ARCHIVE, {**METADATA, "files": [{"filename": "a/b~c"}]}) == [
        ("/files/0", "'timestamp' is a required property")
    ]


def test_ten_errors_of_a_file_are_told_and_no_more() -> None:
    validator, verdict = Validator(OWN.schemas, MOTION), Verdict()
    validator.check([{"x": "a"}] * 7, verdict, Context())
    validator.check([{"x": "a"}] * 7, verdict, Context(), 7)
    assert len(verdict.errors) == MOST_ERRORS
    assert verdict.errors[-1].pointer == "/9/x"


def test_long_messages_are_cut() -> None:
    ((_, message),) = errors(MOTION, [{"x": "a" * 5000}])
    assert len(message) == 500


def test_formats_and_defaults_neither_refuse_nor_change_a_document() -> None:
    schema = {"$id": "urn:d", "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
              "properties": {"at": {"type": "string", "format": "date-time"}, "n": {"type": "integer", "default": 7}}}  # fmt: skip
    validator = Validator(_schemas(schema), "urn:d")
    document: dict[str, Any] = {"at": "yesterday"}
    assert validator.is_valid(document)
    assert document == {"at": "yesterday"}


def _schemas(*schemas: dict[str, Any]) -> Schemas:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        for number, schema in enumerate(schemas):
            Path(folder, f"{number}.json").write_text(json.dumps(schema))
        return load_schemas([Path(folder)])


def test_newer_drafts_are_checked_in_full() -> None:
    schema = {"$id": "urn:new", "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array",
              "prefixItems": [{"type": "integer"}], "items": False}  # fmt: skip
    validator = Validator(_schemas(schema), "urn:new")
    for document, wrong in (([1], 0), ([1, 2], 1), (["a"], 1)):
        verdict = Verdict()
        validator.check(document, verdict, Context())
        assert len(verdict.errors) == wrong, document


def test_ids_that_are_no_addresses_do_not_confuse_references() -> None:
    schema = {
        "$id": "schemas/v0/Old.json", "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"Step": {"$id": "#Step", "type": "object", "required": ["a"]}},
        "properties": {"one": {"$ref": "#/definitions/Step"}, "other": {"$ref": "#Step"}},
    }  # fmt: skip
    schemas = _schemas(schema)
    assert missing_references(schemas, "schemas/v0/Old.json") == []
    validator = Validator(schemas, "schemas/v0/Old.json")
    for document, wrong in (({"one": {"a": 1}, "other": {"a": 1}}, 0), ({"one": {}, "other": {}}, 2)):
        verdict = Verdict()
        validator.check(document, verdict, Context())
        assert len(verdict.errors) == wrong


def test_references_to_what_is_not_in_the_folder_are_found_and_never_fetched() -> None:
    schema = {"$id": "urn:a", "$schema": "http://json-schema.org/draft-07/schema#",
              "properties": {"x": {"items": {"$ref": "http://127.0.0.1:9/B.json#/y"}}}}  # fmt: skip
    assert missing_references(_schemas(schema), "urn:a") == ["http://127.0.0.1:9/B.json#/y"]


@pytest.mark.parametrize(
    ("words", "piecewise"),
    [
        ({}, True),
        ({"minItems": 1}, False),
        ({"uniqueItems": True}, False),
        ({"items": [{}]}, False),
        ({"type": "object"}, False),
    ],
)
def test_a_list_is_cut_only_where_no_word_is_about_the_whole(words: dict[str, Any], piecewise: bool) -> None:
    base = {
        "$id": "urn:l",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": {"type": "object"},
    }
    assert Validator(_schemas({**base, **words}), "urn:l").is_piecewise == piecewise


@pytest.mark.parametrize(
    ("words", "document"),
    [
        ({"const": 1}, True),
        ({"enum": [False, "x"]}, 0),
        ({"uniqueItems": True}, [1, 1]),
        ({"items": {"const": [0]}}, [[False]]),
    ],
)
def test_what_the_quick_check_would_let_pass_is_not_left_to_it(words: dict[str, Any], document: Any) -> None:
    schema = {"$id": "urn:s", "$schema": "http://json-schema.org/draft-07/schema#", **words}
    verdict = Verdict()
    Validator(_schemas(schema), "urn:s").check(document, verdict, Context())
    assert len(verdict.errors) == 1


WAIVER = {"name": "w", "schema": ARCHIVE, "file": "metadata.json", "app": "study", "client": "Android",
          "message": "'(appName|files)' is a required property", "expires": "2024-06-30"}  # fmt: skip
ANDROID = Context("metadata.json", "study", "ClientInfo [osName=Android]", date(2024, 6, 30))


@pytest.mark.parametrize(
    ("context", "waived", "expired"),
    [
        (ANDROID, True, False),
        (Context(ANDROID.file, ANDROID.app, ANDROID.client, date(2024, 7, 1)), False, True),
        (Context(ANDROID.file, ANDROID.app, "iPhone OS", ANDROID.today), False, False),
        (Context(ANDROID.file, "other", ANDROID.client, ANDROID.today), False, False),
        (Context("weather.json", ANDROID.app, ANDROID.client, ANDROID.today), False, False),
    ],
)
def test_a_waiver_is_for_its_client_file_app_and_until_its_last_day(
    context: Context, waived: bool, expired: bool
) -> None:
    document = {key: value for key, value in METADATA.items() if key not in ("appName", "files")}
    verdict = Verdict()
    Validator(OWN.schemas, ARCHIVE, read_waivers([WAIVER])).check(document, verdict, context)
    assert verdict.waived == (Counter(w=2) if waived else Counter())
    assert verdict.expired == (Counter(w=2) if expired else Counter())
    assert len(verdict.errors) == (0 if waived else 2)


def test_what_no_waiver_covers_is_an_error_beside_what_one_does() -> None:
    document = {key: value for key, value in METADATA.items() if key not in ("appName", "deviceInfo")}
    verdict = Verdict()
    Validator(OWN.schemas, ARCHIVE, read_waivers([WAIVER])).check(document, verdict, ANDROID)
    assert [error.message for error in verdict.errors] == ["'deviceInfo' is a required property"]
    assert verdict.waived == Counter(w=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expires": None}, "no waiver"), ({"expires": "soon"}, "no waiver"), ({"client": "("}, "no waiver"),
        ({"message": None}, "no waiver"), ({"mesage": "x"}, "nothing is called mesage"),
    ],
)  # fmt: skip
def test_a_waiver_that_says_too_little_is_refused(change: dict[str, Any], says: str) -> None:
    entry = {key: value for key, value in {**WAIVER, **change}.items() if value is not None}
    with pytest.raises(MappingError, match=says):
        read_waivers([entry])


def test_the_waivers_that_ship_can_be_read() -> None:
    assert len(read_waivers(OWN.waivers)) == 5
    with pytest.raises(MappingError, match="name of its own"):
        read_waivers([WAIVER, WAIVER])


VALUES = st.sampled_from(
    [None, True, False, 0, 1, 1.0, -1.5, "", "x", "gyro", "weather", "2024-01-01T00:00:00Z", [], {}, [1], {"a": 1}]
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(OWN.schemas.by_id)), st.data())
def test_the_quick_answer_never_differs_from_the_full_report(schema_id: str, data: st.DataObject) -> None:
    schema = OWN.schemas.by_id[schema_id]
    document = copy.deepcopy((schema.get("examples") or [schema.get("items", {}).get("examples", [{}])])[0])
    for _ in range(data.draw(st.integers(1, 3))):
        document = _damaged(document, data)
    validator = _validators.setdefault(schema_id, Validator(OWN.schemas, schema_id))
    assert validator.is_valid(document) == (not list(validator._full.iter_errors(document)))


_validators: dict[str, Validator] = {}


def _damaged(document: Any, data: st.DataObject) -> Any:
    """The document with one of its values, at any depth, replaced or left out."""
    if isinstance(document, dict) and document and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(document)))
        if data.draw(st.integers(0, 4)) == 0:
            return {name: value for name, value in document.items() if name != key}
        return {**document, key: _damaged(document[key], data)}
    if isinstance(document, list) and document and data.draw(st.integers(0, 4)):
        at = data.draw(st.integers(0, len(document) - 1))
        return [*document[:at], _damaged(document[at], data), *document[at + 1 :]]
    return data.draw(VALUES)
