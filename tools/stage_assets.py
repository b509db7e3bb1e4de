"""Stage what is deployed: one self-contained zip per Lambda function, one Docker build context per image.

    python tools/stage_assets.py lambdas --target local|aws    build/assets/lambdas-<target>/<function>.zip
    python tools/stage_assets.py images [NAME...]              build/assets/<image>/

The CDK app and the local cloud deploy these files and nothing else, so an asset changes exactly when its content does:
zips are sorted and carry one fixed timestamp, and work whose inputs did not change is skipped.

A zip holds ``lambdas/__init__.py``, ``lambdas/<function>/``, the light half of ``ahiflow`` and the dependencies of
group ``lambdas``; its handler is ``lambdas.<function>.handler.handler``. A build context holds ``Dockerfile``,
``requirements.txt`` (``pip install -r`` it: it names ``constraints.txt``, a copy of the lock), ``src/ahiflow/`` and the
image's package folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "build"
ASSETS: Final = BUILD / "assets"
LOCK: Final = ROOT / "requirements.lock"

sys.path.insert(0, str(ROOT / "src"))
from ahiflow.pipeline_contract import IMAGE_FETCHER, IMAGE_FOLDERS, IMAGE_LEARNING, IMAGE_STORESCP  # noqa: E402
from ahiflow.routes import FUNCTIONS  # noqa: E402

TARGETS: Final = ("local", "aws")

# The whole of botocore's service models is 27 MB, more than all the rest of a zip; these are what the functions call.
# A smaller zip starts faster, on Lambda and in the local cloud (which unpacks it).
# The X-Ray SDK under powertools' tracer builds a client of its own.
BOTOCORE_SERVICES: Final = frozenset(
    {"dynamodb", "kms", "medical-imaging", "s3", "sagemaker", "sagemaker-runtime", "xray"}
)
# Read by botocore for every client, whatever the service.
BOTOCORE_COMMON: Final = frozenset(
    {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"}
)
# Parts of the library that no function may use: for a person's machine, or behind the extra `pixels`.
HEAVY_LIBRARY: Final = frozenset({"cli", "fetching", "pixels"})
# A function is not called from a shell, is not type-checked and is not uninstalled; boto3/examples are documentation.
DROPPED_NAMES: Final = frozenset(
    {"__pycache__", "bin", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "examples"}
)
DROPPED_SUFFIXES: Final = (".pyc", ".pyi")
# The Lambda run-time that the stacks choose (infra: Runtime.PYTHON_3_12, x86_64).
AWS_PLATFORM: Final = (
    "--platform=manylinux2014_x86_64",
    "--python-version=3.12",
    "--implementation=cp",
    "--only-binary=:all:",
)
# Every wheel that exists for manylinux2014 runs there too under its older or newer tag.
AWS_EXTRA_PLATFORMS: Final = ("--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_17_x86_64")
IMAGE_GROUPS: Final[Mapping[str, str]] = {
    IMAGE_STORESCP: "storescp",
    IMAGE_FETCHER: "fetcher",
    IMAGE_LEARNING: "learning",
}
# The command is for a person's machine; the definition needs the SageMaker SDK and is rendered before deployment.
IMAGE_LEAVES_OUT: Final = frozenset({"src/ahiflow/cli", "pipeline/definition"})
ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


class StagingError(Exception):
    """Something that must exist does not; the message says what to do."""


def requirements(group: str) -> list[str]:
    """Direct requirements of a deployable: the library's own and those of its group, ``ahiflow[extra]`` expanded."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [*project["project"]["dependencies"], *project["dependency-groups"][group]]
    expanded: list[str] = []
    for line in listed:
        if line.startswith("ahiflow["):
            expanded += project["project"]["optional-dependencies"][line.removeprefix("ahiflow[").removesuffix("]")]
        else:
            expanded.append(line)
    return sorted(expanded)


def stage_lambdas(target: str, functions: Sequence[str] = FUNCTIONS) -> list[Path]:
    """Write the zip of every function; returns their paths. A function without a handler raises StagingError."""
    dependencies = _install_dependencies(target)
    shared = {**_tree(dependencies, _ships_in_zip), **_tree(ROOT / "src", _is_light_library)}
    folder = ASSETS / f"lambdas-{target}"
    folder.mkdir(parents=True, exist_ok=True)
    zips = []
    for function in functions:
        source = ROOT / "lambdas" / function
        if not (source / "handler.py").is_file():
            raise StagingError(f"no handler: lambdas/{function}/handler.py")
        own = {f"lambdas/{function}/{name}": path for name, path in _tree(source, _ships).items()}
        files = {**shared, "lambdas/__init__.py": ROOT / "lambdas" / "__init__.py", **own}
        zips.append(_write_if_changed(folder / f"{function}.zip", files))
    return zips


def stage_image(image: str) -> Path:
    """Write the Docker build context of one image; returns its folder."""
    folder = IMAGE_FOLDERS[image]
    if not (ROOT / folder / "Dockerfile").is_file():
        raise StagingError(f"no Dockerfile: {folder}/Dockerfile")
    if not LOCK.is_file():
        raise StagingError(f"no {LOCK.name}: run `make lock` first (an image is built from exact versions only)")
    files = {
        name: ROOT / name
        for top in ("src/ahiflow", folder)
        for name in (f"{top}/{inner}" for inner in _tree(ROOT / top, _ships))
        if not any(name.startswith(f"{left_out}/") for left_out in IMAGE_LEAVES_OUT)
    }
    target = ASSETS / image
    with tempfile.TemporaryDirectory(dir=_made(BUILD)) as temporary:
        fresh = Path(temporary) / image
        for name, path in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, fresh / name)
        shutil.copy(ROOT / folder / "Dockerfile", fresh / "Dockerfile")
        shutil.copy(LOCK, fresh / "constraints.txt")
        lines = ["-c constraints.txt", *requirements(IMAGE_GROUPS[image])]
        (fresh / "requirements.txt").write_text("\n".join(lines) + "\n")
        if not target.is_dir() or _digest(_tree(fresh, _anything)) != _digest(_tree(target, _anything)):
            shutil.rmtree(target, ignore_errors=True)
            _made(ASSETS)
            fresh.rename(target)
    return target


def _install_dependencies(target: str) -> Path:
    """Install group ``lambdas`` once per (target, versions, interpreter); returns the folder, to be read only."""
    wanted = requirements("lambdas")
    constraints = LOCK.read_bytes() if LOCK.is_file() else b""
    interpreter = (
        ["3.12", "aws"] if target == "aws" else [sys.implementation.cache_tag or "", sys.platform, os.uname().machine]
    )
    key = hashlib.sha256(json.dumps([wanted, interpreter]).encode() + constraints).hexdigest()[:16]
    folder = BUILD / "cache" / "lambda-dependencies" / f"{target}-{key}"
    if folder.is_dir():
        return folder
    _made(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        fresh = Path(temporary) / "site"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(fresh)]
        command += ["-c", str(LOCK)] if constraints else []
        command += [*AWS_PLATFORM, *AWS_EXTRA_PLATFORMS] if target == "aws" else []
        subprocess.run([*command, *wanted], check=True)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process installed the same versions first
                raise
    return folder


def _write_if_changed(target: Path, files: Mapping[str, Path]) -> Path:
    """Write a deterministic zip unless the one there was made from the same content."""
    stamp = target.with_suffix(".sha256")
    digest = _digest(files)
    if target.is_file() and stamp.is_file() and stamp.read_text() == digest:
        return target
    with (
        tempfile.NamedTemporaryFile(dir=target.parent, suffix=".new", delete=False) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name].read_bytes())
    stamp.unlink(missing_ok=True)
    Path(temporary.name).chmod(0o644)
    Path(temporary.name).replace(target)
    stamp.write_text(digest)
    return target


def _digest(files: Mapping[str, Path]) -> str:
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _tree(top: Path, wanted: Callable[[Sequence[str]], bool]) -> dict[str, Path]:
    return {"/".join(parts): path for parts, path in _walk(top) if wanted(parts)}


def _walk(top: Path) -> Iterator[tuple[Sequence[str], Path]]:
    for path in top.rglob("*"):
        if path.is_file():
            yield path.relative_to(top).parts, path


def _anything(parts: Sequence[str]) -> bool:
    return True


def _ships(parts: Sequence[str]) -> bool:
    return "__pycache__" not in parts and not parts[-1].endswith(".pyc") and not parts[0].endswith(".egg-info")


def _ships_in_zip(parts: Sequence[str]) -> bool:
    if DROPPED_NAMES.intersection(parts) or parts[-1].endswith(DROPPED_SUFFIXES):
        return False
    if parts[:2] == ("botocore", "data"):
        return parts[2] in BOTOCORE_SERVICES | BOTOCORE_COMMON
    return True


def _is_light_library(parts: Sequence[str]) -> bool:
    return _ships(parts) and parts[0] == "ahiflow" and not HEAVY_LIBRARY.intersection(parts[1:2])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Stage what the arguments name; one line per asset. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="stage_assets", description="Stage Lambda zips and Docker build contexts.")
    what = parser.add_subparsers(dest="what", required=True)
    lambdas = what.add_parser("lambdas")
    lambdas.add_argument("--target", choices=TARGETS, required=True)
    lambdas.add_argument("functions", nargs="*", metavar="FUNCTION", help="default: all")
    images = what.add_parser("images")
    images.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.what == "lambdas":
            paths = stage_lambdas(chosen.target, chosen.functions or FUNCTIONS)
        else:
            if unknown := sorted(set(chosen.names) - set(IMAGE_FOLDERS)):
                raise StagingError(f"no such image: {', '.join(unknown)} (there are {', '.join(IMAGE_FOLDERS)})")
            paths = [stage_image(image) for image in (chosen.names or IMAGE_FOLDERS)]
    except StagingError as error:
        print(f"stage_assets: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"stage_assets: pip could not install the functions' dependencies (exit {error.returncode})",
            file=sys.stderr,
        )
        return 1
    for path in paths:
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
