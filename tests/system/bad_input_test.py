"""Bad input, typed by a user: a complaint that names the field and the remedy, an exit code, and nothing started."""

import os
import struct
import unittest

from product import FAILED, INVALID, NOT_FOUND, OK, TINY_JOB, ProductTest, write_idx_dataset


class JobFileTest(ProductTest):
    """Job files and data sets that a server must refuse. There is no worker: nothing would run anyway."""

    def setUp(self):
        super().setUp()
        self.product.start_server()
        self.text = TINY_JOB % write_idx_dataset(self.product.path("data"))

    def refuse(self, text, exit_code, *parts, flags=()):
        """Submitting `text` is refused with all `parts` in the complaint, and leaves no job behind."""
        run = self.product.distill("job", "submit", self.product.write("job.yaml", text), *flags)
        self.assert_refused(run, exit_code, *parts)
        self.assertEqual(self.product.json("job", "list", "--project", "-")["jobs"], [])

    def test_unknown_and_missing_keys(self):
        self.refuse(self.text.replace("distill_modules:", "distil_modules:"), INVALID, "job.yaml:11:1: ",
                    'unknown key "distil_modules"', 'did you mean "distill_modules"?')
        self.refuse(self.text.replace("batch_size: 20}\nincubate", "batchsize: 20}\nincubate"), INVALID,
                    'unknown key "batchsize"', 'did you mean "batch_size"?')
        self.refuse("modules: 2\n", INVALID, "missing required key dataset.path")
        self.refuse("", INVALID, "expected a mapping of keys to values")
        self.refuse("modules: [", INVALID, "job.yaml:1:")
        self.refuse(self.text.replace("modules: 2", "modules: two"), INVALID, "job.yaml:3:10: modules: ", 'got "two"')
        self.assert_refused(self.product.distill("job", "submit", "/no/such/job.yaml"), NOT_FOUND, "/no/such/job.yaml")

    def test_impossible_depths(self):
        teacher = "teacher: {embed_dim: 8, heads: 2, depth: 2}"
        self.refuse(self.text.replace(teacher, "teacher: {embed_dim: 8, heads: 2, depth: 4, stage_depths: [1, 2]}"),
                    INVALID, "job.yaml:6:", "teacher.stage_depths: got sum 3, want depth, 4", "leave one of the two out")
        self.refuse(self.text.replace("modules: 2", "modules: 0"), INVALID, "job.yaml:3:", "modules: got 0, want 1 to 1000")
        self.refuse(self.text.replace("modules: 2", "modules: 3"), INVALID,
                    "teacher.depth: got 2, want at least one block per module, 3; add blocks or lower modules")
        self.refuse(self.text.replace(teacher, "teacher: {embed_dim: 8, heads: 2, depth: 5}"), INVALID,
                    "teacher.depth: got 5, want a multiple of modules, 2")

    def test_data_sets(self):
        data = self.product.path("data")
        write_idx_dataset(data, train_labels=[0] * 20 + [200] * 20)
        self.refuse(self.text, INVALID, "job.yaml:2:", "dataset.path: ", "label is out of range", "label=200 classes=10",
                    "train-labels-idx1-ubyte", flags=("--set", "dataset.classes=10"))
        write_idx_dataset(data, train_labels=[i % 10 if i % 10 != 3 else 4 for i in range(40)])
        self.refuse(self.text, INVALID, "dataset.path: ", "a class has no image", "class=3")
        write_idx_dataset(data)
        with open(os.path.join(data, "train-images-idx3-ubyte"), "r+b") as file:
            file.truncate(1000)
        self.refuse(self.text, INVALID, "dataset.path: ", "train-images-idx3-ubyte", "cut short", "declared_bytes=31360")
        os.remove(os.path.join(data, "train-images-idx3-ubyte"))
        self.refuse(self.text, INVALID, "dataset.path: ", "no file train-images-idx3-ubyte")
        self.refuse(self.text, INVALID, "dataset.path: ", "/no/such/folder: No such file or directory",
                    flags=("--set", "dataset.path=/no/such/folder"))
        self.refuse(self.text.replace(data, "data"), INVALID, "dataset.path: ", "an absolute path")


def spoilt(weights, spoil):
    """The safetensors file `weights` with its data, a list of bytes, changed by `spoil`."""
    begin = 8 + struct.unpack("<Q", weights[:8])[0]
    data = bytearray(weights[begin:])
    spoil(data)
    return weights[:begin] + bytes(data)


class RunningJobTest(ProductTest):
    """What only a run brings to light, and weights that a job brings along."""

    def setUp(self):
        super().setUp()
        self.product.start_server()
        self.product.start_worker()
        self.job_file = self.product.write("job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data")))

    def put(self, name, content):
        path = self.product.path(name)
        with open(path, "wb") as file:
            file.write(content)
        run = self.product.distill("artifact", "put", path, "--type", "model")
        self.assertEqual(run.returncode, OK, run.stderr)
        return run.stdout.strip()

    def refuse_meta(self, digest, *parts, flags=()):
        """A job that brings this meta model is refused."""
        before = self.product.json("job", "list")["jobs"]
        run = self.product.distill("job", "submit", self.job_file, "--set", f"given.meta={digest}", *flags)
        self.assert_refused(run, INVALID, "given.meta: got ", *parts)
        self.assertEqual(self.product.json("job", "list")["jobs"], before)

    def test_given_artifacts(self):
        job = self.product.submit(self.job_file)
        self.assertEqual(self.product.distill("job", "wait", job).returncode, OK)
        meta = next(r["digest"] for r in self.product.json("task", "get", job, "pretrain-meta")["results"])
        path = self.product.path("meta.safetensors")
        self.assertEqual(self.product.distill("artifact", "get", meta, "--file", path).returncode, OK)
        with open(path, "rb") as file:
            weights = file.read()

        self.refuse_meta("sha256:" + "0" * 64, "which is not in the artifact store", "distill artifact list")
        self.refuse_meta("sha256:0", '64 lower-case hex digits')
        self.refuse_meta(self.put("cut", weights[:-4]), "want a safetensors file")
        self.refuse_meta(self.put("junk", b"junk"), "not a safetensors file")
        self.refuse_meta(meta, "cls_token of shape [1, 1, 8] instead of [1, 1, 16]",
                         flags=("--set", "meta.embed_dim=16", "--set", "teacher.embed_dim=16",
                                "--set", "student.vit.embed_dim=16"))
        self.refuse_meta(meta, "stages.0.blocks.1.attn.proj.bias missing",
                         flags=("--set", "meta.depth=4"))

        def put_nan(data):
            data[8:12] = struct.pack("<f", float("nan"))
        self.refuse_meta(self.put("nan", spoilt(weights, put_nan)), "a NaN or an infinity in cls_token at element 2")

        # The weights themselves are welcome.
        run = self.product.distill("job", "submit", self.job_file, "--set", f"given.meta={meta}", "--watch")
        self.assertEqual(run.returncode, OK, run.stderr)

    def test_a_loss_that_is_not_finite(self):
        job = self.product.submit(self.job_file, "--set", "pretrain_meta.learning_rate=100", "--set",
                                  "pretrain_meta.epochs=50", "--set", "execution.max_user_failures=1")
        self.assertEqual(self.product.distill("job", "wait", job).returncode, FAILED)
        task = self.product.json("task", "get", job, "pretrain-meta")
        self.assertEqual(task["attempts"][0]["failure_class"], "FAILURE_CLASS_USER")
        self.assertIn("loss is not finite; lower recipe.learning_rate", task["failure_message"])
        self.assertRegex(task["failure_message"], r"step=\d+ loss=-?(nan|inf) last_finite_loss=[0-9.e+]+")
        # What waited for it is not tried.
        self.assertEqual({t["state"] for t in self.product.tasks(job) if t["id"] != "pretrain-meta"},
                         {"TASK_STATE_CANCELLED"})

    def test_a_data_set_that_changes_after_submission(self):
        self.product.workers[0].stop()
        # Another worker might have the right files, so it is not the job's fault.
        job = self.product.submit(self.job_file, "--set", "execution.max_infrastructure_failures=1")
        digest = self.product.json("job", "get", job)["spec"]["dataset"]["digest"]
        write_idx_dataset(self.product.path("data"), train_labels=[(i + 1) % 10 for i in range(40)])
        self.product.start_worker()
        self.assertEqual(self.product.distill("job", "wait", job).returncode, FAILED)
        task = self.product.json("task", "get", job, "pretrain-meta")
        self.assertEqual(task["attempts"][0]["failure_class"], "FAILURE_CLASS_INFRASTRUCTURE")
        self.assertIn(digest, task["failure_message"])
        self.assertIn(self.product.path("data"), task["failure_message"])


if __name__ == "__main__":
    unittest.main()
