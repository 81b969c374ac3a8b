"""What a deployment is told, and what is said of what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.aws import app
from deploy.aws.deployment import KEYS, WrongContext, read
from deploy.aws.examples import example
from deploy.aws.profiles import PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_the_examples_are_right(profile: str) -> None:
    assert read(example(profile)).profile.name == profile
    assert set(example(profile)) <= set(KEYS)


@pytest.mark.parametrize(
    ("profile", "change", "said"),
    [
        ("small", {"image": "strandline:latest"}, "image='strandline:latest': expected ACCOUNT.dkr.ecr"),
        ("small", {"profile": "huge"}, "profile='huge': expected one of prod, small, dev"),
        ("small", {"namespace": "Team-A"}, "namespace='Team-A': expected name of the deployment"),
        ("small", {"allow": ""}, "allow: expected networks that may connect"),
        ("small", {"allow": "203.0.113.7/24"}, "allow='203.0.113.7/24': expected a network such as"),
        ("small", {"allow": ",".join(f"10.{n}.0.0/16" for n in range(5))}, "at most four"),
        ("small", {"certificate": ""}, "certificate is missing: ARN of an ACM certificate"),
        ("small", {"oidc_token": "http://id.example.org"}, "oidc_token='http://id.example.org'"),
        ("small", {"internal": "maybe"}, "internal='maybe': expected yes or no"),
        ("dev", {"landing": "/data"}, "landing='/data': expected s3://BUCKET"),
        ("dev", {"landing": "", "listing_only": "yes"}, "listing_only is for a bucket that is there"),
        ("dev", {"listing_only": "yes", "posting": "yes"}, "posting writes to the landing store"),
        ("dev", {"caris": "yes"}, "caris_installer is missing"),
        ("prod", {"slack_channel_id": ""}, "slack_workspace and slack_channel_id go together"),
        ("prod", {"slack_channel": ""}, "slack_token_secret and slack_channel go together"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(profile: str, change: dict[str, str], said: str) -> None:
    with pytest.raises(WrongContext) as error:
        read({**example(profile), **change})
    assert said in str(error.value)


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(WrongContext) as error:
        read({"profile": "small"})
    for key in ("namespace", "region", "image", "domain", "certificate", "allow", "oidc_issuer", "oidc_secret"):
        assert f"\n  {key}" in str(error.value)


def test_the_landing_prefix_ends_with_a_slash_or_is_empty() -> None:
    assert read({**example("dev"), "landing": "s3://bucket"}).landing_prefix == ""
    assert read({**example("dev"), "landing": "s3://bucket/a/b/"}).landing_prefix == "a/b/"
    assert read({**example("dev"), "landing": "s3://bucket/a/b"}).landing_bucket == "bucket"


def test_values_come_from_a_file_and_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(example("dev")))
    monkeypatch.setenv("CDK_CONTEXT_JSON", json.dumps({"namespace": "from_cdk", "alarm_email": "a@example.org"}))
    arguments = app._arguments(["--values", str(file), "-c", "namespace=mine"])
    context = app.context_of(arguments)
    assert context["namespace"] == "mine"
    assert context["alarm_email"] == "a@example.org"


def test_an_unknown_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["-c", "profil=dev"]) == 2
    assert "KEY is one of namespace, profile" in capsys.readouterr().err
    assert app.main(["-c", "profile=huge"]) == 2
    assert "expected one of prod, small, dev" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "said"),
    [(["-c", "region=mars"], "region='mars'"), (["-c", "region=eu-west-1", "-c", "github=x"], "OWNER/REPOSITORY")],
)
def test_the_accounts_stack_names_what_is_wrong(
    values: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert app.main([*values, "--account", "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
