"""The CloudFormation stack of a namespace: what was deployed."""

from __future__ import annotations

import re
from typing import Any

import yaml
from botocore.exceptions import ClientError

from deploy.roles import stack_name

_IMAGE = re.compile(r"[A-Za-z0-9.:-]+/[A-Za-z0-9._/-]+@sha256:[0-9a-f]{64}")


class Stack:
    """Making it opens nothing."""

    def __init__(self, namespace: str, cloudformation: Any) -> None:
        self.namespace = namespace
        self.name = stack_name(namespace)
        self._cloudformation = cloudformation

    def template(self) -> dict[str, Any] | None:
        """As it was deployed last; None if there is no stack."""
        try:
            body = self._cloudformation.get_template(StackName=self.name, TemplateStage="Original")["TemplateBody"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return dict(yaml.safe_load(body) if isinstance(body, str) else body)


def images_in(template: object) -> set[str]:
    """The images by digest that a template names."""
    if isinstance(template, dict):
        return {image for value in template.values() for image in images_in(value)}
    if isinstance(template, list):
        return {image for value in template for image in images_in(value)}
    return {template} if isinstance(template, str) and _IMAGE.fullmatch(template) else set()
