"""Checkpoints: HDF5 files of a run (ckpt.h5, last.h5) and of `folio quantize`."""

import contextlib
import hashlib
import os
import struct
from types import TracebackType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Type, Union

import numpy as np
from numpy.typing import NDArray

from folio.errors import Error
from folio.packed import packed_values
from folio.run import PathLike

Attribute = Union[bool, int, float, str]

_MAGIC = b"\x89folio\r\n"  # data/hdf5/seal.h has the whole header
_SEAL_BYTES = 512


class Checkpoint(Mapping[str, NDArray[Any]]):
    """A checkpoint, as a mapping from the names of its tensors to arrays, each read when asked for.

    A run's file has "model/NAME" for each parameter, besides the optimiser's state
    ("adamw/m/NAME", ...) and the average of the weights ("ema/NAME"), if there is one;
    `parameter` also takes apart what `folio quantize` has packed. bfloat16 becomes float32.

    `verify` reads the whole file once, for its digest. Raises Error for a file that is damaged or
    no checkpoint of folio, OSError for one that cannot be opened.
    """

    def __init__(self, path: PathLike, verify: bool = True) -> None:
        try:
            import h5py
        except ImportError as error:
            raise ImportError(
                "folio.Checkpoint reads HDF5 with h5py, which is missing: pip install h5py, or on "
                "Debian apt-get install python3-h5py"
            ) from error
        self.path = os.fspath(path)
        _check_seal(self.path, verify)
        with _errors_of(self.path):
            self._file = h5py.File(self.path, "r")
            self.attributes: Dict[str, Attribute] = {
                name: _attribute(value) for name, value in self._file.attrs.items()
            }
            self._names: List[str] = []
            self._file.visititems(
                lambda name, item: self._names.append(name) if hasattr(item, "dtype") else None
            )

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(f"{self.path} has no tensor {name}")
        with _errors_of(self.path):
            values: NDArray[Any] = np.asarray(self._file[name][()])
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def options(self) -> Dict[str, Attribute]:
        """The options of the run, by name."""
        return self._below("option/")

    @property
    def config(self) -> Dict[str, Attribute]:
        """The fields of the model (nn/gpt_config.h) that the file has."""
        of_both = ("block_size", "n_layer", "n_head", "n_embd", "dropout", "bias")
        config = {name: value for name, value in self.options.items() if name in of_both}
        for name in ("vocab_size", "activation"):
            if name in self.attributes:
                config[name] = self.attributes[name]
        return {**config, **self._below("config/")}

    @property
    def weights(self) -> str:
        """How the matrices are kept: "float32", "bfloat16", "int8" or "int4"."""
        return str(self.attributes.get("weights", "float32"))

    def parameter_names(self) -> List[str]:
        """Hugging Face's names: "transformer.wte.weight"."""
        return [name.split("/", 1)[1] for name in self if name.startswith(("model/", "packed/"))]

    def parameter(self, name: str) -> NDArray[np.float32]:
        """A parameter of the model in float32; a matrix is [rows out, columns in]."""
        if "model/" + name in self._names:
            return np.asarray(self["model/" + name], np.float32)
        packed = self[f"packed/{name}"]
        layout = self.attributes.get("packed_layout")
        if layout != 1:
            raise Error(f"{self.path}: its weights lie in layout {layout}; this module reads 1")
        try:
            return packed_values(packed, self._shape_of(name), self.weights)
        except ValueError as error:
            raise Error(f"{self.path}: tensor packed/{name}: {error}") from error

    def parameters(self) -> Dict[str, NDArray[np.float32]]:
        """All of them, by name."""
        return {name: self.parameter(name) for name in self.parameter_names()}

    def _below(self, start: str) -> Dict[str, Attribute]:
        return {
            name[len(start) :]: value
            for name, value in self.attributes.items()
            if name.startswith(start)
        }

    def _shape_of(self, name: str) -> Tuple[int, int]:
        config = self.config
        try:
            width, heads = int(config["n_embd"]), int(config["n_head"])
            head = int(config.get("head_dim", 0)) or width // heads
            kv_heads = int(config.get("n_kv_head", 0)) or heads
            gated = config.get("activation") == "swiglu"
            hidden = int(config.get("ffn_hidden", 0))
            hidden = hidden or ((8 * width // 3 + 7) // 8 * 8 if gated else 4 * width)
            shapes = {
                "attn.c_attn.weight": ((heads + 2 * kv_heads) * head, width),
                "attn.c_proj.weight": (width, heads * head),
                "mlp.c_fc.weight": (hidden * (2 if gated else 1), width),
                "mlp.c_proj.weight": (width, hidden),
                "wte.weight": (int(config["vocab_size"]), width),
                "lm_head.weight": (int(config["vocab_size"]), width),
            }
        except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
            raise Error(f"{self.path}: does not say what shape its model has: {error}") from error
        for end, shape in shapes.items():
            if name.endswith(end):
                return shape
        raise Error(f"{self.path}: packed/{name} is no matrix that this module knows")


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """What h5py raises for a file that is not as it should be, as an Error that names the file."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise Error(f"{path}: HDF5 cannot read it: {error}") from error


def _attribute(value: Any) -> Attribute:
    if isinstance(value, np.ndarray):  # the bytes of a text that has a NUL
        return value.astype(np.uint8).tobytes().decode("utf-8")
    if isinstance(value, bytes):
        return value.decode("utf-8")
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, (bool, int, float, str)):
        raise ValueError(f"an attribute of type {type(plain).__name__}")
    return plain


def _check_seal(path: str, verify: bool) -> None:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        seal = file.read(_SEAL_BYTES)
        if seal[:8] != _MAGIC or len(seal) < _SEAL_BYTES:
            raise Error(f"{path}: not a checkpoint of folio, or damaged in its first bytes")
        version, block, payload = struct.unpack_from("<IIQ", seal, 8)
        if (version, block) != (1, _SEAL_BYTES):
            raise Error(f"{path}: checkpoint format {version}, but this module reads format 1")
        if payload != size - _SEAL_BYTES:
            raise Error(
                f"{path}: damaged: {size - _SEAL_BYTES} bytes after its header, "
                f"which says {payload}"
            )
        if not verify:
            return
        digest = hashlib.sha256(seal[:24] + seal[56:])
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    if digest.digest() != seal[24:56]:
        raise Error(f"{path}: damaged: its digest is not the one in its header")
