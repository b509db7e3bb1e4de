"""Entry point of the learning image: ``python -m pipeline train`` or ``serve``, as SageMaker calls it."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from ahiflow.errors import AhiflowError
from ahiflow.pipeline_contract import container_root


def main(arguments: list[str] | None = None) -> int:
    """Run. An AhiflowError is one line and exit code 1; ``output/failure`` becomes the job's FailureReason."""
    parser = argparse.ArgumentParser(prog="python -m pipeline")
    parser.add_argument("command", choices=("train", "serve"))
    command = parser.parse_args(arguments).command
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch is imported: waiting threads must not spin
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    root = container_root(os.environ)
    try:
        if command == "train":
            from pipeline.training.run import run

            run(root)
        else:
            from pipeline.inference.server import serve

            serve(root, os.environ)
    except AhiflowError as error:
        logging.getLogger(__name__).error("%s", error)
        failure = root / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
