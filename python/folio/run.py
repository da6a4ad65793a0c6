"""The files of a run's folder beside its checkpoints."""

import csv
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Union

import numpy as np
from numpy.typing import NDArray

from folio.errors import Error

PathLike = Union[str, "os.PathLike[str]"]


def read_log(path: PathLike) -> Dict[str, NDArray[Any]]:
    """Columns of log.csv by name: "iter" int64, all others float64, NaN where a row lacks one.

    Rows with a val_loss are evaluations, the others logged steps. A last row that was cut off, as a
    killed run leaves it, is passed over.
    """
    text = _text_of(path)
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.reader(whole.splitlines()))
    if not rows or rows[0][:1] != ["iter"]:
        raise Error(f"{path}: no log of folio: its first line should begin with iter")
    names = rows[0]
    columns: Dict[str, List[float]] = {name: [] for name in names}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise Error(f"{path}:{number}: has {len(row)} fields, its first line {len(names)}")
        for name, field in zip(names, row):
            try:
                columns[name].append(float(field) if field else np.nan)
            except ValueError:
                raise Error(f"{path}:{number}: {name} is no number: {field!r}") from None
    return {
        name: np.asarray(values, np.int64 if name == "iter" else np.float64)
        for name, values in columns.items()
    }


def read_samples(path: PathLike) -> List[Dict[str, Any]]:
    """The rows of samples.jsonl: what a run's model wrote at each evaluation."""
    return _json_lines(path)


def read_inside(path: PathLike) -> Dict[str, NDArray[Any]]:
    """inside.jsonl over E evaluations, as arrays.

    iter [E]; layer and head [H] of each head; previous, same, first and induction [E, H], the
    scores of the heads; loss_by_position [E, bands]; spread [E, points], the standard deviation of
    the residual stream.
    """
    lines = _json_lines(path)
    try:
        heads = np.asarray([line["scores"] for line in lines], np.float64)
        result: Dict[str, NDArray[Any]] = {
            "iter": np.asarray([line["iter"] for line in lines], np.int64),
            **{
                name: np.asarray([line[name] for line in lines], np.float64)
                for name in ("loss_by_position", "spread")
            },
        }
        if heads.size:
            result["layer"] = heads[0, :, 0].astype(np.int64)
            result["head"] = heads[0, :, 1].astype(np.int64)
            for i, name in enumerate(("previous", "same", "first", "induction"), start=2):
                result[name] = heads[:, :, i]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Error(f"{path}: its lines are not all what a run of folio writes: {error}") from error
    return result


def _json_lines(path: PathLike) -> List[Dict[str, Any]]:
    lines = []
    for number, line in enumerate(_text_of(path).split("\n")[:-1], start=1):  # the last: cut off
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise Error(f"{path}:{number}: not JSON: {error}") from error
    return lines


def _text_of(path: PathLike) -> str:
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Error(f"{path}: not text: {error}") from error
