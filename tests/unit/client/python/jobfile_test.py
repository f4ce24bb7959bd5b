"""Job files, dictionaries and overrides as specs, what is refused and how, and the jobs of a sweep."""

import doctest
import glob
import os
import tempfile
import unittest

import numpy

from distillery import document, jobfile, load_job, parse_job
from distillery.errors import JobFileError
from distillery.sweep import plan
from distillery.v1 import job_pb2, model_pb2

_JOBS = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 4, "deploy", "jobs")
_DATA = {"dataset": {"path": "/data"}}


class JobFileTest(unittest.TestCase):
    def _refused(self, text, *lines, name="job.yaml"):
        with self.assertRaises(JobFileError) as raised:
            parse_job(text, name)
        self.assertEqual(str(raised.exception).split("\n"), list(lines))

    def test_every_job_file_of_the_project_is_read(self):
        files = glob.glob(os.path.join(_JOBS, "**", "*.yaml"), recursive=True)
        self.assertGreater(len(files), 8)
        for path in files:
            with self.subTest(path), open(path, encoding="utf-8") as file:
                self.assertTrue(parse_job(file.read(), path).ByteSize())

    def test_every_kind_of_value(self):
        spec = parse_job("""\
display_name: "a: b"
seed: 18446744073709551615
dataset: {path: /data, format: image_folder, mean: [0.5, .25, 1e-1]}
student: {vmoe: {expert_init: EXPERT_INIT_REFERENCE, keep_stitches: true, moe_blocks: [1, 3]}}
pretrain_meta: &recipe {epochs: 1.5}
finetune_student: *recipe
baselines: [finetune_images, all_images]
""")
        self.assertEqual((spec.display_name, spec.seed), ("a: b", 2**64 - 1))
        self.assertEqual(spec.dataset.format, job_pb2.DATASET_FORMAT_IMAGE_FOLDER)
        self.assertEqual(list(spec.dataset.mean), [0.5, 0.25, 0.1])
        self.assertEqual(spec.student.vmoe.expert_init, model_pb2.EXPERT_INIT_REFERENCE)
        self.assertTrue(spec.student.vmoe.keep_stitches)
        self.assertEqual(spec.finetune_student.epochs, 1.5)
        self.assertEqual(list(spec.baselines), [1, 2])

    def test_json_and_textproto(self):
        json = parse_job('{"displayName": "a", "seed": "7", "dataset": {"path": "/d"}}', "job.json")
        text = parse_job('display_name: "a" seed: 7 dataset { path: "/d" }', "job.textproto")
        self.assertEqual(json, text)
        with self.assertRaisesRegex(JobFileError, r"^job.txtpb:2:1: .*modulos"):
            parse_job("seed: 1\nmodulos: 2", "job.txtpb")

    def test_complaints_name_the_place_and_come_at_once(self):
        self._refused('distilation: {}\nseed: "3"\nmodules: 2.5\nmodules: 2\nstudent: {vit: {}, nac: {}}\nmeta: 3\n'
                      "baselines: none\ndistillation: {kind: sotf}\nteacher:\n",
                      'job.yaml:1:1: unknown key "distilation" in the file; did you mean "distillation"?',
                      'job.yaml:2:7: seed: expected a whole number from 0 to 18446744073709551615, got the quoted text "3"',
                      'job.yaml:3:10: modules: expected a whole number from -2147483648 to 2147483647, got "2.5"',
                      "job.yaml:4:1: modules: given twice; first on line 3",
                      "job.yaml:5:20: student.nac: excludes student.vit; keep one of them",
                      'job.yaml:6:7: meta: expected a mapping of keys to values, got "3"',
                      'job.yaml:7:12: baselines: expected a list such as [a, b], got "none"',
                      'job.yaml:8:22: distillation.kind: unknown value "sotf"; did you mean "soft"?',
                      "job.yaml:9:9: teacher: has no value; give one or remove the key")

    def test_at_most_twenty_complaints(self):
        with self.assertRaises(JobFileError) as raised:
            parse_job("\n".join(f"x{i}: 1" for i in range(30)))
        self.assertEqual(len(str(raised.exception).split("\n")), 21)
        self.assertIn("job.yaml: and 10 more", str(raised.exception))

    def test_documents_that_are_none(self):
        self._refused("", "job.yaml:1:1: the file: expected a mapping of keys to values, got nothing")
        self._refused("<<: {}", "job.yaml:1:1: merge keys (<<) are not supported; write out the keys, or alias a whole value")
        self._refused("{a: 1}: 2", "job.yaml:1:1: a key must be a name")
        self._refused("meta: &a {depth: *a}", "job.yaml:1:7: nested deeper than 32 levels")
        self._refused("[" * 100_000, "job.yaml:1:1: nested deeper than 32 levels")
        self._refused("a: " + "x" * (1 << 20), "job.yaml:1:1: larger than 1048576 bytes")
        bomb = "a0: &a0 [x, x]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 30))
        with self.assertRaisesRegex(JobFileError, "more than 20000 values"):
            parse_job(bomb)

    def test_a_file_and_what_it_lacks(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "job.yaml")
            self.assertRaises(FileNotFoundError, load_job, path)
            for content, complaint in ((b"seed: 1", "missing required key dataset.path"), (b"a: \xff", "is not UTF-8")):
                with open(path, "wb") as file:
                    file.write(content)
                self.assertRaisesRegex(JobFileError, complaint, load_job, path)


class DictionaryTest(unittest.TestCase):
    def test_python_values(self):
        spec = load_job({**_DATA, "seed": numpy.int64(3), "baselines": ("all_images",),
                         "student": {"vmoe": {"experts": 2, "keep_stitches": numpy.bool_(True), "moe_blocks": numpy.arange(2)}},
                         "distillation": {"alpha": numpy.float32(0.5), "tau": 2}})
        self.assertEqual((spec.seed, spec.distillation.alpha, spec.distillation.tau), (3, 0.5, 2.0))
        self.assertEqual(list(spec.student.vmoe.moe_blocks), [0, 1])
        self.assertTrue(spec.student.vmoe.keep_stitches)

    def test_a_spec_is_copied(self):
        spec = load_job(_DATA)
        self.assertEqual(load_job(spec, {"seed": 4}).seed, 4)
        self.assertEqual(spec.seed, 0)

    def test_refusals(self):
        recursive = {}
        recursive["meta"] = recursive
        for wrong, complaint in (({"seed": "3"}, 'seed: expected a whole number .*, got the quoted text "3"'),
                                 ({"seed": True}, 'seed: expected a whole number .*, got "true"'),
                                 ({"distillation": {"tau": float("nan")}}, 'expected a number, got "nan"'),
                                 ({"modules": None}, "modules: has no value"),
                                 ({"modules": object()}, "cannot be written in a job file: a object"),
                                 ({"modules": b"2"}, "a bytes"),
                                 (recursive, "nested deeper than 32 levels"),
                                 ({}, "missing required key dataset.path")):
            with self.subTest(complaint):
                self.assertRaisesRegex(JobFileError, complaint, load_job, wrong)


class OverrideTest(unittest.TestCase):
    def test_replaces_single_fields(self):
        spec = load_job({**_DATA, "student": {"vmoe": {"experts": 4}}, "distillation": {"alpha": 0.25}},
                        {"distillation.tau": 2, "student.vit": {"depth": 4}, "evaluation.severities": [5]})
        self.assertEqual((spec.distillation.alpha, spec.distillation.tau), (0.25, 2.0))
        self.assertFalse(spec.student.HasField("vmoe"))
        self.assertEqual(spec.student.vit.depth, 4)

    def test_texts_as_on_the_command_line(self):
        spec = load_job(_DATA, ["distillation.kind=hard", "evaluation.severities=[1, 3]", "display_name=a=b"])
        self.assertEqual((spec.distillation.kind, list(spec.evaluation.severities), spec.display_name),
                         (model_pb2.KD_KIND_HARD, [1, 3], "a=b"))

    def test_refuses_what_it_does_not_understand_and_changes_nothing(self):
        spec = load_job({**_DATA, "modules": 4})
        before = spec.SerializeToString()
        for overrides, complaint in (
                ({"seed": 1, "distillation.tua": 2}, 'unknown key "tua" in distillation; did you mean "tau"'),
                ({"distilation.tau": 2}, 'unknown key "distilation" in the job; did you mean "distillation"'),
                (["distillation.tau=warm"], 'distillation.tau: expected a number, got "warm"'),
                (["modules="], "modules: has no value"),
                (["modules.count=2"], "modules holds a value, not keys"),
                (["few_shot.name=2"], "few_shot holds a value, not keys"),
                (["modules"], "expected KEY=VALUE"), (["=4"], "expected KEY=VALUE"),
                (["meta={depth: 4"], "override meta={depth: 4: "),
                ("seed=1", "expected a dictionary, or a list of texts")):
            with self.subTest(str(overrides)):
                self.assertRaisesRegex(JobFileError, complaint, jobfile.override, spec, overrides)
                self.assertEqual(spec.SerializeToString(), before)

    def test_a_preset_needs_no_data_set(self):
        self.assertEqual(load_job({"preset": "tiny"}).preset, "tiny")


class SweepPlanTest(unittest.TestCase):
    def test_arms_then_the_last_axis_fastest_then_seeds(self):
        runs = plan(load_job(_DATA), name="x", arms={"short": {"distill_modules.epochs": 1}, "long": ["distill_modules.epochs=9"]},
                    grid={"distillation.kind": ["soft", "hard"], "distillation.tau": [1, 2.5]}, seeds=[0, 7])
        self.assertEqual(len(runs), 16)
        self.assertEqual([r.label for r in runs[:4]],
                         ["short distillation.kind=soft distillation.tau=1 seed=0",
                          "short distillation.kind=soft distillation.tau=1 seed=7",
                          "short distillation.kind=soft distillation.tau=2.5 seed=0",
                          "short distillation.kind=soft distillation.tau=2.5 seed=7"])
        last = runs[-1]
        self.assertEqual(last.settings, {"arm": "long", "distillation.kind": "hard", "distillation.tau": "2.5"})
        self.assertEqual((last.spec.distill_modules.epochs, last.spec.seed), (9, 7))
        self.assertEqual(last.spec.display_name, "x " + last.label)
        self.assertEqual(len({r.request_id for r in runs}), 16)

    def test_nothing_varied(self):
        (run,) = plan(load_job(_DATA), name="x")
        self.assertEqual((run.label, run.spec.display_name), ("base seed=0", "x base seed=0"))

    def test_the_same_runs_have_the_same_request_ids_until_retried(self):
        ids = [r.request_id for r in plan(load_job(_DATA), name="x", seeds=range(3))]
        self.assertEqual(ids, [r.request_id for r in plan(load_job(_DATA), name="x", seeds=range(3))])
        self.assertFalse(set(ids) & {r.request_id for r in plan(load_job(_DATA), name="x", seeds=range(3), retry=1)})

    def test_refusals(self):
        for arguments, complaint in ((dict(name="a b"), "name: expected"), (dict(seeds=[]), "at least one"),
                                     (dict(seeds=[1, 1]), "each once"), (dict(seeds=[-1]), "seed: expected a whole number"),
                                     (dict(grid={"seed": range(2000)}), "more than 1000 jobs"),
                                     (dict(grid={"distillation.tau": []}), "at least one value"),
                                     (dict(grid={"distillation.tua": [1]}), 'did you mean "tau"')):
            with self.subTest(complaint):
                self.assertRaisesRegex(JobFileError, complaint, plan, load_job(_DATA), **{"name": "x", **arguments})


class ExamplesTest(unittest.TestCase):
    def test_examples_in_the_documentation(self):
        for module in (jobfile, document):
            self.assertEqual(doctest.testmod(module).failed, 0)


if __name__ == "__main__":
    unittest.main()
