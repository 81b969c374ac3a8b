"""Take out of an environment of installed packages what no run reads, while the image is built.

    python -m deploy.slim SITE_PACKAGES

Only whole kinds of files go, each of which is named here with its reason; no library goes, and no module that any other
imports. Libraries in machine code lose their symbol tables and debugging information, and nothing that is ever mapped into
memory. Each package's RECORD says afterwards what is really there, so nothing that differs from build to build is left.
No import beyond Python's own, since it runs where nothing else is installed.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deploy.elf import loaded, without_symbols

AWS_SERVICES = frozenset(
    {
        # What the platform and Dagster's launcher call.
        "athena", "dynamodb", "ec2", "ecs", "glue", "logs", "s3", "secretsmanager", "sqs", "ssm",
        # How credentials are found.
        "signin", "sso", "sso-oidc", "sts",
        # For what a person does in a task by hand.
        "cloudformation", "cloudwatch", "rds", "sns",
    }
)  # fmt: skip
"""Those of botocore's descriptions of services that stay. A source that calls another one adds its name here."""

_SOURCES_OF_MACHINE_CODE = frozenset({".a", ".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyx"})
_WHEN_AND_WHERE_INSTALLED = frozenset({"direct_url.json", "uv_cache.json"})


class SlimError(Exception):
    """The environment was left half done; the message says why. The build stops."""


@dataclass(frozen=True)
class Rule:
    """goes: whether a file goes, by its path within site-packages."""

    name: str
    goes: Callable[[PurePosixPath], bool]


def _other_service(path: PurePosixPath) -> bool:
    # A service's folder holds one folder for each version; files beside them are for all services.
    return path.parts[:2] == ("botocore", "data") and len(path.parts) > 3 and path.parts[2] not in AWS_SERVICES


RULES = (
    Rule("tests of libraries", lambda path: "tests" in path.parts[1:-1]),
    Rule("descriptions of AWS services that nothing calls", _other_service),
    Rule("sources and headers of compiled libraries", lambda path: path.suffix in _SOURCES_OF_MACHINE_CODE),
    Rule("maps for debuggers of browsers", lambda path: path.suffix == ".map" and path.stem.endswith((".js", ".css"))),
    Rule("matplotlib's sample data", lambda path: path.parts[:3] == ("matplotlib", "mpl-data", "sample_data")),
    # It differs from build to build, and nothing reads it.
    Rule(
        "notes of when and where a package was installed",
        lambda path: path.name in _WHEN_AND_WHERE_INSTALLED and path.parent.suffix == ".dist-info",
    ),
)


def remove(packages: Path) -> dict[str, tuple[int, int]]:
    """Remove by RULES; of each, number and bytes of the files that went."""
    gone: dict[str, tuple[int, int]] = {}
    for path in list(_files(packages)):
        within = PurePosixPath(path.relative_to(packages).as_posix())
        rule = next((rule for rule in RULES if rule.goes(within)), None)
        if rule is not None:
            count, size = gone.get(rule.name, (0, 0))
            gone[rule.name] = (count + 1, size + path.lstat().st_size)
            path.unlink()
    for folder, _, _ in os.walk(packages, topdown=False):
        if not os.listdir(folder):
            Path(folder).rmdir()
    return gone


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))


def shorten(packages: Path) -> tuple[int, int]:
    """Libraries and programs without symbol tables and debugging information: how many got shorter, the bytes that went.

    Raises SlimError if the loader would make something else of one of them.
    """
    count, saved = 0, 0
    for path in _files(packages):
        if path.is_symlink() or not _is_machine_code(path):
            continue
        content = path.read_bytes()
        shorter = without_symbols(content)
        if len(shorter) == len(content):
            continue
        if loaded(shorter) != loaded(content):
            raise SlimError(f"{path} would not be loaded as before")
        path.write_bytes(shorter)
        count, saved = count + 1, saved + len(content) - len(shorter)
    return count, saved


def _is_machine_code(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def write_records(packages: Path) -> None:
    """Each RECORD names the files that are there, with hash and size of what they hold now (PEP 376, PEP 427)."""
    for record in sorted(packages.glob("*.dist-info/RECORD")):
        rows = []
        with record.open(newline="", encoding="utf-8") as file:
            for name, digest, size in csv.reader(file):
                path = packages / name
                if not path.is_file():
                    continue
                if digest:
                    content = path.read_bytes()
                    digest, size = f"sha256={_base64(hashlib.sha256(content).digest())}", str(len(content))
                rows.append((name, digest, size))
        with record.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(sorted(rows))


def _base64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def main(arguments: list[str]) -> int:
    packages = Path(arguments[0])
    if not packages.is_dir():
        raise SlimError(f"{packages} is no folder; expected the site-packages of an environment")
    for name, (files, size) in remove(packages).items():
        print(f"{size / 1e6:8.1f} MB  {name} ({files:,} files)")
    count, saved = shorten(packages)
    print(f"{saved / 1e6:8.1f} MB  symbol tables and debugging information ({count:,} files)")
    write_records(packages)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SlimError as error:
        sys.exit(str(error))
