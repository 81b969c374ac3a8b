"""Vessel files, parameters of CUBE and their like: where a deployment keeps them for the engine CARIS."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline_assets.bathymetry.caris.declared import is_name
from pipeline_assets.landed_file import Refused

SETTING = "STRANDLINE_BATHYMETRY_CARIS_FILES"


def bring(folder: str | None, name: str, to: Path, endpoint: str | None) -> None:
    """Copy a file of the deployment's folder, a local one or s3://BUCKET/PREFIX. endpoint: of the S3 server, if not AWS.

    Raises Refused `no_caris_files`, `given_file_missing`; OSError and botocore's errors where the store is away.
    """
    if folder is None:
        raise Refused(
            "no_caris_files",
            f"{name!r} is to be brought to CARIS, and nothing says from where. Set {SETTING} to the folder, or s3://BUCKET/PREFIX, "
            "that holds it",
        )
    if not is_name(name):
        raise Refused("bad_command_value", f"{name!r} is no plain name of a file")
    if folder.startswith("s3://"):
        _from_bucket(folder, name, to, endpoint)
        return
    path = Path(folder) / name
    if not path.is_file():
        raise Refused(
            "given_file_missing",
            f"there is no file {name!r} in {folder} ({SETTING}). Put it there, or correct its name",
        )
    shutil.copyfile(path, to)


def _from_bucket(folder: str, name: str, to: Path, endpoint: str | None) -> None:
    from botocore.exceptions import ClientError

    from resources.landing.s3_client import s3_client
    from resources.settings import S3Address

    address = S3Address.parse(folder)
    try:
        s3_client(endpoint).download_file(address.bucket, address.prefix + name, str(to))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in {"404", "NoSuchKey", "NotFound"}:
            raise
        raise Refused(
            "given_file_missing",
            f"there is no object {address.prefix + name!r} in {address.bucket} ({SETTING}). Put it there",
        ) from None
