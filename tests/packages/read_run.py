"""read_run.py VERSION: the wheel's module reads what its program left in /tmp/tiny/out."""

import importlib.metadata
import subprocess
import sys

import folio
import numpy

assert importlib.metadata.version("folio") == sys.argv[1]
said = subprocess.run([sys.executable, "-m", "folio", "--version"], capture_output=True, text=True)
assert said.stdout.startswith(f"folio {sys.argv[1]}\n"), said
# Where mpirun started it: what to do instead.
mpi = subprocess.run([sys.executable, "-m", "folio", "train", "--dataset=tiny"], cwd="/tmp/tiny",
                     env={"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
                     capture_output=True, text=True)
assert mpi.returncode == 1 and "this build of folio has no MPI" in mpi.stderr, mpi
with folio.Checkpoint("/tmp/tiny/out/ckpt.h5") as checkpoint:
    wte = checkpoint.parameter("transformer.wte.weight")
    assert wte.shape == (checkpoint.config["vocab_size"], 128) and wte.dtype == numpy.float32
    assert checkpoint.attributes["iter_num"] == 30
losses = folio.read_log("/tmp/tiny/out/log.csv")["val_loss"]
assert losses[~numpy.isnan(losses)][-1] < losses[0]
print("the module reads the run")
