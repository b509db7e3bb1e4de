"""Container images by URI, started from this checkout: the image's own Dockerfile says how."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ahiflow.errors import ConfigurationError
from ahiflow.pipeline_contract import IMAGE_FOLDERS
from localcloud.sagemaker.dockerfile import ImageStart, read_image_start
from localcloud.sagemaker.errors import JobFailedError

_URI = re.compile(
    r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/ahiflow/([a-z0-9_-]+)(?::[\w.-]+|@sha256:[0-9a-f]{64})?"
)
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
# Of the container's file system or of the interpreter inside it: wrong here.
_CONTAINER_ONLY = frozenset({"PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})


@dataclass(frozen=True, slots=True)
class Image:
    """What starts in a container of this image. ``folder`` is the working directory."""

    start: ImageStart
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """ENV of the Dockerfile, without what only makes sense inside the container."""
        return {key: value for key, value in self.start.environment.items() if key not in _CONTAINER_ONLY}

    def processing_argv(self, entrypoint: list[str] | None, arguments: list[str] | None) -> list[str]:
        """Argv of a processing job: AppSpecification overrides ENTRYPOINT and CMD, as Docker's own options do."""
        first = entrypoint or list(self.start.entrypoint)
        second = arguments or ([] if entrypoint else list(self.start.command))
        return program_argv([*first, *second])

    def command_argv(self, command: str) -> list[str]:
        """Argv of ``docker run <image> train`` (or ``serve``): the argument replaces CMD."""
        return program_argv([*self.start.entrypoint, command])


@dataclass(frozen=True, slots=True)
class Images:
    """The registry: URI -> image. ``overrides`` maps a whole URI to an image of a test's own."""

    root: Path
    folders: Mapping[str, str] = field(default_factory=lambda: IMAGE_FOLDERS)
    overrides: Mapping[str, Image] = field(default_factory=dict)

    def get(self, uri: str) -> Image:
        """The image. Raises JobFailedError in the service's words when there is none or it cannot be started."""
        if uri in self.overrides:
            return self.overrides[uri]
        match = _URI.fullmatch(uri)
        if match is None or match[1] not in self.folders:
            known = ", ".join(f"ahiflow/{name}" for name in self.folders)
            raise JobFailedError(f"ClientError: Cannot find repository of the image {uri}. Images here: {known}.")
        folder = self.folders[match[1]]
        dockerfile = self.root / folder / "Dockerfile"
        try:
            start = read_image_start(dockerfile.read_text(), f"{folder}/Dockerfile")
        except (OSError, ConfigurationError) as error:
            raise JobFailedError(f"ClientError: Cannot start the image {uri}: {error}") from error
        return Image(start, self.root)


def program_argv(argv: list[str]) -> list[str]:
    """Replace a leading ``python`` by this interpreter. Raises JobFailedError when there is no program at all."""
    if not argv:
        raise JobFailedError("ClientError: The image has neither ENTRYPOINT nor CMD, and the job names no program.")
    if _PYTHON.fullmatch(Path(argv[0]).name):
        return [sys.executable, *argv[1:]]
    return argv
