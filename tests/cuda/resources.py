#!/usr/bin/env python3
"""Registers, spills, stack and static shared memory of every kernel in core/cuda, from ptxas.

Compiles each .cu for sm_80, sm_90 and sm_100 and compares with resources.txt beside this file. Fails
where a kernel takes more of anything than its line says, and where a kernel has no line or a line no
kernel. --update writes the table anew: its diff shows what a change costs.

The figures are those of one release of nvcc; with another nothing is compared, and the exit status is
77, which CTest takes for skipped.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).with_suffix(".txt")
ARCHITECTURES = (80, 90, 100)
# As a build with FOLIO_CUDA=ON compiles them (CMakeLists.txt).
FLAGS = (
    "-std=c++20 --expt-relaxed-constexpr --extended-lambda -Werror=all-warnings -O3 -DNDEBUG"
    " -DFMT_USE_CONSTEXPR=1 -DFMT_SHARED"
).split()
FLAGS_OF = {"norms.cu": ["-fmad=false"], "norms_grad.cu": ["-fmad=false"]}

Use = collections.namedtuple("Use", "registers spilled stack shared")  # the last three in bytes


def release_of(nvcc):
    text = subprocess.run([nvcc, "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"V([\d.]+)", text)[1]


def short_name(demangled):
    """'void folio::cuda::f<float>(float*)' -> 'f<float>'; a lambda's keeps the function it is in."""
    name = re.sub(r"folio::|cuda::|_GLOBAL__N__\w+?::|\(anonymous namespace\)::", "", demangled)
    name = re.sub(r"\{lambda\([^(){}]*\)#(\d+)\}", r"lambda\1", name)
    while True:  # the parameters, from the innermost parentheses outwards
        shorter = re.sub(r"(?<!operator)\([^()]*\)( const)?", "", name)
        if shorter == name:
            return name.removeprefix("void ")
        name = shorter


def kernels_of(source, nvcc):
    """{(architecture, name): Use} of the kernels in one file."""
    with tempfile.TemporaryDirectory() as folder:
        flags = FLAGS + FLAGS_OF.get(pathlib.Path(source).name, [])
        command = [nvcc, *flags, f"-I{ROOT}", "-Xptxas", "-v", "-fatbin", "-o", f"{folder}/out"]
        for number in ARCHITECTURES:
            command.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        done = subprocess.run([*command, source], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} {source}\n{done.stdout}{done.stderr}")
    found = re.findall(
        r"Compiling entry function '(\w+)' for 'sm_(\d+)'\n"
        r".*Function properties for \1\n"
        r" *(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
        r".*Used (\d+) registers(.*)\n",
        done.stderr,
    )
    entries = done.stderr.count("Compiling entry function")
    if len(found) != entries:
        sys.exit(f"{source}: {entries} kernels, but figures of {len(found)}:\n{done.stderr}")
    names = subprocess.run(
        ["c++filt"], input="\n".join(one[0] for one in found), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    kernels = {}
    for name, (_, number, stack, stores, loads, registers, rest) in zip(names, found):
        shared = re.search(r"(\d+) bytes smem", rest)
        key = int(number), f"{source.name} {short_name(name)}"
        if key in kernels:
            sys.exit(f"{source}: two kernels have the name {key[1]}; one is {name}")
        kernels[key] = Use(
            int(registers), int(stores) + int(loads), int(stack), int(shared[1]) if shared else 0
        )
    return kernels


def kernels_now(nvcc, files):
    sources = [path for path in (ROOT / "core/cuda").rglob("*.cu") if not files or path.name in files]
    if missing := set(files) - {path.name for path in sources}:
        sys.exit(f"core/cuda has no {', '.join(sorted(missing))}")
    sources.sort(key=lambda path: -path.stat().st_size)
    kernels = {}
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for of_source in pool.map(lambda source: kernels_of(source, nvcc), sources):
            kernels |= of_source
    return kernels


def of_files(kernels, files):
    return {key: use for key, use in kernels.items() if not files or key[1].split()[0] in files}


def write_table(kernels, release):
    lines = [
        f"nvcc {release}",
        "   sm registers  spilled    stack   shared  kernel",
    ]
    for (number, name), use in sorted(kernels.items(), key=lambda item: (item[0][1], item[0][0])):
        lines.append(f"{number:5}{''.join(f'{figure:9} ' for figure in use)} {name}")
    TABLE.write_text("\n".join(lines) + "\n")


def read_table():
    release, _, *lines = TABLE.read_text().splitlines()
    kernels = {}
    for line in lines:
        number, *figures, name = line.split(None, 5)
        kernels[int(number), name] = Use(*map(int, figures))
    return release.removeprefix("nvcc "), kernels


def compare(kernels, table):
    """What is worse than in the table, a sentence each."""
    for key in sorted(kernels.keys() | table.keys(), key=lambda key: key[::-1]):
        where = f"sm_{key[0]} {key[1]}"
        if key not in table:
            yield f"{where}: is not in the table"
        elif key not in kernels:
            yield f"{where}: is in the table, but no kernel any more"
        else:
            for what, now, then in zip(Use._fields, kernels[key], table[key]):
                if now > then:
                    yield f"{where}: {what} {now}, in the table {then}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    parser.add_argument("--update", action="store_true", help="write the table anew")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    release = release_of(options.nvcc)
    of_release, table = read_table() if TABLE.exists() else (release, {})
    if of_release != release and (options.files or not options.update):
        print(f"the table is of nvcc {of_release}, this is {release}: nothing compared")
        sys.exit(77)
    kernels = kernels_now(options.nvcc, options.files)
    before = of_files(table, options.files)
    if options.update:
        kept = {key: use for key, use in table.items() if key not in before}
        write_table(kept | kernels, release)
        return
    worse = list(compare(kernels, before))
    if worse:
        print(*worse, sep="\n")
        sys.exit(f"{len(worse)} figures are worse; if that is meant: {sys.argv[0]} --update")


if __name__ == "__main__":
    main()
