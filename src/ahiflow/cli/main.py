"""The `ahiflow` command: composes the verbs; each lives in a module of its own and is imported when called."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from urllib.parse import urlsplit

import typer
from typer.core import TyperGroup

from ahiflow.errors import AhiflowError, ServiceUnavailableError

# verb -> module with `app` (a typer.Typer) or `command` (a function); imported only when the verb is used,
# so that `ahiflow status` does not wait for numpy.
_VERBS = {
    "env": "ahiflow.cli.env",
    "send": "ahiflow.cli.send",
    "status": "ahiflow.cli.status",
    "fetch": "ahiflow.cli.fetch",
    "labels": "ahiflow.cli.labels",
    "models": "ahiflow.cli.models",
    "replay": "ahiflow.cli.replay",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(_VERBS)

    def get_command(self, ctx: typer.Context, cmd_name: str):  # type: ignore[no-untyped-def,override]
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(_VERBS[cmd_name])
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="From a PACS to a trained, signed, deployed imaging model. The environment says where it runs.",
)


@app.callback()
def _options(verbose: bool = typer.Option(False, "--verbose", help="Print the trace of an error.")) -> None:
    if verbose:
        os.environ["AHIFLOW_VERBOSE"] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. An AhiflowError becomes one line on stderr and exit code 1."""
    try:
        app(args=list(arguments) if arguments is not None else None)
    except AhiflowError as error:
        if os.environ.get("AHIFLOW_VERBOSE"):
            traceback.print_exc()
        sys.stderr.write(f"ahiflow: {error}{_advice(error)}\n")
        sys.exit(1)


def _advice(error: AhiflowError) -> str:
    """What to do when the local cloud does not answer; of AWS nothing is known that its users do not know."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if isinstance(error, ServiceUnavailableError) and urlsplit(endpoint).hostname in _LOOPBACK:
        return f"; does the local cloud run at {endpoint}? `make up` starts it"
    return ""


if __name__ == "__main__":
    main()
