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
    up = commands.add_parser("up", help="start the local cloud and the receiver and leave them running")
    up.add_argument("--port", type=int, help="port of the AWS endpoint; default: the last one, else a free one")
    up.add_argument("--dicom-port", type=int, help="port of the receiver; default: the last one, else a free one")
    down = commands.add_parser("down", help="stop what `up` started")
    status = commands.add_parser("status", help="say what runs; exit code 1 unless everything does")
    for command in (serve, up, down, status):
        command.add_argument("--state", type=Path, help="state directory; default $AHIFLOW_STATE or .ahiflow")
    return parser


def _serve(options: argparse.Namespace, state: Path) -> int:
    from localcloud import serving
    from localcloud.services import OWN_SERVICES

    named = options.service or list(OWN_SERVICES)
    services = [] if named == ["none"] else named
    serving.serve(
        serving.Options(state=state, port=options.port, services=services, bootstrap=not options.only_services)
    )
    return 0


def _up(options: argparse.Namespace, state: Path) -> int:
    from localcloud import updown

    updown.up(state, updown.Ports(cloud=options.port, dicom=options.dicom_port), _say)
    return 0


def _down(options: argparse.Namespace, state: Path) -> int:
    from localcloud import updown

    updown.down(state, _say)
    return 0


def _status(options: argparse.Namespace, state: Path) -> int:
    from localcloud import updown

    return 0 if updown.status(state, _say) else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


_COMMANDS = {"serve": _serve, "up": _up, "down": _down, "status": _status}


if __name__ == "__main__":
    sys.exit(main())
