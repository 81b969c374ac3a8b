"""Every setting of the platform, typed, read from environment variables in this one place.

Nothing is opened or created here; paths are only worked out.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from resources.aws_settings import AwsSettings
from resources.errors import UserError
from resources.landing.address import S3Address as S3Address
from resources.landing.shards import DateShards

PREFIX = "STRANDLINE_"
DEFAULT_NAMESPACE = "default"
_SPECIAL = frozenset("?#%*[]")


class SettingsError(UserError):
    """A setting is missing or malformed. The message names the environment variable."""


class Settings(AwsSettings, BaseSettings):
    """Settings of one deployment. Each field is the variable ``STRANDLINE_<FIELD>`` in upper case."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    home: Annotated[Path, Field(description="Folder of the embedded deployment's state.")] = Path(".strandline")
    namespace: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="Name of this deployment beside others.")
    ] = DEFAULT_NAMESPACE
    landing: Annotated[
        Path | S3Address | None,
        NoDecode,
        Field(description="Landing folder, or s3://bucket[/prefix]; default <home>/landing."),
    ] = None
    landing_read_only: Annotated[
        bool, Field(description="The landing store is somebody else's: never write there.")
    ] = False
    s3_endpoint: Annotated[
        str | None, Field(description="Address of an S3-compatible server; unset means AWS itself.")
    ] = None
    queue_url: Annotated[
        str | None, Field(description="SQS queue with the landing bucket's notifications; listing alone when unset.")
    ] = None
    listing_interval_seconds: Annotated[
        float, Field(ge=0, description="Least time between two full listings of a source by its sensor.")
    ] = 0.0

    date_shards: Annotated[
        dict[str, DateShards],
        NoDecode,
        Field(description="By source, as JSON: how its keys are sharded by date, and when a shard is closed."),
    ] = {}

    folders: Annotated[
        dict[str, str],
        NoDecode,
        Field(description="Where a source's files land, if not in the folder of its name, such as `health=app-1`."),
    ] = {}

    ledger_url: Annotated[
        SecretStr | None,
        Field(description="postgresql://user:password@host/database of the ledger; default SQLite in <home>."),
    ] = None

    serving_url: Annotated[
        SecretStr | None,
        Field(description="postgresql://user:password@host/database that serves rates; default a server in <home>."),
    ] = None
    serving_reader_url: Annotated[
        SecretStr | None, Field(description="The same, where queries go: a reader endpoint; default serving_url.")
    ] = None

    api_host: Annotated[str, Field(min_length=1, description="Address that the rates API listens on.")] = "127.0.0.1"
    api_port: Annotated[int, Field(ge=1, le=65_535, description="Port that the rates API listens on.")] = 3080
    api_token: Annotated[
        SecretStr | None, Field(description="Token that posting a price asks for; without it nobody can post.")
    ] = None
    api_connections: Annotated[
        int, Field(ge=1, le=100, description="Most connections of one API process to the serving database.")
    ] = 8
    api_query_seconds: Annotated[
        float, Field(gt=0, le=300, description="Longest that the API waits for a connection, and for a query.")
    ] = 5.0
    api_max_days: Annotated[int, Field(ge=1, le=36_600, description="Most days of one request to the API.")] = 366
    api_rate_limit: Annotated[
        float, Field(ge=0, description="Requests a second of one client, ten times as many at once; 0: no limit.")
    ] = 100.0
    api_trusted_proxies: Annotated[
        str, Field(description="Proxies whose X-Forwarded-For names the client: addresses or networks, with commas.")
    ] = "127.0.0.1"
    api_leave_seconds: Annotated[
        float, Field(ge=0, le=300, description="How long the API, asked to end, still answers while /readyz says no.")
    ] = 5.0

    workers: Annotated[int, Field(ge=1, le=256, description="Reader processes of one run.")] = os.cpu_count() or 1
    file_timeout_seconds: Annotated[float, Field(gt=0, description="Longest that reading one file may take.")] = 60.0
    file_memory_mb: Annotated[int, Field(ge=1024, description="Address space that a reader process may use, MiB.")] = (
        4096
    )

    products: Annotated[
        Path | None, Field(description="Folder of what is made from the tables; default <home>/products.")
    ] = None
    product_timeout_seconds: Annotated[
        float, Field(gt=0, description="Longest that making one product of one batch may take.")
    ] = 600.0
    product_memory_mb: Annotated[
        int, Field(ge=1024, description="Address space of the process that makes a product, MiB.")
    ] = 8192

    settle_seconds: Annotated[
        float, Field(ge=0, le=600, description="A local file counts once size and mtime are equal over this time.")
    ] = 1.0
    batch_max_files: Annotated[int, Field(ge=1, le=100_000, description="Most files of one batch.")] = 10_000
    batch_max_mb: Annotated[
        int, Field(ge=1, description="Most bytes of one batch, MiB (one larger file is a batch).")
    ] = 512
    batch_wait_seconds: Annotated[
        float, Field(ge=0, description="How long a batch that is not full waits for more files.")
    ] = 0.0
    companion_wait_seconds: Annotated[
        float, Field(ge=0, description="How long files wait for the rest of their record before they are refused.")
    ] = 300.0
    lease_seconds: Annotated[float, Field(ge=2, description="A run that gives no sign for this long is dead.")] = 60.0
    max_attempts: Annotated[int, Field(ge=1, description="Runs of one batch before it is held.")] = 5

    aggregate_quiet_seconds: Annotated[
        float, Field(ge=0, description="Aggregates are updated once their source has published nothing for this long.")
    ] = 10.0
    aggregate_delay_seconds: Annotated[
        float, Field(ge=0, description="While a source goes on publishing, its aggregates are updated after this long.")
    ] = 120.0
    compact_target_mb: Annotated[
        int, Field(ge=1, le=4096, description="Size up to which maintenance merges small data files, MiB.")
    ] = 128
    compact_small_files: Annotated[
        int, Field(ge=4, description="With more small data files in a table than this, maintenance does not wait.")
    ] = 100
    lake_keep_hours: Annotated[
        float, Field(ge=0, description="How long maintenance keeps snapshots and files that are not used any more.")
    ] = 24.0
    unresolved_minutes: Annotated[
        float, Field(gt=0, description="A file that is not settled for this long counts as left unresolved.")
    ] = 60.0
    partitions_kept: Annotated[
        int, Field(ge=1, description="Finished batches of a source that keep their partition in Dagster.")
    ] = 20_000
    dagster_days: Annotated[
        int, Field(ge=2, description="Days for which Dagster keeps the runs that ended, with their events and logs.")
    ] = 30

    max_runs: Annotated[int, Field(ge=1, le=1000, description="Most runs at once, of all sources.")] = 2
    max_runs_of: Annotated[
        dict[str, Annotated[int, Field(ge=1, le=1000)]],
        NoDecode,
        Field(description="Most runs of a source's batches at once, such as `ecg=1, ocean=2`; max_runs where unset."),
    ] = {}

    sensor_interval_seconds: Annotated[int, Field(ge=1, description="Least time between two looks for arrivals.")] = 1
    tick_budget_seconds: Annotated[
        float, Field(gt=0, le=50, description="Longest sensor tick; Dagster's own limit is 60.")
    ] = 40.0

    expect_every_hours: Annotated[
        dict[str, Annotated[float, Field(ge=1 / 60, le=24 * 366)]],
        NoDecode,
        Field(description="How often a source's files are expected, such as `ecg=24, ocean=0.5`."),
    ] = {}
    group_quiet_seconds: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=7 * 86_400)]],
        NoDecode,
        Field(description="How long nothing more must come for a group before it is read, such as `ocean=5`."),
    ] = {}
    slack_channel: Annotated[
        str | None, Field(min_length=1, description="Slack channel that alerts go to, by id or name.")
    ] = None
    slack_token: Annotated[
        SecretStr | None, Field(description="Token of the Slack app that posts alerts; without it they are log lines.")
    ] = None
    slack_url: Annotated[str, Field(description="Address of Slack's Web API.")] = "https://slack.com/api"
    ui_url: Annotated[
        str | None, Field(description="Address of Dagster's UI as people reach it, for links in alerts.")
    ] = None
    alert_digest_minutes: Annotated[
        float, Field(ge=0, description="Least time between two alerts about a source's refused files.")
    ] = 60.0

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Field(description="Least severe log lines to write.")
    ] = "INFO"
    log_format: Annotated[
        Literal["auto", "text", "json"],
        Field(description="Log lines for people (text) or machines (json); auto decides by who reads them."),
    ] = "auto"

    @field_validator("expect_every_hours", "group_quiet_seconds", "max_runs_of", "folders", mode="before")
    @classmethod
    def _number_by_source(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            units = {"max_runs_of": "RUNS", "folders": "FOLDER"}
            unit = units.get(str(info.field_name), str(info.field_name).rpartition("_")[2].upper())
            raise ValueError(f"expected SOURCE={unit}, several with commas between them")
        return {name.strip(): number.strip() for name, _, number in pairs}

    @field_validator("folders")
    @classmethod
    def _plain_folders(cls, value: dict[str, str]) -> dict[str, str]:
        for folder in value.values():
            if not folder.isprintable() or any(part in {"", ".", ".."} for part in folder.rstrip("/").split("/")):
                raise ValueError(f"{folder!r} is no folder; expected one such as app-1/exports, in the landing store")
        return {name: folder.rstrip("/") for name, folder in value.items()}

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("landing", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            return S3Address.parse(value)
        return value

    @field_validator("date_shards", mode="before")
    @classmethod
    def _json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "{}")
        except json.JSONDecodeError as error:
            example = '{"ecg": {"pattern": "{yyyy}/{mm}/{dd}/", "closed_after_days": 3}}'
            raise ValueError(f"expected JSON such as {example} ({error})") from None

    @field_validator("slack_token")
    @classmethod
    def _token_with_channel(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            return None
        if not re.fullmatch(r"xox[a-z]-[\x21-\x7e]+", value.get_secret_value()):
            raise ValueError(
                "expected a token of a Slack app, such as xoxb-... (OAuth & Permissions, Bot User OAuth Token)"
            )
        if "slack_channel" in info.data and info.data["slack_channel"] is None:
            raise ValueError("set STRANDLINE_SLACK_CHANNEL as well, to the channel that alerts are to go to")
        return value

    @field_validator("api_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]{16,512}", value.get_secret_value()):
            raise ValueError(
                "expected 16 or more letters, digits and signs without spaces, such as: openssl rand -hex 24"
            )
        return value

    @field_validator("s3_endpoint", "queue_url", "slack_url", "ui_url")
    @classmethod
    def _http_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected an address that begins with http:// or https://")
        if parts.username or parts.password:
            raise ValueError("leave user and password out of the address; credentials have settings of their own")
        return value.rstrip("/")

    @field_validator("queue_url")
    @classmethod
    def _queue_of_a_bucket(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "landing" in info.data and not isinstance(info.data["landing"], S3Address):
            raise ValueError("a queue tells of files in a bucket; set STRANDLINE_LANDING to s3://BUCKET")
        return value

    @field_validator("home", "landing", "products")
    @classmethod
    def _absolute(cls, value: Path | S3Address | None) -> Path | S3Address | None:
        if value is None or isinstance(value, S3Address):
            return value
        path = value.expanduser().resolve()
        if not _SPECIAL.isdisjoint(str(path)):
            raise ValueError(f"the path must have none of {' '.join(sorted(_SPECIAL))} in it; it stands in addresses")
        return path

    @field_validator("ledger_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"postgresql(\+psycopg2)?://", value.get_secret_value()):
            raise ValueError("expected postgresql://user:password@host/database; without it the ledger is SQLite")
        if value is not None and value.get_secret_value().count("@") > 1:
            # Else a part of the password would be taken for the host, and stand in every error that names it.
            raise ValueError("write an @ in user or password as %40")
        return value

    @field_validator("serving_url", "serving_reader_url")
    @classmethod
    def _serving(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and not re.match(r"postgresql(\+psycopg)?://", value.get_secret_value()):
            raise ValueError("expected postgresql://user:password@host/database")
        if value is not None and value.get_secret_value().count("@") > 1:
            raise ValueError("write an @ in user or password as %40")
        if value is not None and info.field_name == "serving_reader_url" and not info.data.get("serving_url"):
            raise ValueError("set STRANDLINE_SERVING_URL as well, to where prices are written")
        return value

    @classmethod
    def load(cls) -> Settings:
        """Settings from the environment. Raises SettingsError naming each wrong variable."""
        try:
            return cls(home=Path(os.environ.get(f"{PREFIX}HOME", ".strandline")))
        except ValidationError as error:
            raise SettingsError(_explain(error, PREFIX)) from None

    @property
    def landing_folder(self) -> Path | None:
        """The folder where files land; None when they land in a bucket."""
        return None if isinstance(self.landing, S3Address) else self.landing or self.home / "landing"

    def prefix_of(self, source: str) -> str:
        """What the keys of a source's files begin with: its folder in the landing store, with the slash."""
        return f"{self.folders.get(source, source)}/"

    @property
    def ledger_address(self) -> str:
        """Where the ledger is. Holds a password; never show it."""
        if self.ledger_url is not None:
            return self.ledger_url.get_secret_value()
        return f"sqlite:///{self.home / self._named('ledger.db')}"

    @property
    def ledger_schema(self) -> str:
        """The ledger's schema where one database holds several."""
        return f"{self.table_prefix}strandline"

    @property
    def serving_folder(self) -> Path:
        """Where the embedded serving database is, for a deployment without `serving_url`."""
        return self.home / "serving"

    @property
    def serving_schema(self) -> str:
        """The schema of the serving database's tables."""
        return f"{self.table_prefix}rates"

    @property
    def lake_folder(self) -> Path:
        return self.home / "lake"

    @property
    def products_folder(self) -> Path:
        return self.products or self.home / "products"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def table_prefix(self) -> str:
        """What stands before table namespaces where they live; empty for the default namespace."""
        return "" if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}__"

    def _named(self, name: str) -> str:
        return name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}.{name}"


ConfigModel = TypeVar("ConfigModel", bound=BaseModel)


def load_source_config(model: type[ConfigModel], source: str) -> ConfigModel:
    """A source's configuration: the model's defaults, each replaced by ``STRANDLINE_<SOURCE>_<FIELD>`` where set.

    A value of a list or table field is written as JSON. Raises SettingsError naming each wrong variable.
    """
    prefix = f"{PREFIX}{source.upper()}_"
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        text = os.environ.get(prefix + name.upper())
        if text is None:
            continue
        values[name] = _from_text(text, field.annotation)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, prefix)) from None


def _from_text(text: str, annotation: Any) -> Any:
    """JSON where only JSON can say it; else the text, of which pydantic makes a number or whatever the field is."""
    if annotation is str or not (text == "null" or text.startswith(("[", "{"))):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _explain(error: ValidationError, prefix: str) -> str:
    lines = []
    for problem in error.errors():
        variable = prefix + str(problem["loc"][0]).upper() if problem["loc"] else prefix + "*"
        # A wrong value may hold a password all the same.
        shown = (
            "(not shown)"
            if variable.endswith(("_URL", "_TOKEN", "_CARIS_HOST"))
            else re.sub(r"//[^/@]*@", "//***@", repr(problem["input"]))
        )
        lines.append(f"{variable}={shown}: {problem['msg']}")
    return "Wrong settings. Correct or unset these environment variables:\n  " + "\n  ".join(lines)
