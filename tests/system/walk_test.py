"""Whole jobs as a researcher runs them, from the job file to the report: every router, images in folders, weights that come and go.

One server and one worker for all tests, which share what they have in common: a teacher is trained once. Numbers are held to
elsewhere; here every step of the way must work, and the report must say what was done.
"""

import json
import os
import shutil
import subprocess
import unittest

from dataset_test import write_image_folder
from product import INVALID, OK, Product, program, write_idx_dataset

RECIPES = "\n".join(f"{phase}: {{epochs: 1, batch_size: 20}}" for phase in (
    "pretrain_meta", "incubate_teacher", "finetune_teacher", "distill_modules", "finetune_student"))
GREY_JOB = """\
dataset: {path: %(data)s}
modules: 2
patch_size: 14
meta: {embed_dim: 8, heads: 2, depth: 2}
teacher: {embed_dim: 8, heads: 2, depth: 2}
student:
  vmoe:
    backbone: {embed_dim: 12, heads: 2, depth: 4}
    experts: 2
    moe_placement: every_2
    %(vmoe)s
%(recipes)s
evaluation: {corruptions: [none], batch_size: 20}
"""
PICTURE_JOB = """\
dataset: {name: pets, input_size: 48}
modules: 3
patch_size: 16
meta: {embed_dim: 8, heads: 2}
teacher: {embed_dim: 8, heads: 2}
student:
  %(student)s
%(recipes)s
quality_gate: {largest_accuracy_gap: 1, candidates: 2}
baselines: [whole_model_distillation]
evaluation:
  corruptions: [contrast]
  severities: [3]
  corruption_images: 0
  batch_size: 20
  out_of_distribution: [{name: drawn, dataset: {name: drawn}}, {name: named, dataset: {name: drawn}, classes: [2, 1]}]
few_shot: [{name: own, dataset: {name: pets}, ways: 2, shots: 2, test_images: 3, recipe: {epochs: 2}}]
"""
AUGMENTED = """\
distill_modules:
  {epochs: 2, batch_size: 8, random_resized_crop: 0.1, horizontal_flip: 0.5, rand_augment_operations: 2, random_erasing: 0.25,
   mixup_alpha: 0.8, cutmix_alpha: 1, label_smoothing: 0.1, repeated_augmentation: 2}
"""
NAC = """\
nac: {state_dim: 8, code_dim: 8, signature_dim: 4, input_latents: 2, mediator_latents: 6, output_latents: 2, heads: 1,
        head_dim: 4, grid_channels: 4, prior: {kind: ring_of_cliques, communities: 2, fit_steps: 20}}"""


class WalkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.product = Product()
        cls.addClassCleanup(cls.product.close)
        cls.product.start_server()
        cls.product.start_worker()

    def distill(self, *arguments):
        run = self.product.distill(*arguments)
        self.assertEqual(run.returncode, OK, run.stderr)
        return run.stdout

    def run_job(self, text):
        """Runs a job to its end; returns its id and its report as a page."""
        job = self.product.submit(self.product.write("job.yaml", text))
        self.distill("job", "wait", job)
        return job, self.distill("job", "report", job)

    def result(self, job, task, output):
        results = self.product.json("task", "get", job, task)["results"]
        return next(found["digest"] for found in results if found["name"] == output)

    def grey_job(self, vmoe):
        data = write_idx_dataset(self.product.path("grey"))
        return GREY_JOB % {"data": data, "vmoe": vmoe, "recipes": RECIPES}

    def test_every_router(self):
        routers = {
            "top_k": "router: top k\n",
            "gshard": "router: gshard, capacity 1.2 (2.4 in evaluation), losses: balance 0.01\n",
            "switch": "router: switch, capacity 1 (1 in evaluation), noise 0.1, losses: balance 0.01\n",
            "noisy_top_k": "router: noisy top k, losses: importance 0.005, load 0.005\n",
            "vmoe, batch_priority: true": "router: vmoe, capacity 1.05 (1.05 in evaluation), noise 1, batch priority, "
                                          "groups of 8 images, losses: importance 0.005, load 0.005\n",
            "expert_choice": "router: expert choice, capacity 1.05 (1.05 in evaluation)\n",
        }
        for kind, said in routers.items():
            with self.subTest(kind):
                _, page = self.run_job(self.grey_job(
                    f"top_k: {1 if kind in ('switch', 'expert_choice') else 2}\n    router: {{kind: {kind}}}"))
                self.assertIn(said, page)
                self.assertIn("- mixtures in blocks: 1 3\n", page)
                loads = page[page.index("## Expert loads"):page.index("## Phases")]
                # Further tables may follow.
                table = loads[loads.index("| "):].split("\n\n")[0]
                rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
                self.assertEqual(rows, ["block", "1", "3"])
                self.assertEqual("| dropped |" in loads, kind != "top_k")

    def test_weights_go_and_come_back(self):
        job, _ = self.run_job(self.grey_job("top_k: 2"))
        meta = self.result(job, "pretrain-meta", "model")
        teacher = self.result(job, "finetune-teacher", "model")
        folder = self.product.path("teacher")
        files = json.loads(self.distill("artifact", "export", teacher, "--to", folder, "--names", "flat", "-o", "json"))["files"]
        self.assertEqual(sorted(os.path.basename(file) for file in files), ["architecture.json", "weights.safetensors"])
        arch, weights = os.path.join(folder, "architecture.json"), os.path.join(folder, "weights.safetensors")
        given = self.distill("artifact", "import", weights, "--as", "teacher", "--arch", arch).strip()

        brought = self.grey_job("top_k: 2") + f"given: {{meta: \"{meta}\", teacher: \"{given}\"}}\n"
        second, page = self.run_job(brought)
        self.assertIn(f"- given teacher: {given}\n", page)
        names = [task["id"] for task in self.product.tasks(second)]
        self.assertNotIn("incubate-teacher-0", names)
        self.assertIn("split-teacher", names)

        deeper = self.product.write("deeper.yaml", brought.replace("teacher: {embed_dim: 8, heads: 2, depth: 2}",
                                                                   "teacher: {embed_dim: 8, heads: 2, depth: 4}"))
        run = self.product.distill("job", "submit", deeper)
        self.assertEqual(run.returncode, INVALID)
        self.assertIn("given.teacher: got weights with blocks 1 1 (", run.stderr)
        self.assertIn("want 2 2", run.stderr)
        metrics = self.result(job, "evaluate-student", "metrics")
        run = self.product.distill("artifact", "export", metrics, "--to", folder)
        self.assertEqual(run.returncode, INVALID)
        self.assertIn("holds metrics, no weights", run.stderr)

        student = self.result(job, "finetune-student", "model")
        third, _ = self.run_job(self.grey_job("top_k: 2") + f"given: {{student: \"{student}\"}}\n")
        self.assertEqual([task["id"] for task in self.product.tasks(third)], ["evaluate-student"])
        wrong = self.product.write("wrong.yaml", self.grey_job("top_k: 2") + f"given: {{student: \"{teacher}\"}}\n")
        self.assertEqual(self.product.distill("job", "submit", wrong).returncode, INVALID)

        module = self.product.path("hybrid")
        self.distill("artifact", "export", self.result(job, "distill-module-1", "module"), "--to", module, "--meta", meta)
        self.predict(module, "--meta", os.path.join(module, "meta.safetensors"))
        whole = self.product.path("student")
        self.distill("artifact", "export", student, "--to", whole)
        self.predict(whole)

    def predict(self, folder, *flags):
        """Runs exported weights without the server, on two grey images."""
        header = json.dumps({"input": {"dtype": "F32", "shape": [2, 1, 28, 28], "data_offsets": [0, 6272]}}).encode()
        batch, logits = self.product.path("batch.safetensors"), self.product.path("logits.safetensors")
        with open(batch, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header + bytes(6272))
        subprocess.run([program("distill-trainer"), "predict", "--arch", os.path.join(folder, "architecture.json"), "--weights",
                        os.path.join(folder, "weights.safetensors"), "--input", batch, "--output", logits, *flags], check=True)
        shown = self.product.json("artifact", "inspect", logits)
        self.assertEqual([(t["name"], t["shape"]) for t in shown["tensors"]], [("logits", [2, 10])])

    def register_pictures(self):
        folder = self.product.path("pets")
        if os.path.exists(folder):
            return
        write_image_folder(folder, ("cat", "dog", "owl"), images=8, side=56)
        for name in ("dog", "owl"):
            shutil.copytree(os.path.join(folder, "train", name), self.product.path("drawn", name))
        for place in ("train/dog/2.png", "val/dog/7.png"):
            with open(os.path.join(folder, place), "r+b") as file:
                file.truncate(40)
        self.distill("dataset", "add", "pets", "--path", folder, "--format", "image_folder", "--corrupt-images", "skip")
        self.distill("dataset", "add", "drawn", "--path", self.product.path("drawn"), "--format", "image_folder_test")

    def check_pictures(self, student):
        self.register_pictures()
        recipes = RECIPES.replace("batch_size: 20", "batch_size: 8").replace("distill_modules: {epochs: 1, batch_size: 8}\n", "")
        job, page = self.run_job(PICTURE_JOB % {"student": student, "recipes": recipes + "\n" + AUGMENTED})
        self.assertIn("Data set **pets**, ", page)
        self.assertIn("on 23 test images", page)
        self.assertIn("2 images of data set pets cannot be decoded and were left out: ", page)
        self.assertIn("dog/7.png", page)
        self.assertIn("| own | pets | 2 | 2 | ", page)
        self.assertIn("| student | drawn | ", page)
        self.assertIn("by at most 100.00 points", page)
        self.assertIn(", not needed | 0 | passed |", page)
        self.assertNotIn("hybrid 0 candidate 1 |", page)
        return job, page

    def test_pictures_and_mixtures(self):
        self.check_pictures("vmoe: {backbone: {embed_dim: 12, heads: 2, depth: 3}, experts: 2}")

    def test_pictures_and_circuits(self):
        job, page = self.check_pictures(NAC)
        for i in range(3):  # Made by a distillation, and again by the gate that chose it.
            module = self.result(job, f"select-module-{i}", "module")
            self.distill("artifact", "export", module, "--to", self.product.path(f"module-{i}"))
        self.assertIn("## Graph prior: ring of cliques", page)
        picture = next(line for line in page.splitlines() if line.startswith("Picture of the links")).split("`")[1]
        file = self.product.path("links.png")
        self.distill("artifact", "get", picture, "--file", file)
        with open(file, "rb") as image:
            self.assertEqual(image.read(8), b"\x89PNG\r\n\x1a\n")


if __name__ == "__main__":
    unittest.main()
