"""Reading a template: its resources by kind, its references as text, and what its roles may do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


def text(value: Any) -> str:
    """A value of a template in one string: ``{"Fn::GetAtt": ["Lake", "Arn"]}`` is ``${Lake.Arn}``."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, inside),) = value.items()
        if name == "Ref":
            return f"${{{inside}}}"
        if name == "Fn::GetAtt":
            return f"${{{'.'.join(inside)}}}"
        if name == "Fn::Join":
            return str(inside[0]).join(text(part) for part in inside[1])
        if name == "Fn::Sub":
            return text(inside if isinstance(inside, str) else inside[0])
        if name == "Fn::Base64":
            return text(inside)
    return json.dumps(value)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Allowed:
    """One statement that allows something. role: the logical id of who may."""

    role: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: str

    def covers(self, action: str) -> bool:
        return any(fnmatchcase(action.lower(), one.lower()) for one in self.actions)


class Template:
    """A synthesized template."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.resources: Mapping[str, Any] = data["Resources"]

    def ids(self, kind: str) -> list[str]:
        return [name for name, one in self.resources.items() if one["Type"] == kind]

    def of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Properties by logical id."""
        return {name: self.resources[name].get("Properties", {}) for name in self.ids(kind)}

    def one(self, kind: str, part: str = "") -> tuple[str, Mapping[str, Any]]:
        """The only resource of a kind whose logical id has this part."""
        found = [(name, properties) for name, properties in self.of(kind).items() if part in name]
        assert len(found) == 1, f"{kind} {part}: {[name for name, _ in found]}"
        return found[0]

    def has(self, kind: str, part: str = "") -> bool:
        return any(part in name for name in self.ids(kind))

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
        """Family, task definition and container, of all."""
        for task in self.of("AWS::ECS::TaskDefinition").values():
            for container in task["ContainerDefinitions"]:
                yield task["Family"], task, container

    def environment(self, role: str) -> dict[str, str]:
        for _, _, container in self.containers():
            if container["Name"] == role:
                return {one["Name"]: text(one["Value"]) for one in container["Environment"]}
        raise KeyError(role)

    def allowed(self) -> Iterator[Allowed]:
        """What every role and every user of a managed policy may do."""
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            for name, policy in self.of(kind).items():
                holders = [one["Ref"] for one in policy.get("Roles", [])] or [name]
                for statement in policy["PolicyDocument"]["Statement"]:
                    for holder in holders:
                        yield from _allowed(holder, statement)

    def task_roles(self) -> dict[str, str]:
        """Logical id of the role of each family."""
        return {
            task["Family"]: task["TaskRoleArn"]["Fn::GetAtt"][0]
            for task in self.of("AWS::ECS::TaskDefinition").values()
        }


def _allowed(holder: str, statement: Mapping[str, Any]) -> Iterator[Allowed]:
    if statement["Effect"] != "Allow":
        return
    actions = tuple(as_list(statement["Action"]))
    resources = tuple(text(one) for one in as_list(statement["Resource"]))
    yield Allowed(holder, actions, resources, json.dumps(statement.get("Condition", {}), sort_keys=True))
