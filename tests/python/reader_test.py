#!/usr/bin/env python3
"""The module of the wheel (python/folio) against what the program writes.

reader_test.py --folio=PROGRAM [unittest's arguments]. Exit status 77 where h5py is missing.
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import h5py
    import numpy as np
except ImportError as error:
    print(f"skipped: {error} (apt-get install python3-h5py)")
    sys.exit(77)

root = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(root / "python"))
import folio  # noqa: E402

PROGRAM = ""


def run(*arguments):
    subprocess.run([PROGRAM, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Reader(unittest.TestCase):
    """Of a model of every option that changes the shape of a matrix, with 27 rows of tokens."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        text = cls.folder / "text.txt"
        text.write_text("".join(f"{a} {b} sits.\n" for a in ("the", "a", "every")
                                for b in ("cat", "brown fox", "jumpy dog", "wizard")) * 40)
        run("prepare", f"--input={text}", "--name=tiny", f"--data_dir={cls.folder}")
        cls.out = cls.folder / "out"
        run("train", "--dataset=tiny", f"--data_dir={cls.folder}", f"--out_dir={cls.out}",
            "--n_layer=2", "--n_head=4", "--n_kv_head=2", "--head_dim=24", "--n_embd=80",
            "--activation=swiglu", "--ffn_hidden=72", "--position=rotary", "--tie_weights=false",
            "--block_size=32", "--batch_size=4", "--gradient_accumulation_steps=1", "--max_iters=6",
            "--eval_interval=3", "--eval_iters=1", "--log_interval=2", "--warmup_iters=2",
            "--lr_decay_iters=6")
        cls.checkpoint = folio.Checkpoint(cls.out / "ckpt.h5")

    @classmethod
    def tearDownClass(cls):
        cls.checkpoint.close()
        cls.temporary.cleanup()

    def quantized(self, weights):
        path = self.folder / f"{weights}.h5"
        run("quantize", f"--out_dir={self.out}", f"--weights={weights}", f"--to={path}")
        return folio.Checkpoint(path)

    def damaged(self, change):
        content = bytearray((self.out / "ckpt.h5").read_bytes())
        change(content)
        path = self.folder / "damaged.h5"
        path.write_bytes(content)
        return path

    def test_a_checkpoint_has_the_tensors_and_attributes_that_hdf5_shows(self):
        with h5py.File(self.out / "ckpt.h5") as file:
            self.assertEqual(file["model/lm_head.weight"].shape,
                             (self.checkpoint.config["vocab_size"], 80))
            np.testing.assert_array_equal(self.checkpoint.parameter("lm_head.weight"),
                                          file["model/lm_head.weight"][()])
            self.assertEqual(set(self.checkpoint.attributes), set(file.attrs))
        self.assertEqual(self.checkpoint.weights, "float32")
        self.assertIn("adamw/m/lm_head.weight", self.checkpoint)
        self.assertEqual(self.checkpoint.options["learning_rate"], 6e-4)
        self.assertIs(self.checkpoint.config["tie_weights"], False)
        self.assertEqual(self.checkpoint.config["activation"], "swiglu")
        with self.assertRaisesRegex(KeyError, "no tensor nonsense"):
            self.checkpoint["nonsense"]

    def test_weights_of_each_format_are_the_models(self):
        # The error of rounding, as a share of a matrix's norm; another order of weights has 1.4.
        for weights, least, most in (("bfloat16", 1e-4, 3e-3), ("int8", 1e-3, 1e-2),
                                     ("int4", 5e-2, 9e-2)):
            with self.quantized(weights) as quantized:
                self.assertEqual(quantized.weights, weights)
                self.assertEqual(sorted(quantized.parameter_names()),
                                 sorted(self.checkpoint.parameter_names()))
                matrices = 0
                for name, values in quantized.parameters().items():
                    exact = self.checkpoint.parameter(name)
                    self.assertEqual((values.dtype, values.shape), (np.float32, exact.shape), name)
                    error = np.linalg.norm(values - exact) / np.linalg.norm(exact)
                    if exact.ndim == 2:
                        matrices += 1
                        self.assertTrue(least < error < most, (weights, name, error))
                self.assertEqual(matrices, 2 + 2 * 4)

    def test_a_damaged_file_is_refused_with_its_name(self):
        def flip(content):
            content[len(content) // 2] ^= 1

        def cut(content):
            del content[-100:]

        def not_ours(content):
            content[0] = 0

        for change, message in ((flip, "damaged: its digest"), (cut, "damaged: .* bytes after"),
                                (not_ours, "not a checkpoint of folio")):
            with self.assertRaisesRegex(folio.Error, "damaged.h5: " + message):
                folio.Checkpoint(self.damaged(change))
        with self.assertRaises(folio.Error):
            folio.Checkpoint(self.damaged(lambda content: content.__delitem__(slice(9, None))))

    def test_without_its_digest_a_damaged_file_is_an_error_too(self):
        def no_hdf5(content):
            content[512:520] = bytes(8)

        with self.assertRaisesRegex(folio.Error, "HDF5 cannot read it"):
            folio.Checkpoint(self.damaged(no_hdf5), verify=False)

    def test_a_packed_matrix_of_another_size_is_an_error(self):
        from folio.packed import packed_values
        with self.assertRaisesRegex(ValueError, "take 1088 bytes, not 1087"):
            packed_values(np.zeros(1087, np.int8), (5, 32), "int8")

    def test_a_log_has_columns(self):
        log = folio.read_log(self.out / "log.csv")
        evaluations = ~np.isnan(log["val_loss"])
        np.testing.assert_array_equal(log["iter"][evaluations], [0, 3, 6])
        self.assertEqual(log["iter"].dtype, np.int64)
        self.assertAlmostEqual(log["val_loss"][evaluations].min(),
                               self.checkpoint.attributes["best_val_loss"], 3)

    def test_a_log_that_was_cut_off_or_is_none(self):
        path = self.folder / "log.csv"
        path.write_text("iter,val_loss\n0,2.5\n1,\n2,2.")
        log = folio.read_log(path)
        np.testing.assert_array_equal(log["iter"], [0, 1])
        np.testing.assert_array_equal(log["val_loss"], [2.5, np.nan])
        for text, message in (("a,b\n", "should begin with iter"), ("", "should begin with iter"),
                              ("iter,x\n1,2,3\n", "log.csv:2: has 3 fields"),
                              ("iter,x\n1,y\n", "log.csv:2: x is no number: 'y'")):
            path.write_text(text)
            with self.assertRaisesRegex(folio.Error, message):
                folio.read_log(path)

    def test_what_a_run_keeps_of_its_model(self):
        inside = folio.read_inside(self.out / "inside.jsonl")
        np.testing.assert_array_equal(inside["iter"], [0, 3, 6])
        self.assertEqual(inside["induction"].shape, (3, 8))
        np.testing.assert_array_equal(inside["layer"], [0] * 4 + [1] * 4)
        self.assertEqual(len(folio.read_samples(self.out / "samples.jsonl")), 3)

    def test_an_inspection_and_its_captures_are_the_same_numbers(self):
        numbers, tensors = self.folder / "numbers.json", self.folder / "tensors.npz"
        run("inspect", f"--out_dir={self.out}", "--start=the cat sits.", "--o=",
            f"--json={numbers}", f"--npz={tensors}")
        inspection, captures = folio.read_inspection(numbers), folio.read_captures(tensors)
        self.assertEqual(inspection["attention"].shape, (2, 4, 13, 13))
        np.testing.assert_allclose(inspection["attention"][1],
                                   captures["blocks.1.attn.hook_pattern"][0], atol=1e-6)
        numbers.write_text("[1]")
        with self.assertRaisesRegex(folio.Error, '"format"'):
            folio.read_inspection(numbers)
        tensors.write_bytes(b"PK\x03\x04 no archive")
        with self.assertRaisesRegex(folio.Error, "no .npz"):
            folio.read_captures(tensors)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not sys.argv[1].startswith("--folio="):
        sys.exit("usage: reader_test.py --folio=PROGRAM")
    PROGRAM = os.path.abspath(sys.argv.pop(1).split("=", 1)[1])
    unittest.main()
