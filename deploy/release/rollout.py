"""The order of a release, and the way back.

1. Definitions of all roles are registered with the new image; nothing uses them yet.
2. The code location is replaced and waited for: the old one serves until the new one is healthy.
3. The webserver is told to load it, and says whether it could. From now on runs are started on the new image, while runs
   that were started before finish in tasks of their own, on theirs.
4. Webserver, its read-only twin, the rates API and the daemon follow, each waited for.

Whatever is not healthy in time is put back, and all that went before it, in the opposite order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from deploy.release.errors import NotRestored, ReleaseError
from deploy.release.patience import Patience
from deploy.release.services import Cluster, Service

Say = Callable[[str], None]
Reload = Callable[[], None]
"""Makes the webserver load the code location anew. Raises ReleaseError if it cannot."""


@dataclass
class Rollout:
    """One release to one namespace. Making it does nothing."""

    cluster: Cluster
    reload: Reload | None
    say: Say
    patience: Patience
    _touched: list[Service] = field(default_factory=list)
    _registered: list[str] = field(default_factory=list)

    def run(self, image: str) -> bool:
        """Bring an image (by digest) to every role. Returns whether anything was to do.

        Raises ReleaseError, when what ran before runs again; NotRestored, when that could not be done.
        """
        if "@sha256:" not in image:
            raise ReleaseError(f"{image!r} names no digest; expected REPOSITORY@sha256:...")
        services = self.cluster.services()
        unsteady = [one.role for one in services if not one.is_steady]
        if unsteady:
            raise ReleaseError(f"another deployment is under way ({', '.join(unsteady)}); wait until it is done")
        old = self.cluster.running_image()
        old_run = self.cluster.run_definition()
        if all(self.cluster.image_of(one.definition, one.role) == image for one in services) and (
            self.cluster.image_of(old_run, "run") == image
        ):
            self.say(f"{self.cluster.namespace} runs {_short(image)} already")
            return False
        self.say(f"{self.cluster.namespace}: {_short(old)} is replaced by {_short(image)}")
        try:
            self._go_forward(services, old_run, image)
        except BaseException as error:
            self._go_back(error)
            raise
        self.say(f"{self.cluster.namespace} runs {_short(image)}")
        return True

    def _go_forward(self, services: Sequence[Service], old_run: str, image: str) -> None:
        run = self._register(old_run, "run", image)
        definitions = {one.role: self._register(one.definition, one.role, image, run) for one in services}
        for service in services:
            self._touched.append(service)
            self.cluster.update(service.role, definitions[service.role])
            self.cluster.wait_until_healthy(service.role, definitions[service.role], self.patience)
            self.say(f"{service.role} is healthy")
            if service.role == "code" and self.reload is not None:
                self.reload()
                self.say("the webserver has loaded the new code location")

    def _register(self, definition: str, container: str, image: str, run: str | None = None) -> str:
        made = self.cluster.register(definition, container, image, run)
        self._registered.append(made)
        return made

    def _go_back(self, error: BaseException) -> None:
        self.say(f"not released: {error or type(error).__name__}")
        stuck = []
        for service in reversed(self._touched):
            try:
                self.cluster.update(service.role, service.definition)
                self.cluster.wait_until_healthy(service.role, service.definition, self.patience)
                self.say(f"{service.role} is back on what it ran before")
            except (ReleaseError, ClientError, BotoCoreError) as worse:
                stuck.append(f"{service.role} ({worse})")
        # Whoever names the family alone gets its newest revision, which must not be one of these.
        for definition in self._registered:
            with suppress(ClientError, BotoCoreError):
                self.cluster.deregister(definition)
        if self._touched and self.reload is not None:
            try:
                self.reload()
            except ReleaseError as worse:
                stuck.append(f"the webserver's code location ({worse})")
        if stuck:
            message = f"the release failed ({error}), and this could not be put back: {'; '.join(stuck)}"
            self.say(message)
            raise NotRestored(message) from error


def _short(image: str) -> str:
    name, _, digest = image.rpartition("/")[-1].partition("@sha256:")
    return f"{name}@{digest[:12]}" if digest else name
