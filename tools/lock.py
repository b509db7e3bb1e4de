"""Write requirements.lock: one resolution of every dependency group together, transitive versions included.

pip is the resolver because it is the one that finds the CPU build of torch where this project is developed
(docs/adr/0001). Local version parts (``+cpu``) are dropped: the same version is installed from wherever pip looks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
# One library, two builds: the newer codec needs Python 3.12, which the images have and a laptop may not.
MARKED = {
    "imagecodecs": (
        'imagecodecs==2026.3.6; python_version < "3.12"',
        'imagecodecs==2026.10.10; python_version >= "3.12"',
    )
}


def resolve() -> dict[str, str]:
    """Resolve all groups and extras of pyproject.toml in one go; name -> version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [argument for name in project["dependency-groups"] for argument in ("--group", name)]
    extras = ",".join(project["project"]["optional-dependencies"])
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
                *("--report", str(report), f".[{extras}]", *groups),
            ],
            cwd=ROOT,
            check=True,
        )
        installs = json.loads(report.read_text())["install"]
    return {
        item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"].partition("+")[0]
        for item in installs
    }


def main() -> None:
    """Write the lock."""
    versions = resolve()
    versions.pop("ahiflow", None)
    lines = [
        "# Written by tools/lock.py (`make lock`): every version of every group. Use as constraints: pip install -c."
    ]
    for name, version in sorted(versions.items()):
        lines.extend(MARKED.get(name, (f"{name}=={version}",)))
    LOCK.write_text("\n".join(lines) + "\n")
    print(f"{LOCK.name}: {len(versions)} packages")


if __name__ == "__main__":
    main()
