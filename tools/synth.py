"""Everything behind `make synth`: `STAGE=dev .venv-build/bin/python -m tools.synth`.

Checks that the committed pipeline definition is the rendered one, stages what is deployed, synthesises the CDK app
into ``build/cdk.out/<stage>`` (with cdk-nag: a finding of AwsSolutions without a reason fails) and runs cfn-lint.
No credentials, no Docker; the network is used only to download the functions' dependencies once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DEFINITION: Final = "pipeline/definition/pipeline.json"
INPUTS: Final = ("app.py", "config.py", "cdk.json", "tools/synth.py", DEFINITION, "infra/**/*.py", "src/ahiflow/*.py")
LEDGER_SCHEMA: Final = "src/ahiflow/ledger/schema.py"
STAMP: Final = "inputs.sha256"
# W3005: a DependsOn that a Ref already implies. CDK writes these by itself; they change nothing.
ACCEPTED_LINTS: Final = "W3005"


class SynthesisError(Exception):
    """A step failed; the message is what to read."""


def output_folder(stage: str) -> Path:
    """Where a stage's templates are."""
    return ROOT / "build" / "cdk.out" / stage


def inputs_digest() -> str:
    """SHA-256 of everything that the templates follow from, but for the content of assets."""
    files = {
        path for pattern in (*INPUTS, LEDGER_SCHEMA) for path in ROOT.glob(pattern) if "node_modules" not in path.parts
    }
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def is_current(stage: str) -> bool:
    """Whether the templates of a stage were made from what is in the tree now."""
    stamp = output_folder(stage) / STAMP
    return stamp.is_file() and stamp.read_text() == inputs_digest()


def synthesise(stage: str) -> Iterator[str]:
    """Do everything; yields one line for each step that is done. Raises SynthesisError."""
    digest = inputs_digest()
    folder = output_folder(stage)
    shutil.rmtree(folder, ignore_errors=True)
    environment = _environment(stage, folder)
    rendering = _start([sys.executable, "-m", "pipeline.definition.render", "--check"], environment)
    try:
        started = time.monotonic()
        for arguments in (["lambdas", "--target", "aws"], ["images"]):
            _run("staging assets", [sys.executable, "tools/stage_assets.py", *arguments], environment)
        yield _line("assets", started, "Lambda zips and Docker build contexts in build/assets")
        started = time.monotonic()
        _run("the synthesis", [sys.executable, "app.py"], environment)
        templates = sorted(folder.glob("*.template.json"))
        resources = sum(len(json.loads(path.read_text())["Resources"]) for path in templates)
        yield _line("synth", started, f"{len(templates)} stacks, {resources} resources in {folder.relative_to(ROOT)}")
        yield f"  {'cdk-nag':<10} no finding without a reason; {_accepted(folder)} accepted with one"
        started = time.monotonic()
        lint = str(Path(sys.executable).parent / "cfn-lint")
        _run("cfn-lint", [lint, "--ignore-checks", ACCEPTED_LINTS, "--", *map(str, templates)], environment)
        yield _line("cfn-lint", started, "no error, no warning")
        started = time.monotonic()
        _finish(rendering, "the check of the pipeline definition")
        yield _line("definition", started, f"{DEFINITION} is what the SDK renders")
    finally:
        if rendering.poll() is None:
            rendering.kill()
            rendering.communicate()
    (folder / STAMP).write_text(digest)


def main() -> int:
    """Synthesise the stage named by STAGE. Returns the exit status."""
    stage = os.environ.get("STAGE") or "dev"
    started = time.monotonic()
    print(f"synth: stage {stage}")
    try:
        for line in synthesise(stage):
            print(line, flush=True)
    except SynthesisError as error:
        print(f"synth: {error}", file=sys.stderr)
        return 1
    print(f"synth: done in {time.monotonic() - started:.0f} s")
    return 0


def _environment(stage: str, folder: Path) -> dict[str, str]:
    """The environment without anything that could be a credential."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return {
        **kept,
        "STAGE": stage,
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _start(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finish(process: subprocess.Popen[str], what: str) -> None:
    output, _ = process.communicate()
    if process.returncode:
        raise SynthesisError(f"{what} failed:\n{_readable(output)}")


def _run(what: str, command: list[str], environment: Mapping[str, str]) -> None:
    _finish(_start(command, environment), what)


def _readable(output: str) -> str:
    """What a person needs of a failed command's output: without jsii's banner about the version of Node."""
    return "\n".join(line for line in output.splitlines() if not line.startswith("b'!!")).strip()


def _accepted(folder: Path) -> int:
    """How many findings of cdk-nag were accepted with a reason, as the templates record it."""
    found = 0
    for path in folder.glob("*.template.json"):
        resources: dict[str, Any] = json.loads(path.read_text())["Resources"]
        for resource in resources.values():
            found += len(resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", []))
    return found


def _line(step: str, started: float, what: str) -> str:
    return f"  {step:<10} {what} ({time.monotonic() - started:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
