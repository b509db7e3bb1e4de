"""placeholder"""

from dataclasses import dataclass
from pathlib import Path
from collections.abc import Callable
from localcloud.report import Deployment


@dataclass
class Deployed:
    deployment: Deployment
    reconcile: Callable[[], None]


def deploy(endpoint_url: str, account_id: str, state: Path) -> Deployed:
    raise NotImplementedError
