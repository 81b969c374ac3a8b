"""What a command says beside its answer, on standard error: plain text for people, log lines where JSON is asked for."""

from __future__ import annotations

import logging

import click

from resources.logs import is_json

_log = logging.getLogger(__name__)


def note(message: str) -> None:
    _say(logging.INFO, message)


def complain(message: str) -> None:
    _say(logging.ERROR, message)


def _say(level: int, message: str) -> None:
    if is_json():
        _log.log(level, message)
    else:
        click.echo(message, err=True)
