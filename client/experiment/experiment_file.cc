#include "client/experiment/experiment_file.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/status_macros.h"
#include "client/jobfile/document.h"
#include "client/jobfile/job_file.h"
#include "client/jobfile/names.h"
#include "client/jobfile/overrides.h"

namespace distill::client {
namespace {

constexpr size_t kMostComplaints = 20;

// "path=value", as --set takes it.
using Overrides = std::vector<std::string>;

struct Arm {
  std::string name;
  Overrides overrides;
};
struct Axis {
  std::string key;
  std::vector<std::string> values;
};

// A node as it would be written on one line.
std::string FlowText(const Node& node) {
  std::vector<std::string> parts;
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kScalar:
      if (!node.quoted) return node.text;
      return absl::StrCat(
          "\"", absl::StrReplaceAll(node.text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
          "\"");
    case Node::Kind::kSequence:
      for (const Node& item : node.items) parts.push_back(FlowText(item));
      return absl::StrCat("[", absl::StrJoin(parts, ", "), "]");
    case Node::Kind::kMapping:
      for (size_t i = 0; i < node.items.size(); ++i) {
        parts.push_back(absl::StrCat(node.keys[i].text, ": ", FlowText(node.items[i])));
      }
      return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
  }
  return "";
}

// Reads the parts of the file that are not the job's, and collects complaints.
class FileReader {
 public:
  explicit FileReader(const std::string& name) : name_(name) {}

  absl::Status Read(const std::string& text) {
    std::vector<Problem> problems;
    Node root;
    if (!ParseDocument(text, &root, &problems)) {
      for (const Problem& problem : problems) Complain(problem.position, problem.text);
    } else {
      ReadRoot(root);
    }
    return complaints_.empty() ? absl::OkStatus()
                               : absl::InvalidArgumentError(absl::StrJoin(complaints_, "\n"));
  }

  Experiment experiment;
  std::string base;
  std::vector<uint64_t> seeds = {0};
  Overrides overrides;
  std::vector<Arm> arms;
  std::vector<Axis> grid;

 private:
  void Complain(Position position, const std::string& text) {
    if (complaints_.size() >= kMostComplaints) return;
    complaints_.push_back(
        absl::StrCat(name_, ":", position.line, ":", position.column, ": ", text));
  }
  bool Expect(const Node& node, Node::Kind kind, absl::string_view what) {
    if (node.kind == kind) return true;
    Complain(node.position, absl::StrCat("expected ", what));
    return false;
  }
  std::string Text(const Node& node, absl::string_view what) {
    return Expect(node, Node::Kind::kScalar, what) ? node.text : "";
  }

  // Calls `read` for each entry whose key is known.
  template <typename Read>
  void ReadKeys(const Node& node, const std::vector<std::string>& known, Read read) {
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string& key = node.keys[i].text;
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        Complain(node.keys[i].position,
                 absl::StrCat("unknown key \"", key, "\"", Suggestion(key, known, "keys")));
      } else {
        read(key, node.items[i]);
      }
    }
  }

  void ReadRoot(const Node& root) {
    if (!Expect(root, Node::Kind::kMapping, "keys and values")) return;
    ReadKeys(root,
             {"name", "title", "description", "base", "seeds", "set", "arms", "grid", "models",
              "compare"},
             [this](const std::string& key, const Node& value) { ReadKey(key, value); });
    if (!IsValidIdText(experiment.name)) {
      Complain(root.position, "name: expected 1 to 128 of letters, digits, . _ and -");
    }
    if (base.empty()) Complain(root.position, "base: expected the job file that is varied");
    for (const ExperimentComparison& comparison : experiment.comparisons) {
      const bool is_axis =
          comparison.across.empty() || (comparison.across == kArmAxis && !arms.empty()) ||
          std::any_of(grid.begin(), grid.end(),
                      [&](const Axis& axis) { return axis.key == comparison.across; });
      if (!is_axis) {
        Complain(root.position,
                 absl::StrCat("compare: across: nothing varies along \"", comparison.across, "\""));
      }
    }
  }

  void ReadKey(const std::string& key, const Node& value) {
    if (key == "name") experiment.name = Text(value, "a name");
    if (key == "title") experiment.title = Text(value, "a title");
    if (key == "description") experiment.description = Text(value, "text");
    if (key == "base") base = Text(value, "a file name");
    if (key == "seeds") ReadSeeds(value);
    if (key == "set") overrides = ReadOverrides(value);
    if (key == "arms") ReadArms(value);
    if (key == "grid") ReadGrid(value);
    if (key == "models") experiment.models = ReadTexts(value);
    if (key == "compare") ReadComparisons(value);
  }

  std::vector<std::string> ReadTexts(const Node& node) {
    std::vector<std::string> texts;
    if (!Expect(node, Node::Kind::kSequence, "a list")) return texts;
    for (const Node& item : node.items) texts.push_back(Text(item, "text"));
    return texts;
  }

  void ReadSeeds(const Node& node) {
    if (!Expect(node, Node::Kind::kSequence, "a list of seeds")) return;
    seeds.clear();
    for (const Node& item : node.items) {
      uint64_t seed = 0;
      if (item.kind != Node::Kind::kScalar || !absl::SimpleAtoi(item.text, &seed) ||
          std::find(seeds.begin(), seeds.end(), seed) != seeds.end()) {
        Complain(item.position, "seeds: expected numbers from 0, each once");
      }
      seeds.push_back(seed);
    }
    if (seeds.empty()) Complain(node.position, "seeds: expected at least one");
  }

  Overrides ReadOverrides(const Node& node) {
    Overrides changes;
    if (!Expect(node, Node::Kind::kMapping, "keys of the job and their values")) return changes;
    for (size_t i = 0; i < node.items.size(); ++i) {
      changes.push_back(absl::StrCat(node.keys[i].text, "=", FlowText(node.items[i])));
    }
    return changes;
  }

  void ReadArms(const Node& node) {
    if (!Expect(node, Node::Kind::kSequence, "a list of arms")) return;
    for (const Node& item : node.items) {
      Arm arm;
      if (!Expect(item, Node::Kind::kMapping, "name and set")) continue;
      ReadKeys(item, {"name", "set"}, [&](const std::string& key, const Node& value) {
        if (key == "name") arm.name = Text(value, "a name");
        if (key == "set") arm.overrides = ReadOverrides(value);
      });
      const bool taken = std::any_of(arms.begin(), arms.end(),
                                     [&](const Arm& other) { return other.name == arm.name; });
      if (arm.name.empty() || taken) {
        Complain(item.position, "arms: expected a name of its own for each arm");
      }
      arms.push_back(std::move(arm));
    }
  }

  void ReadGrid(const Node& node) {
    if (!Expect(node, Node::Kind::kMapping, "keys of the job and lists of values")) return;
    for (size_t i = 0; i < node.items.size(); ++i) {
      Axis axis;
      axis.key = node.keys[i].text;
      if (!Expect(node.items[i], Node::Kind::kSequence, "a list of values")) continue;
      for (const Node& value : node.items[i].items) axis.values.push_back(FlowText(value));
      if (axis.values.empty()) Complain(node.items[i].position, "expected at least one value");
      grid.push_back(std::move(axis));
    }
  }

  void ReadComparisons(const Node& node) {
    if (!Expect(node, Node::Kind::kSequence, "a list of comparisons")) return;
    for (const Node& item : node.items) {
      ExperimentComparison comparison;
      if (!Expect(item, Node::Kind::kMapping, "model, and against or across")) continue;
      ReadKeys(item, {"model", "against", "across", "claim"},
               [&](const std::string& key, const Node& value) {
                 if (key == "model") comparison.model = Text(value, "a model's label");
                 if (key == "against") comparison.against = Text(value, "a model's label");
                 if (key == "across") comparison.across = Text(value, "an axis");
                 if (key == "claim") comparison.claim = ReadClaim(value);
               });
      if (comparison.model.empty() || comparison.against.empty() == comparison.across.empty()) {
        Complain(item.position, "compare: expected model, and either against or across");
      }
      experiment.comparisons.push_back(std::move(comparison));
    }
  }

  Claim ReadClaim(const Node& node) {
    const std::string text = Text(node, "higher, lower or same");
    if (text == "higher") return Claim::kHigher;
    if (text == "lower") return Claim::kLower;
    if (text == "same") return Claim::kSame;
    Complain(node.position, "claim: expected higher, lower or same");
    return Claim::kNone;
  }

  const std::string name_;
  std::vector<std::string> complaints_;
};

// A job on its way to its settings.
struct Point {
  Settings settings;
  v1::JobSpec spec;
};

absl::Status Apply(const Overrides& overrides, v1::JobSpec* spec) {
  for (const std::string& change : overrides) {
    DISTILL_RETURN_IF_ERROR(ApplyOverride("set:", change, spec));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Point>> ExpandPoints(const FileReader& file, v1::JobSpec base) {
  DISTILL_RETURN_IF_ERROR(Apply(file.overrides, &base));
  std::vector<Point> points;
  for (const Arm& arm : file.arms) {
    Point point{{{kArmAxis, arm.name}}, base};
    DISTILL_RETURN_IF_ERROR(Apply(arm.overrides, &point.spec));
    points.push_back(std::move(point));
  }
  if (points.empty()) points.push_back({{}, base});
  for (const Axis& axis : file.grid) {
    std::vector<Point> product;
    if (points.size() * axis.values.size() * file.seeds.size() > kMaxExperimentRuns) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot read experiment: it makes more than ", kMaxExperimentRuns,
                       " jobs; vary less at a time"));
    }
    for (const Point& point : points) {
      for (const std::string& value : axis.values) {
        Point next = point;
        next.settings.emplace_back(axis.key, value);
        DISTILL_RETURN_IF_ERROR(
            ApplyOverride("grid:", absl::StrCat(axis.key, "=", value), &next.spec));
        product.push_back(std::move(next));
      }
    }
    points = std::move(product);
  }
  return points;
}

}  // namespace

std::string SettingsLabel(const Settings& settings) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : settings) {
    parts.push_back(key == kArmAxis ? value : absl::StrCat(key, "=", value));
  }
  return parts.empty() ? "base" : absl::StrJoin(parts, " ");
}

absl::StatusOr<Experiment> ReadExperiment(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxDocumentBytes));
  FileReader file(path);
  DISTILL_RETURN_IF_ERROR(file.Read(text));
  const size_t slash = path.rfind('/');
  const bool is_beside = slash != std::string::npos && file.base[0] != '/';
  DISTILL_ASSIGN_OR_RETURN(
      const JobFile base,
      ReadJobFile(is_beside ? JoinPath(path.substr(0, slash), file.base) : file.base));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Point> points, ExpandPoints(file, base.spec));
  Experiment experiment = std::move(file.experiment);
  for (const Point& point : points) {
    for (const uint64_t seed : file.seeds) {
      ExperimentRun run{point.settings, seed, point.spec};
      run.spec.set_seed(seed);
      run.spec.set_display_name(
          absl::StrCat(experiment.name, " ", SettingsLabel(point.settings), " seed=", seed)
              .substr(0, 200));
      experiment.runs.push_back(std::move(run));
    }
  }
  return experiment;
}

}  // namespace distill::client
