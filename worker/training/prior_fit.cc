#include "worker/training/prior_fit.h"

#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/priors/graph/connectivity.h"
#include "worker/priors/graph/signature_fit.h"
#include "worker/training/nac_builder.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);
// Bandwidths start here; the picture is of the start.
constexpr double kBandwidth = 1.0;

priors::FitConfig FitConfigOf(const v1::NacSpec& nac) {
  priors::FitConfig config;
  if (nac.has_signature_dim()) config.signature_dim = nac.signature_dim();
  if (nac.prior().has_fit_steps()) config.steps = nac.prior().fit_steps();
  if (nac.prior().has_fit_learning_rate()) config.learning_rate = nac.prior().fit_learning_rate();
  if (nac.prior().has_fit_threshold()) config.threshold = nac.prior().fit_threshold();
  return config;
}

// Reports how far the fit is, and ends it when it is no longer wanted. One thread.
class FitObserver {
 public:
  FitObserver(const v1::MemberAssignment& assignment, const TrainingEnvironment& environment,
              int64_t steps)
      : assignment_(assignment),
        environment_(environment),
        steps_(steps),
        last_report_(environment.clock.Now()) {}

  absl::Status Observe(int64_t steps_done) {
    if (environment_.observer.IsCancelled(assignment_.member()) ||
        environment_.observer.IsStopRequested()) {
      return absl::CancelledError("fit was stopped");
    }
    const MonotonicTime now = environment_.clock.Now();
    if (now - last_report_ < kProgressInterval) return absl::OkStatus();
    last_report_ = now;
    v1::MemberProgress report;
    report.set_member(assignment_.member());
    report.set_started(true);
    report.mutable_progress()->set_phase("fitting");
    report.mutable_progress()->set_step(steps_done);
    report.mutable_progress()->set_total_steps(steps_);
    report.mutable_progress()->set_loss(std::nan(""));
    report.mutable_progress()->set_eta_seconds(-1);
    environment_.observer.OnProgress(report);
    return absl::OkStatus();
  }

 private:
  const v1::MemberAssignment& assignment_;
  const TrainingEnvironment& environment_;
  const int64_t steps_;
  MonotonicTime last_report_;
};

TensorFile SignatureFile(const priors::FittedPrior& fitted) {
  const priors::Signatures& signatures = fitted.fit.signatures;
  torch::Tensor rows = torch::empty({signatures.nodes, signatures.dim}, torch::kFloat);
  std::memcpy(rows.data_ptr<float>(), signatures.values.data(),
              signatures.values.size() * sizeof(float));
  torch::Tensor graph = torch::empty({signatures.nodes, signatures.nodes}, torch::kUInt8);
  for (int64_t u = 0; u < signatures.nodes; ++u) {
    std::memcpy(graph[u].data_ptr<uint8_t>(), fitted.graph.Row(u),
                static_cast<size_t>(signatures.nodes));
  }
  TensorFile file;
  file.tensors = {{"signatures", rows}, {"graph", graph}};
  return file;
}

double Rounded(double value) { return std::round(value * 1e8) / 1e8; }

// PriorConnectivity in protobuf's JSON names, keys sorted.
std::string ConnectivityJson(const priors::Connectivity& found) {
  const nlohmann::json json = {
      {"nodes", found.nodes},
      {"edges", found.edges},
      {"density", Rounded(found.density)},
      {"threshold", Rounded(found.threshold)},
      {"truncation", Rounded(found.truncation)},
      {"edgesWithinThreshold", Rounded(found.edges_within_threshold)},
      {"nonEdgesBelowThreshold", Rounded(found.non_edges_below_threshold)},
      {"nearestNonEdge", Rounded(found.nearest_non_edge)},
      {"edgesKept", Rounded(found.edges_kept)},
      {"nonEdgesWithinTruncation", Rounded(found.non_edges_within_truncation)},
      {"links", Rounded(found.links)},
      {"graphDegrees", found.graph_degrees},
      {"linkDegrees", found.link_degrees}};
  return json.dump() + "\n";
}

absl::StatusOr<v1::ProducedFile> WriteBytes(const v1::MemberAssignment& assignment,
                                            const std::string& name, const std::string& file_name,
                                            const std::string& bytes) {
  v1::ProducedFile produced;
  produced.set_name(name);
  produced.set_path(JoinPath(assignment.output_directory(), file_name));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(produced.path(), bytes));
  return produced;
}

}  // namespace

absl::StatusOr<std::vector<v1::ProducedFile>> FitPrior(const v1::MemberAssignment& assignment,
                                                       const TrainingEnvironment& environment) {
  const v1::TaskSpec& spec = assignment.spec();
  if (!spec.student().has_nac()) {
    return absl::InvalidArgumentError("cannot fit prior: student.nac is not set");
  }
  const v1::NacSpec& nac = spec.student().nac();
  const priors::FitConfig config = FitConfigOf(nac);
  FitObserver observer(assignment, environment, config.steps);
  DISTILL_ASSIGN_OR_RETURN(
      const priors::FittedPrior fitted,
      priors::FitPrior(PriorConfigOf(nac), config, spec.seed(),
                       [&observer](int64_t steps) { return observer.Observe(steps); }));
  const priors::Signatures& signatures = fitted.fit.signatures;

  v1::ProducedFile file;
  file.set_name("signatures");
  file.set_path(JoinPath(assignment.output_directory(), "signatures.safetensors"));
  DISTILL_RETURN_IF_ERROR(WriteTensorFile(file.path(), SignatureFile(fitted)));
  DISTILL_ASSIGN_OR_RETURN(
      const v1::ProducedFile connectivity,
      WriteBytes(assignment, "connectivity", "connectivity.json",
                 ConnectivityJson(priors::MeasureConnectivity(
                     fitted.graph, signatures, config.threshold, nac.truncation()))));
  DISTILL_ASSIGN_OR_RETURN(
      const std::string picture,
      priors::MatrixPicture(priors::Affinities(signatures, kBandwidth, nac.truncation()),
                            signatures.nodes));
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile affinity,
                           WriteBytes(assignment, "affinity", "affinity.png", picture));
  return std::vector<v1::ProducedFile>{file, connectivity, affinity};
}

}  // namespace distill::training
