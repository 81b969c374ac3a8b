"""Many keys looked at together: the same answers as one by one, and few requests where the keys lie close together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resources.landing.s3 import S3Store
from tests.landing.conftest import new_bucket

KEYS = [f"toy/{number:03d} ü+%2F.csv" for number in range(60)]
ELSEWHERE = ["a", "other/z", "toy", "toy/000/below", "toy/~"]
GONE = ["toy/000 gone", "toy/030 gone", "zzz"]


@pytest.fixture(params=["seaweed", "moto"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> S3Store:
    bucket = new_bucket(request.getfixturevalue(request.param))
    for key in [*KEYS, *ELSEWHERE] if request.param == "moto" else [*KEYS, "a", "other/z"]:
        bucket.put(f"in/{key}", key)
    return bucket.store(tmp_path / "spool", "in/")


def test_the_same_as_one_by_one(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [*KEYS, *ELSEWHERE, *GONE]
    alone = {key: store.look(key) for key in asked}
    looks: list[str] = []
    look = S3Store.look

    def counted(self: S3Store, key: str) -> Any:
        looks.append(key)
        return look(self, key)

    monkeypatch.setattr(S3Store, "look", counted)
    together = store.look_at_many(list(reversed(asked)))
    assert together.keys() == alone.keys()
    for key, one in alone.items():
        now = together[key]
        assert (now and (now.version, now.size_bytes)) == (one and (one.version, one.size_bytes)), key
    assert set(GONE) <= set(looks), "what a page does not hold is asked for"
    assert len(looks) < len(asked) / 2
    assert store.look_at_many([]) == {}
    assert store.look_at_many([KEYS[0]]) == {KEYS[0]: alone[KEYS[0]]}


def test_few_or_scattered_keys_are_asked_for_one_by_one(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = []
    listed = S3Store._list
    monkeypatch.setattr(
        S3Store, "_list", lambda self, *args, **options: pages.append(args) or listed(self, *args, **options)
    )
    assert all(store.look_at_many(KEYS[:10]).values())
    assert pages == []
    monkeypatch.setattr("resources.landing.s3._WORTH_A_PAGE", 61)
    assert all(store.look_at_many([*KEYS, "a"]).values())
    assert len(pages) == 1, "a page that holds too few is the last"
