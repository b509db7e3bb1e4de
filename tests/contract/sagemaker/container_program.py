"""What the test image runs: a few small things that a container does. Standard library only."""

from __future__ import annotations

import http.server
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(os.environ["AHIFLOW_CONTAINER_ROOT"])


def main(argv: list[str]) -> int:
    command = argv[0]
    if command == "train":
        return train()
    if command == "serve":
        return serve()
    output = ROOT / "processing" / "output"
    if command == "write":  # write <file> <text>
        (output / argv[1]).parent.mkdir(parents=True, exist_ok=True)
        (output / argv[1]).write_text(argv[2])
    elif command == "environment":
        (output / "environment.json").write_text(json.dumps(dict(os.environ)))
        (output / "facts.json").write_text(json.dumps({"cwd": str(Path.cwd()), "argv": argv}))
    elif command == "tree":
        found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
        (output / "tree.json").write_text(json.dumps(found))
    elif command == "fail":  # fail <message>
        (ROOT / "output" / "message").write_text(argv[1])
        return 3
    elif command == "wait":  # wait <file outside>: until it is there
        wait_for(Path(argv[1]))
    return 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def train() -> int:
    config = ROOT / "input" / "config"
    hyperparameters = json.loads((config / "hyperparameters.json").read_text())
    checkpoint = ROOT / "checkpoints" / "last.txt"
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(start, int(hyperparameters["epochs"])):
        say(f"epoch={epoch} loss={1 / (epoch + 1):.3f}")
        if checkpoint.parent.is_dir():
            checkpoint.write_text(str(epoch + 1))
    if "wait_for" in hyperparameters:
        wait_for(Path(hyperparameters["wait_for"]))
    if "failure" in hyperparameters:
        (ROOT / "output" / "failure").write_text(hyperparameters["failure"])
        return 1
    facts = {
        "job": os.environ["TRAINING_JOB_NAME"],
        "arn": os.environ["TRAINING_JOB_ARN"],
        "started_at": start,
        "channels": json.loads((config / "inputdataconfig.json").read_text()),
        "resources": json.loads((config / "resourceconfig.json").read_text()),
        "files": sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "input" / "data").rglob("*") if p.is_file()),
    }
    (ROOT / "model" / "model.json").write_text(json.dumps(facts))
    (ROOT / "output" / "data" / "curves.json").write_text("[1, 0.5]")
    return 0


def serve() -> int:
    model = json.loads((ROOT / "model" / "model.json").read_text())
    if model.get("broken"):
        say("cannot load the model: broken on purpose")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200 if self.path == "/ping" else 404, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if body == b"crash":
                self._answer(500, b"the model failed")
                return
            answer: dict[str, Any] = {"echo": body.decode(), "type": self.headers["Content-Type"], "model": model}
            answer["accept"] = self.headers["Accept"]
            self._answer(200, json.dumps(answer).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    address = ("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
