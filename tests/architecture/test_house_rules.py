"""House rules that a reviewer would otherwise have to look for in every change."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWED_ACCOUNTS = {"123456789012", "111122223333"}
LONGEST_FILE = 400


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_account_but_the_two_examples() -> None:
    """A twelve-digit number inside an ARN or an ECR host is an account id."""
    account = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):|(\d{12})\.dkr\.ecr\.")
    wrong = []
    for path in tracked("*.py", "*.md", "*.json", "*.toml", "*.sh", "Makefile"):
        for match in account.finditer(path.read_text()):
            if (match[1] or match[2]) not in ALLOWED_ACCOUNTS:
                wrong.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert wrong == []


def test_no_file_is_a_whole_house() -> None:
    """Small files, dumb parts: no module over 400 lines."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked("*.py")
        if (count := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_opt_ml_is_spelled_once() -> None:
    """Step programs take every path from container_root(), or they could not be run without a container."""
    users = [
        str(path.relative_to(ROOT))
        for path in tracked("src/*.py", "pipeline/*.py", "fetcher_image/*.py", "storescp/*.py", "lambdas/*.py")
        if '"/opt/ml' in path.read_text()
    ]
    assert users == ["src/ahiflow/pipeline_contract.py"]


def test_only_entry_points_read_the_environment() -> None:
    """Configuration is parsed once at the door: in entry points, settings parsing and commands only."""
    doors = re.compile(
        r"(__main__|handler|settings|environment|pipeline_contract|definition/render|fetcher_image/fetch)\.py$"
        r"|src/ahiflow/cli/"
    )
    users = [
        str(path.relative_to(ROOT))
        for path in tracked("src/*.py", "storescp/*.py", "fetcher_image/*.py", "lambdas/*.py", "pipeline/*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text()) and not doors.search(str(path))
    ]
    assert users == []
