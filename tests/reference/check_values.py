"""Checks that values.h and values.py make the same bits: exits 1 where they do not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import values

PROGRAM = r"""
#include <cstdio>
#include "values.h"
int main() {
  using namespace folio::reference;
  auto write = [](const auto& v) { fwrite(v.data(), sizeof(v[0]), v.size(), stdout); };
  for (uint64_t seed : {0, 1, 1000, 123456}) {
    write(values<double>(seed, 5000, 0.3, 1.7));
    write(values<float>(seed, 5000, 0.125, 1));
    write(tokens(seed, 5000, 65));
  }
}
"""


def main():
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "values.cc", Path(folder) / "values"
        source.write_text(PROGRAM)
        subprocess.run(
            [
                os.environ.get("CXX", "c++"),
                "-std=c++20",
                "-O2",
                "-ffp-contract=off",
                f"-I{Path(__file__).parent}",
                str(source),
                "-o",
                str(program),
            ],
            check=True,
        )
        made = subprocess.run([program], capture_output=True, check=True).stdout
    expected = b"".join(
        part.tobytes()
        for seed in (0, 1, 1000, 123456)
        for part in (
            values.values(seed, 5000, 0.3, 1.7),
            values.values(seed, 5000, 0.125, 1.0).astype(np.float32),
            values.tokens(seed, 5000, 65).astype(np.int32),
        )
    )
    if made != expected:
        sys.exit("values.h and values.py differ")
    print("values.h and values.py agree")


if __name__ == "__main__":
    main()
