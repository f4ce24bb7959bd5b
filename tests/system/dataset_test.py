"""Registered data sets as a user meets them: added, named by jobs, fetched by a worker that lacks the files, verified, removed."""

import json
import os
import shutil
import struct
import subprocess
import unittest
import zlib

from product import FAILED, INVALID, NOT_FOUND, OK, TINY_JOB, ProductTest, eventually, write_idx_dataset

NAMED_JOB = TINY_JOB.replace("{path: %s}", "{name: %s}")


def png(side, value):
    """A grey PNG file."""
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    rows = b"".join(b"\0" + bytes((value + row) % 256 for _ in range(side)) for row in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_image_folder(folder, classes=("cat", "dog"), images=4, side=20):
    for split in ("train", "val"):
        for label, name in enumerate(classes):
            os.makedirs(os.path.join(folder, split, name))
            for i in range(images):
                with open(os.path.join(folder, split, name, f"{i}.png"), "wb") as file:
                    file.write(png(side, 40 * label + i))
    return folder


class DatasetTest(ProductTest):
    def distill(self, *arguments):
        return self.product.distill(*arguments)

    def add(self, name, path, *flags):
        run = self.distill("dataset", "add", name, "--path", path, *flags)
        self.assertEqual(run.returncode, OK, run.stderr)
        return run.stdout

    def wait(self, job):
        return self.distill("job", "wait", job, "-o", "json").returncode

    def test_the_life_of_a_data_set(self):
        path = write_idx_dataset(self.product.path("data"))
        self.product.start_server()
        shown = self.add("small", path)
        for part in ("small", "ready", "idx", "40 (4 of each class)", "28 x 28 pixels", "sha256:"):
            self.assertIn(part, shown)
        self.assertIn(path, self.distill("dataset", "list").stdout)
        self.assertEqual(self.product.json("dataset", "get", "small")["facts"]["classes"], 10)
        self.assert_refused(self.distill("dataset", "add", "small", "--path", path), FAILED, "name is taken")
        self.assert_refused(self.distill("dataset", "get", "smal"), NOT_FOUND, "distill dataset list")

        self.assertIn("is as it was", self.distill("dataset", "verify", "small").stdout)
        write_idx_dataset(path, test_labels=[1 + i % 9 for i in range(19)] + [0])
        run = self.distill("dataset", "verify", "small")
        self.assertEqual(run.returncode, FAILED)
        self.assertIn("digest: was sha256:", run.stdout)
        self.assertIn("test images of class", run.stdout)

        self.assertEqual(self.distill("dataset", "remove", "small").returncode, OK)
        self.assert_refused(self.distill("dataset", "remove", "small"), NOT_FOUND, "small")
        self.assertTrue(os.path.exists(path))

    def test_bad_input(self):
        self.product.start_server("--dataset-root", self.product.path("allowed"))
        os.makedirs(self.product.path("allowed", "empty"))
        self.assert_refused(self.distill("dataset", "add", "x", "--path", "/etc"), 4, "--dataset-root")
        self.assert_refused(self.distill("dataset", "add", "x", "--path", "relative"), INVALID, "absolute path")
        self.assert_refused(self.distill("dataset", "add", "a/b", "--path", "/etc"), INVALID, "name")
        self.assert_refused(self.distill("dataset", "add", "x", "--path", "/etc", "--format", "cifar"), INVALID, "cifar10")
        run = self.distill("dataset", "add", "x", "--path", self.product.path("allowed", "empty"))
        self.assert_refused(run, INVALID, "train-images-idx3-ubyte")

    def test_corrupt_images(self):
        folder = write_image_folder(self.product.path("images"))
        bad = os.path.join(folder, "train", "dog", "2.png")
        with open(bad, "r+b") as file:
            file.truncate(40)
        self.product.start_server()
        flags = ("--format", "image_folder")
        self.assert_refused(self.distill("dataset", "add", "pets", "--path", folder, *flags), INVALID, "dog/2.png")
        shown = self.add("pets", folder, *flags, "--corrupt-images", "skip")
        self.assertIn("dog/2.png", shown)
        self.assertEqual(self.product.json("dataset", "get", "pets")["facts"]["class_names"], ["cat", "dog"])
        job = self.product.write("job.yaml", NAMED_JOB % "pets, corrupt_images: fail")
        self.assert_refused(self.distill("job", "submit", job), INVALID, "corrupt_images", "want skip")

    def test_a_worker_without_the_files_fetches_them(self):
        path = write_idx_dataset(self.product.path("data"))
        self.product.start_server()
        self.assertIn("stored copy", self.add("small", path, "--upload"))
        shutil.rmtree(path)
        worker = self.product.start_worker()
        job = self.product.submit(self.product.write("job.yaml", NAMED_JOB % "small"))
        self.assertEqual(self.wait(job), OK, worker.log())
        fetched = os.listdir(os.path.join(worker.data_dir, "datasets"))
        self.assertEqual(len(fetched), 2, "a folder and its manifest")
        self.assertIn("fetching data set", worker.log())

    def test_the_copy_is_a_plain_tar_file(self):
        path = write_image_folder(self.product.path("images"))
        with open(os.path.join(path, "secret.key"), "w", encoding="ascii") as file:
            file.write("not an image")
        self.product.start_server()
        self.add("pets", path, "--format", "image_folder", "--upload")
        artifacts = self.product.json("artifact", "list")["artifacts"]
        shard = max((a for a in artifacts if a["type"].endswith("DATASET")), key=lambda a: int(a["size_bytes"]))
        file = self.product.path("shard.tar")
        self.assertEqual(self.distill("artifact", "get", shard["digest"], "--file", file).returncode, OK)
        names = subprocess.run(["tar", "tf", file], capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(len(names), 16)
        self.assertEqual(names, sorted(names))
        self.assertIn("val/dog/3.png", names)

    def test_a_worker_whose_files_differ_refuses(self):
        path = write_idx_dataset(self.product.path("data"))
        self.product.start_server()
        self.add("small", path)
        write_idx_dataset(path, train_labels=[9 - i % 10 for i in range(40)])
        self.product.start_worker()
        # One such worker is tried again later, since another may have the right files.
        limits = "execution: {max_user_failures: 1, max_infrastructure_failures: 1}\n"
        job = self.product.submit(self.product.write("job.yaml", NAMED_JOB % "small" + limits))
        self.assertEqual(self.wait(job), FAILED)
        self.assertIn("this worker's files are not the job's", self.product.json("job", "get", job)["failure_message"])

    def test_a_restart_finishes_the_reading(self):
        path = write_idx_dataset(self.product.path("data"))
        server = self.product.start_server()
        run = self.distill("dataset", "add", "small", "--path", path, "--detach", "-o", "json")
        self.assertEqual(json.loads(run.stdout)["name"], "small")
        server.kill()
        self.product.start_server()
        eventually(lambda: self.product.json("dataset", "get", "small")["state"] == "DATASET_STATE_READY", "it is read")


if __name__ == "__main__":
    unittest.main()
