"""Settings of the CARIS host: ``STRANDLINE_CARIS_<FIELD>``, read like a source's configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from resources.settings import S3Address, load_source_config

SECTION = "caris"
LICENCE_POOL = "caris_licence"
"""The Dagster pool of what takes a seat of the licence; its limit is the number of seats."""
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_MANAGED = re.compile(r"(?:i|mi)-[0-9a-f]{8,17}")
_WINDOWS_FOLDER = re.compile(r"[A-Za-z]:(?:\\[A-Za-z0-9_-][A-Za-z0-9_.-]*)+\\?")
_POSIX_FOLDER = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+/?")
_SSH = re.compile(r"(?:([A-Za-z0-9_.-]+(?:\\[A-Za-z0-9_.-]+)?)@)([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


@dataclass(frozen=True)
class Local:
    """Commands run on the machine of the run itself."""

    def __str__(self) -> str:
        return "local:"


@dataclass(frozen=True)
class Ssh:
    user: str
    host: str
    port: int = 22

    def __str__(self) -> str:
        return f"ssh://{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Ssm:
    instance: str

    def __str__(self) -> str:
        return f"ssm:{self.instance}"


Address = Local | Ssh | Ssm


def parse_address(text: str) -> Address:
    """From ``local:``, ``ssh://user@host[:port]`` or ``ssm:i-0123456789abcdef0``. Raises ValueError that repeats nothing of
    the text, which may have a password in it."""
    expected = "expected local:, ssh://USER@HOST[:PORT] or ssm:INSTANCE-ID"
    if text == "local:":
        return Local()
    if text.startswith("ssm:"):
        if not _MANAGED.fullmatch(text[4:]):
            raise ValueError("expected the id of an instance behind ssm:, such as ssm:i-0123456789abcdef0")
        return Ssm(text[4:])
    if text.startswith("ssh://"):
        if ":" in text[6:].rpartition("@")[0]:
            raise ValueError(
                "leave the password out of the address; a key of STRANDLINE_CARIS_SSH_KEY or an agent opens the host"
            )
        found = _SSH.fullmatch(text[6:].rstrip("/"))
        if found is None or not 0 < int(found[3] or 22) < 65_536:
            raise ValueError(expected)
        return Ssh(found[1], found[2].strip("[]"), int(found[3] or 22))
    raise ValueError(expected)


class CarisSettings(BaseModel):
    """How the CARIS host is reached, what it may take, when it is started and stopped."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    host: Annotated[
        Address | None,
        Field(description="local:, ssh://USER@HOST[:PORT] or ssm:INSTANCE-ID; without it there is no CARIS engine."),
    ] = None
    program: Annotated[
        str,
        Field(min_length=1, max_length=300, description="carisbatch on the host, with its path unless it is found."),
    ] = "carisbatch"
    work_folder: Annotated[
        str | None,
        Field(
            validate_default=True,
            description="Folder on the host in which each survey gets its own; local: default <home>/caris.",
        ),
    ] = None
    bucket: Annotated[
        S3Address | None,
        Field(
            validate_default=True,
            description="s3://BUCKET[/PREFIX] by way of which files and output go to and from an ssm: host.",
        ),
    ] = None
    ssh_key: Annotated[
        Path | None, Field(description="File of the private key for an ssh: host; default the agent's keys.")
    ] = None
    known_hosts: Annotated[
        Path,
        Field(validate_default=True, description="File with the key of the ssh: host, as ssh-keyscan prints it."),
    ] = Path("~/.ssh/known_hosts")
    instance: Annotated[
        str | None, Field(description="EC2 instance that is the host, to start and stop; of an ssm: host its own.")
    ] = None
    stop: Annotated[
        Literal["started", "always", "never"],
        Field(description="Stop the instance when idle: if the platform started it, always, or never."),
    ] = "started"
    idle_seconds: Annotated[
        float, Field(ge=0, le=86_400, description="How long an unused instance is left running before it is stopped.")
    ] = 600.0
    start_seconds: Annotated[
        float, Field(ge=30, le=3600, description="Longest that the instance may take to start and answer.")
    ] = 600.0
    seats: Annotated[int, Field(ge=1, le=1000, description="Seats of the licence: surveys worked on at once.")] = 1
    wait_seconds: Annotated[
        float,
        Field(ge=0, le=86_400, description="How long a run waits for a seat, or for its survey, before it fails."),
    ] = 600.0
    lease_seconds: Annotated[
        float, Field(ge=2, le=3600, description="A run that gives no sign for this long has lost seat and host.")
    ] = 60.0
    step_seconds: Annotated[
        float, Field(ge=1, le=172_800, description="Longest that one command may take, unless its step says otherwise.")
    ] = 60_000.0
    quiet_seconds: Annotated[
        float,
        Field(ge=1, le=172_800, description="Longest that a command may say nothing, unless its step says otherwise."),
    ] = 7200.0
    licence_surface: Annotated[
        str | None,
        Field(
            description="A small .csar on the host: exported before a survey's work, it proves that there is a licence."
        ),
    ] = None

    @field_validator("host", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        return parse_address(value) if isinstance(value, str) else value

    @field_validator("bucket", mode="before")
    @classmethod
    def _bucket(cls, value: Any) -> Any:
        return S3Address.parse(value) if isinstance(value, str) else value

    @field_validator("bucket")
    @classmethod
    def _bucket_of_ssm(cls, value: S3Address | None, info: ValidationInfo) -> S3Address | None:
        if value is None and isinstance(info.data.get("host"), Ssm):
            raise ValueError("set it to s3://BUCKET[/PREFIX]: files go to and from an ssm: host that way")
        return value

    @field_validator("instance")
    @classmethod
    def _instance_id(cls, value: str | None, info: ValidationInfo) -> str | None:
        host = info.data.get("host")
        if value is not None and not _INSTANCE.fullmatch(value):
            raise ValueError("expected the id of an EC2 instance, such as i-0123456789abcdef0")
        if value is not None and isinstance(host, Ssm) and value != host.instance:
            raise ValueError(f"the host is {host}; leave this unset, or name the same instance")
        return value

    @field_validator("program", "licence_surface")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and (not value.isprintable() or '"' in value):
            raise ValueError("expected one line without quotation marks")
        return value

    @field_validator("work_folder")
    @classmethod
    def _plain_folder(cls, value: str | None, info: ValidationInfo) -> str | None:
        host = info.data.get("host")
        if value is None:
            if isinstance(host, Ssh | Ssm):
                raise ValueError(r"set it to a folder of the host's own, such as D:\strandline")
            return None
        if not (_WINDOWS_FOLDER.fullmatch(value) or _POSIX_FOLDER.fullmatch(value)) or ".." in value:
            raise ValueError(
                r"expected a whole path of letters, digits, '.', '_' and '-', such as D:\strandline or /srv/strandline"
            )
        is_windows = value[1] == ":"
        if isinstance(host, Local) and is_windows:
            raise ValueError("a local: host is this machine; expected a path such as /srv/strandline")
        if isinstance(host, Ssm) and not is_windows:
            raise ValueError(r"an ssm: host runs Windows; expected a path such as D:\strandline")
        return value.rstrip("\\/")

    @field_validator("ssh_key", "known_hosts")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @property
    def is_windows(self) -> bool:
        return self.work_folder is not None and self.work_folder[1:2] == ":"

    @property
    def started_instance(self) -> str | None:
        """The EC2 instance to start and stop; None where there is none, or somebody else does it."""
        if isinstance(self.host, Ssm) and _INSTANCE.fullmatch(self.host.instance):
            return self.host.instance
        return self.instance if isinstance(self.host, Ssh) else None


def load_caris_settings() -> CarisSettings:
    """From the environment. Raises SettingsError that names each wrong variable."""
    return load_source_config(CarisSettings, SECTION)
