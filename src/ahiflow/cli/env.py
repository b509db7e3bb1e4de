"""`ahiflow env`: shell lines that point any AWS client and DICOM client at the running local cloud."""

from __future__ import annotations

import json
import shlex

import typer

from ahiflow import environment
from ahiflow.errors import ConfigurationError

app = typer.Typer(add_completion=False)


@app.command()
def env(as_json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Print what points AWS and DICOM clients at the running local cloud: `eval "$(ahiflow env)"`."""
    found = environment.load(environment.state_directory())
    if dead := found.dead_processes():
        raise ConfigurationError(f"the local cloud is not running ({', '.join(dead)}): run `make up`")
    if as_json:
        typer.echo(json.dumps(found.model_dump(exclude={"shell"}), indent=2))
        return
    for name, value in found.shell.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
