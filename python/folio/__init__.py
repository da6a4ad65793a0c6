"""What folio writes, as NumPy arrays: checkpoints, logs and captures.

The program itself comes with this package: `folio` on the command line, or `python3 -m folio`.
"""

from folio.checkpoint import Checkpoint
from folio.errors import Error
from folio.inspection import read_captures, read_inspection
from folio.run import read_inside, read_log, read_samples

__all__ = [
    "Checkpoint",
    "Error",
    "read_captures",
    "read_inside",
    "read_inspection",
    "read_log",
    "read_samples",
]
