"""`make bench`: ratios to the peers installed on this machine, measured in one go; also written to build/bench.json."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from pathlib import Path

BENCHMARKS = ("decode", "receive")
RESULTS = Path(__file__).resolve().parent.parent / "build" / "bench.json"


def main() -> None:
    """Run the named benchmarks, or all. Each prints one line a measurement: what, value, ratio to its peer."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHMARKS)}; all when absent")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")
    results = {name: importlib.import_module(f"benchmarks.{name}").measure() for name in names}
    for name, rows in results.items():
        print(f"\n{name}")
        for row in rows:
            ratio = f"{row['ratio']:6.2f} x {row['peer']}" if row.get("ratio") else ""
            print(f"  {row['what']:<58} {row['value']:>9.1f} {row['unit']:<12} {ratio}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": platform.platform(), "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
