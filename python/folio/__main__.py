"""`folio`: the program that lies beside this module takes the place of Python."""

import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    program = Path(__file__).resolve().parent / "bin" / "folio"
    if not program.exists():
        sys.exit(
            f"folio: {program} is missing: this is the source of the module, and the program is in "
            "the wheel (scripts/make-wheel)"
        )
    os.execv(program, ["folio", *sys.argv[1:]])


if __name__ == "__main__":
    main()
