#include "server/report/markdown_sections.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/report/markdown_table.h"

namespace distill::server {
namespace {

constexpr int kDegreeBins = 8;
constexpr int kMostExpertsNamed = 16;

std::string Heading(absl::string_view title) { return absl::StrCat("\n## ", title, "\n\n"); }

// Degrees in at most kDegreeBins ranges of equal width: both histograms side by side.
std::string DegreeTable(const v1::PriorConnectivity& connectivity) {
  const int degrees = std::max(connectivity.graph_degrees_size(), connectivity.link_degrees_size());
  if (degrees == 0) return "";
  const int width = (degrees + kDegreeBins - 1) / kDegreeBins;
  std::string table = absl::StrCat(
      "\n", Header({"links of a mediator", "mediators in the graph", "within truncation"}));
  const auto count = [width](const auto& histogram, int first) {
    int64_t sum = 0;
    for (int i = first; i < std::min(first + width, histogram.size()); ++i) sum += histogram.Get(i);
    return absl::StrCat(sum);
  };
  for (int first = 0; first < degrees; first += width) {
    const int last = std::min(first + width, degrees) - 1;
    absl::StrAppend(&table,
                    Row({first == last ? absl::StrCat(first) : absl::StrCat(first, " to ", last),
                         count(connectivity.graph_degrees(), first),
                         count(connectivity.link_degrees(), first)}));
  }
  return table;
}

// The blocks that hold the student's mixtures, in order; every block where the job names none.
std::vector<int> MixtureBlocks(const v1::VmoeSpec& vmoe, int mixtures) {
  std::vector<int> blocks(vmoe.moe_blocks().begin(), vmoe.moe_blocks().end());
  std::sort(blocks.begin(), blocks.end());
  for (int block = static_cast<int>(blocks.size()); block < mixtures; ++block) {
    blocks.push_back(block);
  }
  return blocks;
}

// What the data set of an episode is called: its name, else its path.
std::string EpisodeDataset(const v1::Report& report, absl::string_view episode) {
  for (const v1::FewShotSpec& few_shot : report.job().spec().few_shot()) {
    if (few_shot.name() != episode) continue;
    return few_shot.dataset().name().empty() ? few_shot.dataset().path()
                                             : few_shot.dataset().name();
  }
  return "";
}

std::string Mebibytes(int64_t bytes) { return absl::StrCat(bytes >> 20, " MiB"); }

}  // namespace

std::string OutOfDistributionSection(const v1::Report& report) {
  std::string rows;
  for (const v1::Report::Model& model : report.models()) {
    for (const auto& set : model.result().out_of_distribution()) {
      absl::StrAppend(&rows, Row({model.label(), set.name(), Percent(set.accuracy()),
                                  Grouped(set.images()), absl::StrCat(set.classes())}));
    }
  }
  if (rows.empty()) return "";
  return absl::StrCat(Heading("Out of distribution"), "Among the classes of each set alone.\n\n",
                      Header({"model", "set", "accuracy", "images", "classes"}), rows);
}

std::string FewShotSection(const v1::Report& report) {
  if (report.few_shot().empty()) return "";
  std::string table = Header(
      {"episode", "data set", "classes", "images a class", "accuracy", "chance", "test images"});
  for (const v1::Report::FewShot& few_shot : report.few_shot()) {
    absl::StrAppend(&table,
                    Row({few_shot.name(), Escaped(EpisodeDataset(report, few_shot.name())),
                         absl::StrCat(few_shot.ways()), absl::StrCat(few_shot.shots()),
                         few_shot.has_accuracy()
                             ? Percent(few_shot.accuracy())
                             : absl::StrCat("(", absl::AsciiStrToLower(few_shot.state()), ")"),
                         Percent(1.0 / std::max(1, few_shot.ways())), Grouped(few_shot.images())}));
  }
  return absl::StrCat(Heading("Few-shot"), "Only the student's classifier is trained.\n\n", table);
}

std::string PriorSection(const v1::Report& report) {
  if (!report.has_prior()) return "";
  const v1::Report::Prior& prior = report.prior();
  std::string section = Heading(absl::StrCat("Graph prior: ", prior.kind()));
  if (!prior.has_connectivity()) {
    return absl::StrCat(section, "(", absl::AsciiStrToLower(prior.state()), ")\n");
  }
  const v1::PriorConnectivity& fitted = prior.connectivity();
  absl::StrAppend(&section, "Signatures of ", fitted.nodes(), " mediators are fitted to ",
                  Grouped(fitted.edges()), " edges; links are pairs within distance ",
                  fitted.truncation(), ".\n\n");
  absl::StrAppend(&section, Header({"share", "of the pairs"}),
                  Row({"edges of the graph", Percent(fitted.density())}),
                  Row({"links", Percent(fitted.links())}));
  absl::StrAppend(
      &section, "\n", Header({"share", "of them"}),
      Row({"edges that are links", Percent(fitted.edges_kept())}),
      Row({absl::StrCat("edges fitted to distance ", fitted.threshold()),
           Percent(fitted.edges_within_threshold())}),
      Row({"other pairs that are links",
           fitted.density() < 1.0 ? Percent(fitted.non_edges_within_truncation()) : "-"}));
  absl::StrAppend(&section, DegreeTable(fitted),
                  "\nPicture of the links (PNG; from black, alike, to white, no link): ",
                  Code(prior.affinity_digest()), ", signatures: ", Code(prior.signatures_digest()),
                  "; `distill artifact get DIGEST --file PATH` fetches them.\n");
  return section;
}

std::string ExpertSection(const v1::Report& report) {
  const v1::EvaluationResult* student = nullptr;
  for (const v1::Report::Model& model : report.models()) {
    if (model.label() == "student" && model.result().experts() > 0) student = &model.result();
  }
  if (student == nullptr) return "";
  const int experts = student->experts();
  const int mixtures = student->expert_load_size() / experts;
  const bool can_drop = student->expert_dropped_size() == mixtures;
  const bool names_each = experts <= kMostExpertsNamed;
  std::vector<std::string> head = {"block", "least used", "most used"};
  if (can_drop) head.push_back("dropped");
  if (names_each) head.push_back("share of each expert");
  const std::vector<int> blocks = MixtureBlocks(report.job().spec().student().vmoe(), mixtures);
  std::string table = Header(head);
  for (int mixture = 0; mixture < mixtures; ++mixture) {
    const auto first = student->expert_load().begin() + mixture * experts;
    const auto [least, most] = std::minmax_element(first, first + experts);
    std::vector<std::string> cells = {absl::StrCat(blocks[static_cast<size_t>(mixture)]),
                                      Percent(*least), Percent(*most)};
    if (can_drop) cells.push_back(Percent(student->expert_dropped(mixture)));
    if (names_each) {
      cells.push_back(absl::StrJoin(first, first + experts, " ", [](std::string* out, double load) {
        absl::StrAppendFormat(out, "%.3f", load);
      }));
    }
    absl::StrAppend(&table, Row(cells));
  }
  const bool by_experts =
      report.job().spec().student().vmoe().router().kind() == v1::ROUTER_KIND_EXPERT_CHOICE;
  return absl::StrCat(Heading("Expert loads of the student"),
                      "Share of token assignments on the test set; even would be ",
                      Percent(1.0 / experts), ".",
                      !can_drop    ? ""
                      : by_experts ? " Dropped: tokens that no expert took."
                                   : " Dropped: assignments that found their expert full.",
                      names_each ? "" : " That of each expert is in report.json.", "\n\n", table);
}

std::string LossTermSection(const v1::Report& report) {
  std::string rows;
  for (const v1::Report::TrainingEnd& end : report.training_ends()) {
    for (const v1::Series::Term& term : end.point().terms()) {
      absl::StrAppend(
          &rows, Row({end.task(), absl::StrReplaceAll(term.name(), {{"_", " "}}),
                      absl::StrFormat("%.6g", term.value()), absl::StrFormat("%.6g", term.weight()),
                      absl::StrFormat("%.6g", term.value() * term.weight()),
                      absl::StrFormat("%.6g", end.point().loss())}));
    }
  }
  if (rows.empty()) return "";
  return absl::StrCat(
      Heading("Other terms of the loss"),
      "What layers and regularisers added to the loss, at the last point of each training "
      "curve.\n\n",
      Header({"task", "term", "value", "weight", "weighted", "loss in all"}), rows);
}

std::string QualityGateSection(const v1::Report& report) {
  if (report.verdicts().empty()) return "";
  std::string table = Header({"module", "teacher hybrid", "candidates", "taken", "verdict"});
  for (const v1::ModuleVerdict& verdict : report.verdicts()) {
    std::string candidates;
    for (const v1::ModuleVerdict::Candidate& candidate : verdict.candidates()) {
      absl::StrAppend(&candidates, candidates.empty() ? "" : ", ",
                      candidate.handed_on() ? "not needed" : Percent(candidate.accuracy()));
    }
    absl::StrAppend(
        &table,
        Row({absl::StrCat(verdict.module_index()), Percent(verdict.teacher_accuracy()), candidates,
             absl::StrCat(verdict.chosen()), verdict.accepted() ? "passed" : "**not passed**"}));
  }
  return absl::StrCat(
      Heading("Quality gate"),
      "A module passes when its hybrid falls short of the teacher hybrid by at most ",
      absl::StrFormat("%.2f", 100.0 * report.verdicts(0).largest_accuracy_gap()),
      " points. Candidates are counted from 0, which has the seed of a job without a gate.\n\n",
      table);
}

std::string ReuseSection(const v1::Report& report) {
  std::string rows;
  v1::Report::Phase sum;
  for (const v1::Report::Phase& phase : report.phases()) {
    if (phase.tasks_reused() == 0) continue;
    absl::StrAppend(&rows, Row({phase.label(), absl::StrCat(phase.tasks_reused()),
                                absl::StrFormat("%.1f", phase.saved_wall_seconds()),
                                absl::StrFormat("%.1f", phase.saved_cpu_seconds())}));
    sum.set_tasks_reused(sum.tasks_reused() + phase.tasks_reused());
    sum.set_saved_wall_seconds(sum.saved_wall_seconds() + phase.saved_wall_seconds());
    sum.set_saved_cpu_seconds(sum.saved_cpu_seconds() + phase.saved_cpu_seconds());
  }
  if (rows.empty()) return "";
  return absl::StrCat(
      Heading("Reuse"),
      absl::StrFormat("Reused results saved **%.1f seconds** of running tasks (%.1f CPU "
                      "seconds).\n\n",
                      sum.saved_wall_seconds(), sum.saved_cpu_seconds()),
      Header({"phase", "tasks reused", "wall s saved", "CPU s saved"}), rows);
}

std::string MemorySection(const v1::Report& report) {
  std::string rows;
  for (const v1::Report::Phase& phase : report.phases()) {
    if (phase.peak_memory_bytes() <= 0) continue;
    const double ratio = static_cast<double>(phase.predicted_memory_bytes()) /
                         static_cast<double>(phase.peak_memory_bytes());
    absl::StrAppend(
        &rows, Row({phase.label(), Mebibytes(phase.peak_memory_bytes()),
                    Mebibytes(phase.predicted_memory_bytes()), absl::StrFormat("%.2f", ratio)}));
  }
  if (rows.empty()) return "";
  return absl::StrCat(Heading("Memory"),
                      "Peak of a trainer (shared by the tasks of a bundle), beside what was "
                      "predicted for the largest task alone.\n\n",
                      Header({"phase", "measured", "predicted", "predicted / measured"}), rows);
}

}  // namespace distill::server
