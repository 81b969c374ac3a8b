"""A command of CARIS Batch as data: what it is called, what it reads, makes and changes; and how it is rendered.

What a command reads is said by the kind of its arguments, so that a chain in which something is read before it is made cannot
be written: `Chain` refuses it when it is defined. Syntax: `carisbatch --run <Process> [options] <inputs> <output>`
(CARIS HIPS and SIPS 7.3 help, CARIS Batch Utility, Overview).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline_assets.bathymetry.caris.declared import is_name, is_text
from pipeline_assets.landed_file import Refused

PROGRAM = "carisbatch"
HIPS_ENDING = ".hips"
_LONGEST_LINE = 30_000
"""Characters of a command; Windows takes 32,767."""

Value = str | tuple[str, ...] | None
Values = Mapping[str, Value]


@dataclass(frozen=True)
class In:
    """A file that must be there: by its path in the work folder, "/" between parts."""

    path: str


@dataclass(frozen=True)
class Out:
    """A file that the command makes, and without which it failed."""

    path: str


@dataclass(frozen=True)
class Change:
    """A file that must be there and that the command changes, with what lies beside it."""

    path: str


@dataclass(frozen=True)
class When:
    """Arguments that are left out where the value `name` is none."""

    name: str
    arguments: tuple[Argument, ...]


File = In | Out | Change
Argument = str | In | Out | Change | When


@dataclass(frozen=True)
class CarisCommand:
    """One process with its arguments in their order; braces stand for the survey's values.

    each: the name of a value that has several; there is a command for each of them. when: the name of a value without which
    there is no such command. seconds: the longest that it may take; None: as the host's settings say. counts_lines: it says
    how many lines it converted, and must have converted all.
    """

    process: str
    arguments: tuple[Argument, ...] = ()
    each: str = ""
    when: str = ""
    seconds: float | None = None
    counts_lines: bool = False

    def __post_init__(self) -> None:
        makes = any(isinstance(one, Out) for one in self.files())
        if (self.when or self.each) and makes:
            raise ValueError(
                f"{self.process}: what is run only for some surveys, or several times, makes no file of its own"
            )

    def files(self) -> Iterator[File]:
        yield from _files(self.arguments)

    @property
    def template(self) -> str:
        """The command as it is defined, for people."""
        words = [PROGRAM, *_head(self.process), *(_template(one) for one in self.arguments)]
        each = f"   (for each {self.each})" if self.each else ""
        return " ".join(words) + (f"   (if {self.when} is declared)" if self.when else "") + each


@dataclass(frozen=True)
class Step:
    """Commands that are run one after the other, and whose outcome is kept whole: an asset of its own.

    keeps: the folder of the work folder that the step fills or changes; all of it is kept.
    """

    name: str
    description: str
    keeps: str
    commands: tuple[CarisCommand, ...]

    @property
    def template(self) -> str:
        return "\n".join(command.template for command in self.commands)


@dataclass(frozen=True)
class Chain:
    """Steps in their order. given: what the survey brings, as paths with braces.

    Raises ValueError where a command reads or changes what is neither given nor made before it, or makes what is there.
    """

    given: tuple[str, ...]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        there = dict.fromkeys(self.given, "the survey")
        for step in self.steps:
            for command in step.commands:
                for file in command.files():
                    where = f"{step.name}: {command.process}"
                    if isinstance(file, Out):
                        if file.path in there:
                            raise ValueError(f"{where} makes {file.path}, which {there[file.path]} has made before")
                        there[file.path] = where
                    elif file.path not in there:
                        raise ValueError(
                            f"{where} needs {file.path}, which nothing before it makes: there are {', '.join(there)}"
                        )
                    if not isinstance(file, In) and not file.path.startswith(f"{step.keeps}/"):
                        raise ValueError(f"{where} writes {file.path}, and the step keeps {step.keeps}/ alone")


@dataclass(frozen=True)
class Rendered:
    """A command as it runs. argv: without the program. reads, makes: paths in the work folder."""

    process: str
    argv: tuple[str, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    seconds: float | None
    counts_lines: bool

    @property
    def line(self) -> str:
        """As one types it on Windows."""
        return windows_line((PROGRAM, *self.argv))


def rendered(step: Step, values: Values, folder: str) -> list[Rendered]:
    """The commands of a step for a survey. folder: the work folder as the host writes it.

    Raises Refused `bad_command_value` for a value that may stand in no command, `command_too_long`.
    """
    return [
        _rendered(command, {**values, command.each: one} if command.each else values, folder)
        for command in step.commands
        if not command.when or values[command.when]
        for one in (_several(values[command.each]) if command.each else ("",))
    ]


def _rendered(command: CarisCommand, values: Values, folder: str) -> Rendered:
    argv: list[str] = _head(command.process)
    reads: list[str] = []
    makes: list[str] = []

    def add(arguments: tuple[Argument, ...]) -> None:
        for one in arguments:
            if isinstance(one, When):
                if values[one.name]:
                    add(one.arguments)
            elif isinstance(one, str):
                argv.extend(_filled(one, values))
            else:
                for path in _filled(one.path, values, is_path=True):
                    argv.append(on_host(path, folder))
                    (makes if isinstance(one, Out) else reads).append(path)

    add(command.arguments)
    made = Rendered(command.process, tuple(argv), tuple(reads), tuple(makes), command.seconds, command.counts_lines)
    if len(made.line) > _LONGEST_LINE:
        raise Refused(
            "command_too_long",
            f"{command.process} has {len(made.line):,} characters with its {len(reads):,} files; Windows takes 32,767. Give it "
            "fewer files at once.",
        )
    return made


def on_host(path: str, folder: str) -> str:
    """A file of the work folder as an argument: a HIPS file as URI, since CARIS selects lines of it by URI; others as a path."""
    separator = "\\" if "\\" in folder or re.match(r"[A-Za-z]:", folder) else "/"
    whole = folder.rstrip("\\/") + separator + path.replace("/", separator)
    if not path.endswith(HIPS_ENDING):
        return whole
    plain = whole.replace("\\", "/")
    return f"file://{plain}" if plain.startswith("/") else f"file:///{plain}"


def windows_line(argv: tuple[str, ...]) -> str:
    """Arguments as one line that a Windows program takes apart again to the same.

    Source: Microsoft, Parsing C command-line arguments.
    """
    return " ".join(map(_quoted, argv))


def _quoted(argument: str) -> str:
    if argument and not re.search(r'[\s"]', argument):
        return argument
    # Backslashes count for themselves, except before a quotation mark, where each must be doubled.
    inner = re.sub(r'(\\*)"', r'\1\1\\"', argument)
    return '"' + re.sub(r"(\\+)$", r"\1\1", inner) + '"'


def _head(process: str) -> list[str]:
    return [process] if process.startswith("--") else ["--run", process]


def _several(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _filled(template: str, values: Values, *, is_path: bool = False) -> list[str]:
    """A template with its values; several where a value has several. Constants of the definition are taken as they are."""
    names = re.findall(r"\{(\w+)\}", template)
    several = next((name for name in names if isinstance(values[name], tuple)), None)
    if several is not None:
        return [
            text
            for one in _several(values[several])
            for text in _filled(template, {**values, several: one}, is_path=is_path)
        ]
    text = template.format_map({name: values[name] for name in names})
    if not names:
        return [text]
    right = all(is_name(part) for part in text.split("/")) if is_path else is_text(text)
    if not right:
        raise Refused(
            "bad_command_value",
            f"{text[:200]!r} (for {template}) may stand in no command; expected "
            + (
                "a path below the work folder, of plain names"
                if is_path
                else "letters, digits, blanks and . , : + @ / ( ) = - _"
            )
            + ". Change what survey.json says.",
        )
    return [text]


def _files(arguments: tuple[Argument, ...]) -> Iterator[File]:
    for one in arguments:
        if isinstance(one, When):
            yield from _files(one.arguments)
        elif not isinstance(one, str):
            yield one


def _template(argument: Argument) -> str:
    if isinstance(argument, When):
        return f"[{' '.join(map(_template, argument.arguments))}]"
    if isinstance(argument, str):
        return _quoted(argument)
    return argument.path
