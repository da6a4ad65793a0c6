"""What the comparisons share: a Python that has PyTorch, processes that answer in JSON, tables."""

import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("pytorch_baseline.py")
PACKAGES = ["torch==2.15.0", "numpy", "transformers==5.24.0"]


def add_common_arguments(parser):
    parser.add_argument(
        "--folio", type=Path, default=ROOT / "build/folio", help="the program (build/folio)"
    )
    parser.add_argument(
        "--python",
        help="a Python with torch, numpy and transformers; default: this one if it has "
        "them, else one made in .venv-bench",
    )
    parser.add_argument(
        "--threads", type=int, default=cores(), help="for both sides"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns that each side takes")
    parser.add_argument(
        "--quick", action="store_true", help="one round, few iterations: a smoke test"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every figure there as well"
    )


def cores():
    return len(os.sched_getaffinity(0))


def check_program(path):
    if not path.exists():
        sys.exit(f"{path} is not there: cmake --preset release && cmake --build --preset release")


def pytorch_python(given):
    """A Python that imports what the baselines need."""
    for candidate in [given] if given else [sys.executable, ROOT / ".venv-bench/bin/python"]:
        if Path(candidate).exists() and has_packages(candidate):
            return str(candidate)
    if given:
        sys.exit(f"{given} cannot import torch, numpy and transformers: install {' '.join(PACKAGES)} there")
    folder = ROOT / ".venv-bench"
    print(f"installing {' '.join(PACKAGES)} in {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
    return str(folder / "bin/python")


def has_packages(python):
    command = [python, "-c", "import torch, numpy, transformers"]
    return subprocess.run(command, capture_output=True).returncode == 0


def run(command, threads):
    """What `command` prints. The caches of torch.compile are kept in .cache, so that only the first
    run pays for compiling."""
    command = [str(word) for word in command]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_CACHE_DIR": str(ROOT / ".cache/torchinductor"),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stdout[-2000:] + done.stderr[-4000:]
        sys.exit(f"{' '.join(command)}\nexited {done.returncode}:\n{said}")
    return done.stdout


def run_json(command, threads):
    """The object that `command` prints on its last line."""
    return json.loads(run(command, threads).strip().splitlines()[-1])


def pytorch(python, threads, *arguments):
    return run_json([python, BASELINE, *arguments, f"--threads={threads}"], threads)


def median(results, key):
    return statistics.median(result[key] for result in results)


def paired_ratio(ours, theirs):
    """The median over rounds of ours / theirs, so that a slow minute of the machine hits both."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def write_figures(path, threads, rows):
    figures = {"cpu": cpu_name(), "threads": threads, "rows": rows}
    path.write_text(json.dumps(figures, indent=1) + "\n")


def print_table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
