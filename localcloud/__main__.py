"""`python -m localcloud`: the whole system on one machine, without an AWS account and without Docker."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ahiflow.environment import state_directory
from ahiflow.errors import AhiflowError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; an AhiflowError becomes one line on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    state = (options.state or state_directory(dict(os.environ))).resolve()
    # MiniStack and the libraries say at INFO what nobody asked; their warnings are wanted.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("localcloud").setLevel(logging.INFO)
    try:
        return int(_COMMANDS[options.command](options, state))
    except AhiflowError as error:
        sys.stderr.write(f"localcloud: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve in the foreground")
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--only-services", action="store_true", help="deploy nothing")
    serve.add_argument(
        "--service", action="append", metavar="MODULE:CLASS", help="own services to run; default all; `none` for none"
    )
    for command in (serve,):
        command.add_argument("--state", type=Path, help="state directory; default $AHIFLOW_STATE or .ahiflow")
    return parser


def _serve(options: argparse.Namespace, state: Path) -> int:
    from localcloud import serving
    from localcloud.services import OWN_SERVICES

    named = options.service or list(OWN_SERVICES)
    services = [] if named == ["none"] else named
    serving.serve(
        serving.Options(
            state=state, port=options.port, region="us-east-1", services=services, bootstrap=not options.only_services
        )
    )
    return 0


_COMMANDS = {"serve": _serve}


if __name__ == "__main__":
    sys.exit(main())
