"""What a survey declares of its processing in CARIS, and which texts may stand in a command."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Engine = Literal["open", "caris"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+-]{0,98}[A-Za-z0-9_+-])?")
_TEXT = re.compile(r"[\w(][\w .,:+@/()=-]{0,199}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_QUANTITY = re.compile(rf"{_NUMBER.pattern}(?:m|m/s|cm|deg|sec)")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def is_name(text: str) -> bool:
    """Whether a file may be called so on every system, and the name means nothing to a shell."""
    return _NAME.fullmatch(text) is not None and ".." not in text and not _DEVICE.fullmatch(text)


def is_text(text: str) -> bool:
    """Whether a value may stand in a command: nothing that a shell reads otherwise, nothing that looks like an option."""
    return bool(_TEXT.fullmatch(text) or _NUMBER.fullmatch(text) or _QUANTITY.fullmatch(text))


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(
            f"{text[:100]!r} is no name for a file of the engine; expected one without folders, of letters, digits, blanks and . _ + -"
        )
    return text


def _text(text: str) -> str:
    if not is_text(text):
        raise ValueError(
            f"{text[:100]!r} cannot stand in a command; use letters, digits, blanks and . , : + @ / ( ) = - _"
        )
    return text


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is no quantity; expected a number and its unit, such as 0.1m, 1.0m/s, 0sec")
    return text


FileName = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_text)]
Word = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,60}$")]
Quantity = Annotated[str, AfterValidator(_quantity)]


class Georeferencing(BaseModel):
    """What GeoreferenceHIPSBathymetry is told: where heights and sensors come from, and how certain sound speed and tide are.

    The defaults are those of Geoscience Australia's processing pipeline of 2020. sensors: what navigation, sonar, gyro, pitch
    and roll are as certain as; heave: the same of heave.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vertical_datum_reference: Word = "GPS"
    vertical_offset: Quantity = "0m"
    heave_source: Word = "DELAYED_HEAVE"
    tide_measured: Quantity = "0.1m"
    tide_zoning: Quantity = "0.1m"
    sv_measured: Quantity = "1.0m/s"
    sv_surface: Quantity = "0.2m/s"
    sensors: Word = "REALTIME"
    heave: Word = "DELAYED"
    tide: Word = "STATIC"


class CarisSurvey(BaseModel):
    """What a survey declares of its processing in CARIS: `caris` in its `survey.json`.

    vessel_file, cube_config_file, auxiliary: names of files in the folder of the setting `caris_files`. cube_config_name: which
    configuration of the file; neither: CARIS's own defaults. auxiliary: attitude and height, if they are to be imported,
    of the format auxiliary_format. georeference: what to georeference with; none: depths stand as the lines have them.
    filter_scalar: how many standard deviations of the preliminary surface a sounding may lie off it. party_*: who stands
    in the exported BAG. revision: raise it to have every step run anew although nothing else changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vessel_file: FileName | None = None
    cube_config_file: FileName | None = None
    cube_config_name: Text | None = None
    auxiliary: tuple[FileName, ...] = ()
    auxiliary_format: Word = "APP_POSMV"
    georeference: Georeferencing | None = None
    filter_scalar: Annotated[float, Field(gt=0, le=100)] = 1.6
    party_name: Text = "unknown"
    party_position: Text = "unknown"
    party_organization: Text = "unknown"
    revision: Annotated[int, Field(ge=1)] = 1
