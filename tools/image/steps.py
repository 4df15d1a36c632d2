"""Carries the instructions of a Dockerfile out, one after the other, in folders that stand for its stages."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.image import dockerfile, roots
from tools.image.dockerfile import DockerfileError, Instruction, Stage

HOST_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""What this machine trusts; a machine behind a proxy has authorities of its own there."""
LENT: Final = "/run/host-authorities.crt"
"""Where steps find them, for pip; away again afterwards."""


@dataclass(slots=True, kw_only=True)
class Image:
    """A stage that was carried out."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": roots.PATH})
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)
    stop_signal: str = ""

    def command_line(self, words: list[str]) -> tuple[list[str], dict[str, str]]:
        """How to run `words` as an engine would with a read-only root, and with which environment."""
        script = 'cd "$1" && shift && exec "$@"'
        inner = ("/bin/sh", "-c", script, "sh", self.folder, *words)
        return roots.inside(self.root, *inner, user=self.user, writable=False), dict(self.environment)


class Steps:
    """One build."""

    def __init__(self, context: Path, work: Path, base: Path) -> None:
        """Runs nothing yet.

        Args:
            context: the folder that COPY takes from.
            work: an empty folder, for the stages.
            base: the system that every FROM stands for.
        """
        self._context: Final = context
        self._work: Final = work
        self._base: Final = base
        self._made: Final[dict[str, Image]] = {}

    def run(self, text: str, arguments: Mapping[str, str]) -> Image:
        """Carries all stages out; the last one is the image."""
        image = None
        for number, stage in enumerate(dockerfile.stages(text)):
            if not stage.base.startswith("debian:"):
                raise DockerfileError(f"FROM {stage.base}: only Debian can be made here")
            image = self._stage(stage, self._work / f"stage{number}", arguments)
            self._made[stage.name] = image
        if image is None:
            raise DockerfileError("no FROM")
        return image

    def _stage(self, stage: Stage, folder: Path, arguments: Mapping[str, str]) -> Image:
        image = Image(root=roots.copy(self._base, folder))
        given: dict[str, str] = {}
        for instruction in stage.instructions:
            if instruction.name == "ARG":
                given |= {
                    name: arguments.get(name, value)
                    for name, value in dockerfile.assignments(instruction.text, given).items()
                }
            else:
                self._step(image, instruction, given)
        return image

    def _step(self, image: Image, instruction: Instruction, arguments: Mapping[str, str]) -> None:
        text, known = instruction.text, {**arguments, **image.environment}
        match instruction.name:
            case "RUN":
                self._run(image, text, arguments)
            case "COPY":
                self._copy(image, dockerfile.substituted(text, known).split())
            case "ENV":
                image.environment |= dockerfile.assignments(text, known)
            case "LABEL":
                image.labels |= dockerfile.assignments(text, known)
            case "WORKDIR":
                image.folder = os.path.join(image.folder, dockerfile.substituted(text, known))
                (image.root / image.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = text
            case "EXPOSE":
                image.ports += text.split()
            case "STOPSIGNAL":
                image.stop_signal = text
            case "ENTRYPOINT":
                image.entrypoint = dockerfile.command(text)
            case "CMD":
                image.command = dockerfile.command(text)
            case "HEALTHCHECK":
                image.health = dockerfile.command(text.partition(" CMD ")[2])
            case _:
                raise DockerfileError(f"{instruction.name} is not known here")

    def _run(self, image: Image, text: str, arguments: Mapping[str, str]) -> None:
        lent, resolver = image.root / LENT.lstrip("/"), image.root / "etc/resolv.conf"
        shutil.copyfile("/etc/resolv.conf", resolver)
        environment = {**arguments, **image.environment, "DEBIAN_FRONTEND": "noninteractive"}
        if HOST_AUTHORITIES.is_file():
            shutil.copyfile(HOST_AUTHORITIES, lent)
            environment["PIP_CERT"] = LENT
        script = f"cd '{image.folder}' && {text}"
        command = roots.inside(image.root, "/bin/sh", "-c", script, user=image.user)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        finally:
            lent.unlink(missing_ok=True)
            resolver.unlink(missing_ok=True)
        if done.returncode:
            raise DockerfileError(
                f"RUN {text}\nexit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            )

    def _copy(self, image: Image, words: list[str]) -> None:
        source = self._context
        if words[0].startswith("--from="):
            source = self._made[words.pop(0).partition("=")[2]].root
        *names, last = words
        target = image.root / os.path.join(image.folder, last).lstrip("/")
        for name in names:
            origin = source / name.lstrip("/")
            if origin.is_dir():
                shutil.copytree(origin, target, symlinks=True, dirs_exist_ok=True)
            else:
                place = target / origin.name if last.endswith("/") else target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin, place)
