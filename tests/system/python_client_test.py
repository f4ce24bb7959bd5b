"""The Python client against a real server and a real worker: a job from its file to a network in PyTorch, sweeps, artifacts,
and a server that goes away. Runs on Debian's grpcio and protobuf; python_package_test.py on those of PyPI.
"""

import json
import os
import sys
import threading
import unittest

import torch
from google.protobuf import json_format

from product import SOURCE_DIR, TINY_JOB, ProductTest, eventually, write_idx_dataset

sys.path.insert(0, os.path.join(SOURCE_DIR, "client", "python", "src"))

from distillery import Client, Patience, Weights, errors, is_over, load_job, safetensors, state_name
from distillery.architecture import parse_architecture
from distillery.frames import plan_frame
from distillery.v1 import artifact_service_pb2, job_pb2
from distillery.v1.artifact_service_pb2_grpc import ArtifactServiceStub

_PATIENCE = Patience(first_backoff=0.01, longest_backoff=0.1, retry=5, reconnect=60)
_UNKNOWN = "sha256:" + "0" * 64


class PythonClientTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.data = write_idx_dataset(self.product.path("data"))
        self.job_file = self.product.write("job.yaml", TINY_JOB % self.data)
        self.product.start_server()
        self.client = self.connect()

    def connect(self):
        client = Client(self.product.server.grpc, patience=_PATIENCE)
        self.addCleanup(client.close)
        return client

    def restart(self):
        """The same server on the same address, after a kill."""
        address = self.product.server.grpc
        self.product.server.kill()
        self.product.start_server(listen=address)


class JobTest(PythonClientTest):
    def test_from_the_file_to_the_network(self):
        self.product.start_worker()
        changes = {"display_name": "from Python",
                   "student.vmoe": {"experts": 2, "backbone": {"embed_dim": 8, "heads": 2, "depth": 2}}}
        planned = plan_frame(self.client.plan(self.job_file, changes))
        self.assertEqual(set(planned["execution"]), {"runs"})
        self.assertEqual(self.client.jobs(), [])
        job = self.client.submit(self.job_file, changes, request_id="mine")
        self.assertEqual(self.client.submit(self.job_file, changes, request_id="mine").id, job.id)
        events = list(self.client.watch(job))
        revisions = [event.revision for event in events if event.revision]
        self.assertEqual(revisions, sorted(set(revisions)))
        self.assertEqual(events[-1].job.state, job_pb2.JOB_STATE_SUCCEEDED)
        job = self.client.wait(job.name)
        self.assertEqual((job.spec.display_name, state_name(job.state)), ("from Python", "succeeded"))
        self.assertEqual([j.id for j in self.client.jobs(limit=5)], [job.id])

        # Its results would serve another like it.
        again = self.client.plan(self.job_file, changes)
        self.assertEqual({task.id for task in again.tasks}, {task["id"] for task in self.product.tasks(job.id)})
        self.assertEqual(set(plan_frame(again).loc[list(planned.index)]["execution"]), {"reuses"})
        self.assertEqual(again.predicted_seconds, 0)
        self._check_report(job)
        self._check_series(job)
        self._check_artifacts(job)
        self._check_networks(job)

    def _check_report(self, job):
        frame = self.client.models_frame(job)
        shown = self.product.json("job", "report", job.id)
        accuracies = {m["label"]: m["result"].get("accuracy", 0) for m in shown["models"]}
        self.assertEqual(dict(frame["accuracy"]), accuracies)
        self.assertIn("student", self.client.report(job).markdown)

    def _check_series(self, job):
        frame = self.client.series_frame(job)
        self.assertIn("distill-module-1", frame.index.get_level_values("task"))
        self.assertTrue((frame["loss"] > 0).all())
        self.assertTrue(frame["accuracy"].between(0, 1).all())
        self.assertEqual(frame.loc["pretrain-meta"]["teacher_accuracy"].count(), 0)
        self.assertTrue(frame.loc["distill-module-1"]["teacher_accuracy"].between(0, 1).all())
        self.assertEqual(len(self.client.series(job, "evaluate-student").points), 0)
        log = self.client.log(job, "distill-module-0")
        self.assertIn("task starts", log)
        self.assertEqual(b"".join(self.client.follow_log(job, "distill-module-0")).decode(), log)

    def _check_artifacts(self, job):
        artifacts = {(a.lineage[0].task, a.lineage[0].output): a for a in self.client.artifacts(job) if a.lineage}
        module = artifacts["distill-module-0", "module"]
        self.assertEqual(module.type, artifact_service_pb2.ARTIFACT_TYPE_MODULE)
        known = {a.digest for a in artifacts.values()}
        self.assertTrue(set(module.lineage[0].input_digests) <= known)
        path = self.product.path("module.safetensors")
        self.client.download(module.digest, path)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), self.client.read(module.digest))
        self.assertEqual(self.client.upload(path, artifact_service_pb2.ARTIFACT_TYPE_MODULE), module.digest)

    def _check_networks(self, job):
        student = self.client.result(job)
        exported = self.product.path("exported")
        self.assertEqual(self.product.distill("artifact", "export", student.digest, "--to", exported, "--names", "flat")
                         .returncode, 0)
        with open(os.path.join(exported, "architecture.json"), encoding="utf-8") as file:
            described = file.read()
        self.assertEqual(parse_architecture(described), student.architecture)
        loaded = Weights.load(os.path.join(exported, "weights.safetensors"), described)
        self.assertEqual(set(loaded.tensors), set(student.tensors))
        with open(os.path.join(exported, "weights.safetensors"), "rb") as file:
            flat, _ = safetensors.load(file.read())
        self.assertEqual({k: v.tobytes() for k, v in flat.items()},
                         {k: v.tobytes() for k, v in student.state_dict("flat").items()})
        pixels = torch.zeros(2, 1, 28, 28)
        with torch.no_grad():
            logits = student.module().eval()(pixels)
        self.assertEqual(tuple(logits.shape), (2, 10))
        modules = self.client.modules(job)
        self.assertEqual([m.architecture.module_index for m in modules], [0, 1])
        with torch.no_grad():
            # The meta model's width between them, with the stitches that distillation had.
            logits = modules[1].module()(modules[0].module()(pixels))
        self.assertEqual(tuple(logits.shape), (2, 10))
        self.assertEqual(self.client.result(job, "teacher").module().eval()(pixels).shape, (2, 10))

    def test_validate_agrees_with_the_command_line(self):
        overrides = ["distillation.tau=2", "evaluation.severities=[1, 3]"]
        checked = self.client.validate(self.job_file, overrides)
        self.assertEqual((checked.id, checked.spec.distillation.tau), ("", 2.0))
        flags = [flag for text in overrides for flag in ("--set", text)]
        shown = self.product.json("job", "submit", self.job_file, "--dry-run", *flags)
        spec = json_format.ParseDict(shown.get("spec", shown), job_pb2.JobSpec())
        self.assertEqual(spec, checked.spec)

    def test_control(self):
        job = self.client.submit(self.job_file)
        self.assertEqual(state_name(self.client.pause(job).state), "paused")
        self.assertEqual(state_name(self.client.resume(job).state), "running")
        self.assertIn("worker", self.client.explain(job, "pretrain-meta").detail)
        self.assertTrue(is_over(self.client.wait(self.client.cancel(job), check=False)))
        with self.assertRaisesRegex(errors.JobFailed, "was cancelled"):
            self.client.wait(job)
        again = self.client.retry(job)
        self.assertNotEqual(again.id, job.id)
        with self.assertRaises(errors.WaitTimeout):
            self.client.wait(again, timeout=0.1)
        self.client.cancel(again)
        self.client.delete(job)
        self.client.delete(job)
        self.assertRaises(errors.NotFound, self.client.job, job)

    def test_bad_input(self):
        with self.assertRaises(errors.InvalidRequest) as raised:
            self.client.submit(self.job_file, {"modules": 3, "distillation.alpha": 2.0})
        self.assertEqual(raised.exception.reason, "INVALID_REQUEST")
        self.assertTrue(raised.exception.fields)
        self.assertTrue(raised.exception.hint)
        for call in (lambda: self.client.job("nosuch"), lambda: self.client.watch("nosuch"),
                     lambda: self.client.wait("nosuch"), lambda: self.client.report("nosuch"),
                     lambda: self.client.artifact(_UNKNOWN), lambda: self.client.read(_UNKNOWN),
                     lambda: self.client.weights(_UNKNOWN)):
            with self.assertRaises(errors.NotFound) as raised:
                call()
            self.assertEqual(raised.exception.reason, "RESOURCE_NOT_FOUND")
        self.assertRaises(errors.NotFound, self.client.download, _UNKNOWN, self.product.path("blob"))
        self.assertEqual([n for n in os.listdir(self.product.dir) if n.startswith("blob")], [])
        job = self.client.submit(self.job_file, request_id="once")
        with self.assertRaises(errors.DistilleryError) as raised:
            self.client.submit(self.job_file, {"seed": 9}, request_id="once")
        self.assertEqual(raised.exception.reason, "REQUEST_ID_REUSED")
        self.assertRaises(errors.NotFound, self.client.task, job, "nosuch")
        self.assertRaises(errors.WrongState, self.client.delete, job)
        with self.assertRaisesRegex(errors.NotFound, "model=student models=none"):
            self.client.result(job)
        with Client("127.0.0.1:1", patience=Patience(retry=0.2)) as nowhere:
            self.assertRaises(errors.ServerUnavailable, nowhere.job, "j")

    def test_watch_and_wait_survive_a_killed_server(self):
        job = self.client.submit(self.job_file)
        first = threading.Event()
        revisions = []

        def watch():
            for event in self.client.watch(job):
                if event.revision:
                    revisions.append(event.revision)
                first.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        self.assertTrue(first.wait(60))
        self.restart()
        self.product.start_worker()
        self.assertEqual(self.client.wait(job).state, job_pb2.JOB_STATE_SUCCEEDED)
        watcher.join(60)
        whole = [event.revision for event in self.connect().watch(job, progress=False)]
        self.assertEqual(revisions, whole)

    def test_a_server_that_stays_away_ends_a_watch(self):
        job = self.client.submit(self.job_file)
        with Client(self.product.server.grpc, patience=Patience(retry=1, reconnect=0.5)) as client:
            events = client.watch(job)
            next(events)
            self.product.server.kill()
            self.assertRaises(errors.ServerUnavailable, list, events)


class ArtifactTest(PythonClientTest):
    def test_a_corrupt_blob_is_refused_and_set_aside(self):
        path = self.product.write("weights", "0123456789" * 1000)
        digest = self.client.upload(path)
        blobs = [os.path.join(folder, name) for folder, _, names in os.walk(self.product.server.data_dir) for name in names
                 if digest[7:] in name]
        self.assertTrue(blobs)
        for blob in blobs:
            os.chmod(blob, 0o600)
            with open(blob, "r+b") as file:
                file.write(b"X")
        target = self.product.path("copy")
        self.assertRaises(errors.DataCorrupt, self.client.download, digest, target)
        self.assertFalse(os.path.exists(target))
        missing = artifact_service_pb2.FindMissingRequest(digests=[digest])
        artifacts = ArtifactServiceStub(self.client.channel())
        eventually(lambda: list(artifacts.FindMissing(missing).missing_digests), "the blob is set aside")
        self.assertRaises(errors.NotFound, self.client.read, digest)
        self.client.upload(path)
        self.client.download(digest, target)

    def test_what_holds_no_weights(self):
        digest = self.client.upload(self.product.write("note", "not weights"), artifact_service_pb2.ARTIFACT_TYPE_REPORT)
        self.assertRaisesRegex(errors.WeightsError, "holds none", self.client.weights, digest)
        digest = self.client.upload(self.product.write("noise", "not weights at all"))
        self.assertRaisesRegex(errors.WeightsError, "damaged", self.client.weights, digest)


class SweepTest(PythonClientTest):
    def test_a_sweep_is_an_experiment(self):
        self.product.write("experiment.yaml", json.dumps({
            "name": "small", "base": "job.yaml", "seeds": [3], "set": {"baselines": ["finetune_images"]},
            "grid": {"distillation.alpha": [0.5, 0.9]}}))
        sweep = self.client.sweep(self.job_file, {"distillation.alpha": [0.5, 0.9]}, seeds=[3], name="small",
                                  overrides={"baselines": ["finetune_images"]})
        self.assertEqual(len(sweep), 2)
        self.product.start_worker()
        told = []
        frame = sweep.wait(timeout=200, progress=told.append).frame()
        self.assertEqual(len(told), 2)
        self.assertEqual(set(frame["distillation.alpha"]), {"0.5", "0.9"})
        self.assertEqual(len(frame[frame["model"] == "student"]), 2)
        self.assertGreater(sum(run.job.tasks_reused for run in sweep.runs), 0)
        # The command finds the jobs of the sweep rather than submitting its own.
        run = self.product.distill("experiment", "run", self.product.path("experiment.yaml"), "--output-dir",
                                   self.product.path("results"), timeout=200)
        self.assertEqual(run.returncode, 0, run.stderr)
        with open(self.product.path("results", "runs.json"), encoding="utf-8") as file:
            self.assertEqual([r["job"] for r in json.load(file)["runs"]], [r.job.id for r in sweep.runs])
        self.assertEqual(len(self.client.jobs()), 2)

    def test_an_error_names_the_run(self):
        with self.assertRaisesRegex(errors.InvalidRequest, "cannot submit the run distillation.alpha=7 seed=0: "):
            self.client.sweep(load_job(self.job_file), {"distillation.alpha": [0.5, 7]})
        self.assertEqual(len(self.client.jobs()), 1)


if __name__ == "__main__":
    unittest.main()
