"""Places in buckets."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST_ADDRESS = 255


@dataclass(frozen=True)
class S3Address:
    """A place in a bucket: everything below a prefix, which is empty or ends with a slash."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @classmethod
    def parse(cls, text: str) -> S3Address:
        """From ``s3://bucket[/prefix]``. Raises ValueError."""
        match = re.fullmatch(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])(?:/(.*))?", text, re.DOTALL)
        if match is None:
            raise ValueError("expected s3://BUCKET or s3://BUCKET/PREFIX")
        prefix = (match[2] or "").rstrip("/")
        if any(part in {"", ".", ".."} for part in prefix.split("/")) and prefix:
            raise ValueError("the prefix must have no empty part, '.' or '..' in it")
        if not prefix.isprintable() or len(text.encode()) > _LONGEST_ADDRESS:
            raise ValueError(f"use printable characters only, and at most {_LONGEST_ADDRESS} bytes")
        return cls(match[1], f"{prefix}/" if prefix else "")
