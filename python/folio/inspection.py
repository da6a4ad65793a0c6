"""What `folio inspect` writes as numbers."""

import base64
import binascii
import json
import zipfile
from pathlib import Path
from typing import Any, Dict

import numpy as np
from numpy.typing import NDArray

from folio.errors import Error
from folio.run import PathLike


def read_inspection(path: PathLike) -> Dict[str, Any]:
    """The object of `folio inspect --json=FILE`, its arrays as float32.

    What each key holds: docs/inspect-json.md.
    """
    try:
        numbers = json.loads(Path(path).read_text("ascii"), object_hook=_array_or_object)
    except (UnicodeDecodeError, ValueError, RecursionError, binascii.Error) as error:
        raise Error(f"{path}: no JSON of folio inspect: {error}") from error
    if not isinstance(numbers, dict) or numbers.get("format") != "folio inspect 1":
        raise Error(f'{path}: its "format" should be "folio inspect 1"')
    return numbers


def read_captures(path: PathLike) -> Dict[str, NDArray[Any]]:
    """Every tensor of `folio inspect --npz=FILE`, by TransformerLens' names."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise Error(f"{path}: no .npz of folio inspect: {error}") from error


def _array_or_object(value: Dict[str, Any]) -> Any:
    if value.keys() != {"shape", "f32"}:
        return value
    numbers = np.frombuffer(base64.b64decode(value["f32"], validate=True), "<f4")
    return numbers.reshape(value["shape"])
