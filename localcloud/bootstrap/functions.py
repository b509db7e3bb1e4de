"""Lambda functions, from the zips that are shipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ahiflow.errors import ConfigurationError
from ahiflow.routes import FUNCTIONS
from ahiflow.settings import FUNCTION_SETTINGS
from localcloud.bootstrap.plan import Plan

# Seconds that one invocation may take; the queue before it hides a message as long, so it is also the pause before
# a failed message is tried again. reconcile may have to rebuild a ledger.
TIMEOUT_SECONDS: Final[Mapping[str, int]] = {**dict.fromkeys(FUNCTIONS, 30), "reconcile": 120}
_RUNTIME = "python3.12"
_MEMORY_MIB = 512


def ensure_functions(client: Any, plan: Plan, zips: Path, variables: Mapping[str, str]) -> None:
    """Make or update every function. ``variables`` holds all settings and the AWS variables.

    Raises ConfigurationError that names a missing zip or a setting that nobody provides.
    """
    for function in FUNCTIONS:
        _ensure(client, plan, function, code_of(zips, function), environment_of(function, variables))


def code_of(zips: Path, function: str) -> bytes:
    """The staged zip. Raises ConfigurationError that says how to make it."""
    path = zips / f"{function}.zip"
    if not path.is_file():
        raise ConfigurationError(
            f"the code of {function} is not staged: run `python tools/stage_assets.py lambdas --target local`"
        )
    return path.read_bytes()


def environment_of(function: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Variables of one function: its settings, AWS's, and the powertools'."""
    settings = FUNCTION_SETTINGS[function]
    if missing := settings.required_names() - variables.keys():
        raise ConfigurationError(f"nobody provides {', '.join(sorted(missing))} for the function {function}")
    wanted = {name: value for name, value in variables.items() if name in settings.names() or name.startswith("AWS_")}
    return {
        **wanted,
        "POWERTOOLS_SERVICE_NAME": function,
        "POWERTOOLS_METRICS_NAMESPACE": "ahiflow",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def _ensure(client: Any, plan: Plan, function: str, code: bytes, environment: Mapping[str, str]) -> None:
    name = plan.names.unit(function)
    settings: dict[str, Any] = {
        "Runtime": _RUNTIME,
        "Handler": f"lambdas.{function}.handler.handler",
        "Role": plan.names.role_arn("functions"),
        "Timeout": TIMEOUT_SECONDS[function],
        "MemorySize": _MEMORY_MIB,
        "Environment": {"Variables": dict(environment)},
    }
    try:
        client.get_function(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        client.create_function(FunctionName=name, Code={"ZipFile": code}, **settings)
        return
    client.update_function_code(FunctionName=name, ZipFile=code)
    client.update_function_configuration(FunctionName=name, **settings)
