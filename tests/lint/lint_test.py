"""Shows each check a small tree with faults, and one without."""

import json
import os
import tempfile
import unittest

import dashboards
import job_file_reference
import layers
import lengths
import links
import listed
import markers
import metrics
import protocol
import reasons
import runbooks
import words
from tree import Tree


class LintTest(unittest.TestCase):
    def tree(self, files):
        root = tempfile.TemporaryDirectory()
        self.addCleanup(root.cleanup)
        for name, text in files.items():
            path = os.path.join(root.name, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return Tree(root.name)

    def expect(self, check, files, *places):
        found = list(check.problems(self.tree(files)))
        self.assertEqual([p.split(": ")[0] for p in found], list(places), found)

    def test_includes_that_point_down_pass(self):
        self.expect(layers, {
            "server/engine/driver.h": '#include "server/scheduler/core.h"\n#include "distill/v1/job.pb.h"\n',
            "worker/training/loop.cc": "#include <torch/torch.h>\n",
            "server/app/main.cc": '#include "worker/data/dataset.h"\n',
            "tests/unit/x_test.cc": '#include "worker/trainer/main.h"\n'})

    def test_includes_that_point_up_or_aside_are_found(self):
        self.expect(layers, {
            "base/file.h": '// Why.\n#include "storage/blob/blob_store.h"\n',
            "server/scheduler/core.h": '#include "storage/blob/blob_store.h"\n',
            "server/scheduler/events.h": '#include "distill/v1/job.pb.h"\n',
            "worker/agent/agent.cc": "#include <ATen/ATen.h>\n",
            "worker/mystery/x.cc": ""},
            "base/file.h:2", "server/scheduler/core.h:1", "server/scheduler/events.h:1",
            "worker/agent/agent.cc:1", "worker/mystery/x.cc:1")

    def test_files_that_no_target_lists_are_found(self):
        self.expect(listed, {
            "base/CMakeLists.txt": "foo(a.cc a.h sub/c.cc) # b.cc\nforeach(s one two)\n x(${s}_test.cc)\n",
            "base/a.cc": "", "base/a.h": "", "base/b.cc": "", "base/sub/c.cc": "", "base/one_test.cc": "",
            "base/three_test.cc": ""},
            "base/b.cc:1", "base/three_test.cc:1")

    def test_words_are_found_in_code_only(self):
        self.expect(words, {
            "base/a.cc": '// absl::Now() is not used.\nconst char* s = "LOG(x)";\nint DISTILL_LOG(int);\n',
            "base/b.cc": "int x = 1\'000;\nauto t = absl::Now();\n",
            "base/c.h": "class A {\n  friend class B;\n  std::mutex m;\n};\n"},
            "base/b.cc:2", "base/c.h:2", "base/c.h:3")

    def test_long_files_are_found(self):
        self.expect(lengths, {"base/a.cc": "\n" * 800, "base/b.cc": "\n" * 801}, "base/b.cc:800")

    def test_links_that_lead_nowhere_are_found(self):
        self.expect(links, {
            "docs/a.md": "# One: two\n[ok](b.md#a-heading) [web](https://x.example) `[no](link)`\n"
                         "[self](#one-two)\n[bad](c.md)\n[bad](b.md#other)\n```\n[fenced](nowhere)\n```\n",
            "docs/b.md": "## A heading\n"},
            "docs/a.md:4", "docs/a.md:5")

    def test_conflict_markers_are_found(self):
        self.expect(markers, {"base/CMakeLists.txt": "a\n" + "<" * 7 + " HEAD\nb\n" + "=" * 7 + "\nc\n",
                              "docs/a.md": "=" * 8 + "\n"},
                    "base/CMakeLists.txt:2", "base/CMakeLists.txt:4")

    def breaks(self, before, after):
        """Returns what tests/lint/protocol.py says of a change of one file."""
        head = 'syntax = "proto3"; package x; '
        protocols = []
        for text in (before, after):
            tree = self.tree({"proto/x.proto": head + text})
            protocols.append(protocol.compiled(tree.root))
        return protocol.breaks(protocol.parse("\n".join(protocols[0].lines())), protocols[1])

    def test_additions_to_the_protocol_pass(self):
        self.assertEqual([], self.breaks(
            "message A { int32 a = 1; } enum E { E_NONE = 0; } service S { rpc F(A) returns (A); }",
            "message A { int32 a = 1; A b = 2; } enum E { E_NONE = 0; E_ONE = 1; }"
            " service S { rpc F(A) returns (A); rpc G(A) returns (stream A); }"))

    def test_a_field_may_go_when_its_number_and_name_are_reserved(self):
        before = "message A { int32 a = 1; int32 b = 2; }"
        self.assertEqual([], self.breaks(before, 'message A { int32 a = 1; reserved 2; reserved "b"; }'))
        self.assertEqual(1, len(self.breaks(before, "message A { int32 a = 1; reserved 2; }")))
        self.assertEqual(1, len(self.breaks(before, "message A { int32 a = 1; }")))

    def test_breaks_of_the_protocol_are_found(self):
        message = "message A { int32 a = 1; oneof o { string s = 2; } map<string, int32> m = 3; }"
        self.assertEqual([], self.breaks(message, message))
        for changed in ("message A { int32 z = 1; oneof o { string s = 2; } map<string, int32> m = 3; }",
                        "message A { int64 a = 1; oneof o { string s = 2; } map<string, int32> m = 3; }",
                        "message A { repeated int32 a = 1; oneof o { string s = 2; } map<string, int32> m = 3; }",
                        "message A { optional int32 a = 1; oneof o { string s = 2; } map<string, int32> m = 3; }",
                        "message A { int32 a = 1; string s = 2; map<string, int32> m = 3; }",
                        "message A { int32 a = 1; oneof o { string s = 2; } map<string, bool> m = 3; }"):
            self.assertEqual(1, len(self.breaks(message, changed)), changed)
        self.assertEqual(1, len(self.breaks("enum E { E_NONE = 0; E_ONE = 1; }", "enum E { E_NONE = 0; }")))
        self.assertEqual(1, len(self.breaks("enum E { E_NONE = 0; }", "enum E { E_NULL = 0; }")))
        call = "message A {} message B {} "
        self.assertEqual(1, len(self.breaks(call + "service S { rpc F(A) returns (A); }",
                                            call + "service S { rpc F(A) returns (B); }")))
        self.assertEqual(1, len(self.breaks(call + "service S { rpc F(A) returns (A); }",
                                            call + "service S { rpc F(stream A) returns (A); }")))
        self.assertEqual(1, len(self.breaks(call + "service S { rpc F(A) returns (A); }", call)))

    def test_reasons_and_their_page_agree(self):
        header = 'inline constexpr char kA[] = "A_B";\ninline constexpr char kC[] = "C";\n'
        self.expect(reasons, {"base/error_reasons.h": header,
                              "docs/errors.md": "| `A_B` | X | y |\n| `C` | X | y |\n"})
        self.expect(reasons, {"base/error_reasons.h": header, "docs/errors.md": "| `A_B` | X | y |\n| `D` | X | y |"},
                    "base/error_reasons.h:1", "docs/errors.md:1")

    def test_metrics_that_are_not_documented_are_found(self):
        self.expect(metrics, {
            "docs/metrics.md": "`distill_a_total`, `distill_b_seconds`",
            "server/x.cc": 'm.AddCounter("distill_a_total", ""); m.AddGauge("distill_c", "");'
                           'm.AddHistogram("distill_b_seconds", "");',
            "server/y.cc": 'const char* field = "distill_modules";',
            "deploy/rules.yml": "expr: rate(distill_b_seconds_bucket[5m]) + distill:b:p99\nexpr: distill_d > 0\n"},
            "server/x.cc:1", "deploy/rules.yml:2")

    def test_metrics_that_nothing_exports_are_found(self):
        self.expect(metrics, {
            "docs/metrics.md": "`distill_a_total`, `distill_b_seconds`",
            "server/x.cc": 'm.AddCounter("distill_a_total", "");'}, "docs/metrics.md:1")

    def test_alerts_without_a_runbook_are_found(self):
        self.expect(runbooks, {
            "docs/runbooks.md": "# All\n## One\n* Means: a\n* Look at: b\n* Do: c\n## Four\n",
            "deploy/rules.yml": "- alert: One\n  runbook: docs/runbooks.md#one\n"
                                "- alert: Two\n  runbook: docs/runbooks.md#two\n- alert: Three\n",
            "deploy/tests.yml": "- {eval_time: 1m, alertname: One}\n- {alertname: Two}\n- {alertname: Three}\n"
                                "  alertname: One\n  exp_alerts:\n  alertname: Two\n  exp_alerts:\n"},
            "deploy/rules.yml:1", "deploy/rules.yml:1", "docs/runbooks.md:1", "deploy/rules.yml:1")

    def test_an_alert_page_that_says_too_little_is_found(self):
        self.expect(runbooks, {
            "docs/runbooks.md": "## One\n* Means: a\n* Do: c\n",
            "deploy/rules.yml": "- alert: One\n  runbook: docs/runbooks.md#one\n",
            "deploy/tests.yml": "- {alertname: One}\n  alertname: One\n  exp_alerts:\n"},
            "docs/runbooks.md:1")

    def test_dashboards_that_grafana_or_people_cannot_read_are_found(self):
        def board(**changes):
            panel = {"id": 1, "type": "stat", "title": "T", "description": "What.", "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8},
                     "datasource": {"uid": "${datasource}"}, "fieldConfig": {"defaults": {"unit": "s"}},
                     "targets": [{"expr": 'up{job=~"$job"}', "legendFormat": "x"}]}
            panel.update(changes)
            return json.dumps({"uid": "u", "title": "T", "description": "D", "panels": [panel],
                               "templating": {"list": [{"name": "datasource"}, {"name": "job"}]}})

        path = "deploy/grafana/a.json"
        self.expect(dashboards, {path: board()})
        for changes in ({"description": ""}, {"fieldConfig": {"defaults": {}}}, {"datasource": {"uid": "mine"}},
                        {"targets": []}, {"targets": [{"expr": "up", "legendFormat": "x"}]},
                        {"targets": [{"expr": 'up{job=~"$job", a="$b"}', "legendFormat": "x"}]},
                        {"gridPos": {"x": 20, "y": 0, "w": 8, "h": 8}}):
            self.expect(dashboards, {path: board(**changes)}, f"{path}:1")
        self.expect(dashboards, {path: "{"}, f"{path}:1")

    def test_a_reference_that_lags_behind_the_protocol_is_found(self):
        model = """// How it trains.
message Recipe {
  // Passes. 0 to 10. Default 1.5.
  optional double epochs = 1;
  // How. Default KD_KIND_SOFT.
  optional KdKind kind = 2;
}
enum KdKind {
  KD_KIND_UNSPECIFIED = 0;
  KD_KIND_SOFT = 1;  // Softly.
}
"""
        job = "message JobSpec {\n  repeated int32 sizes = 1;\n  Recipe recipe = 2;\n}\n"
        page = f"# Job\n{job_file_reference.BEGIN}\n{job_file_reference.END}\n"
        files = {"proto/distill/v1/model.proto": model, "proto/distill/v1/job.proto": job, "docs/job-file.md": page}
        self.expect(job_file_reference, files, "docs/job-file.md:1")
        text = job_file_reference.reference(self.tree(files))
        self.assertIn("| `sizes` | list of whole numbers |", text)
        self.assertIn("| `epochs` | number | 1.5 | Passes. 0 to 10. |", text)
        self.assertIn("| `kind` | [KdKind](#kdkind) | `soft` | How. |", text)
        self.assertIn("| `soft` | Softly. |", text)
        files["docs/job-file.md"] = job_file_reference.with_reference(page, text)
        self.expect(job_file_reference, files)


if __name__ == "__main__":
    unittest.main()
