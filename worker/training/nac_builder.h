// NACs from the messages of a task: the whole network with its regulariser, its modules, and the
// whole made of modules and of a fitted prior.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "distill/v1/task.pb.h"
#include "worker/models/nac/nac_network.h"
#include "worker/optimization/schedule.h"
#include "worker/priors/signature_regulariser.h"
#include "worker/training/tensor_file.h"

namespace distill::training {

// A whole NAC whose signatures a regulariser looks at.
class RegularisedNac : public models::NacNetwork {
 public:
  // `regulariser` may be null: then the loss gets no such term.
  RegularisedNac(models::Nac nac, std::unique_ptr<priors::SignatureRegulariser> regulariser,
                 const optimization::WeightSchedule& weight);

  models::AuxiliaryLoss Regulariser(const models::TrainingMoment& moment) override;
  std::vector<models::NamedTensor> RunState() const override;
  absl::Status ImportRunState(const models::StateMap& state) override;

 private:
  const std::unique_ptr<priors::SignatureRegulariser> regulariser_;
  const optimization::WeightSchedule weight_;
};

// All of these return kInvalidArgument naming the field that is missing or wrong.

absl::StatusOr<std::unique_ptr<models::Network>> BuildNac(const v1::TaskSpec& spec,
                                                          double drop_path);
// Module `module_index` of 0 .. modules - 1: the read-in, mediator layers, the read-out.
absl::StatusOr<std::unique_ptr<models::Network>> BuildNacModule(const v1::TaskSpec& spec,
                                                                double drop_path);

// Gives the mediators of a NAC that BuildNac built the "signatures" of the file `path`, which a
// FIT_PRIOR task wrote.
absl::Status LoadSignatures(const std::string& path, models::Network& nac);

// Fills a NAC that BuildNac built with first weights, signatures of `signatures_path`, and the
// weights of its modules (ReadModule), in order.
absl::Status AssembleNac(const v1::TaskSpec& spec, const std::string& signatures_path,
                         const std::vector<NamedTensors>& modules, models::Network& nac);

// The graph of a prior with as many nodes as the student has mediators.
priors::PriorConfig PriorConfigOf(const v1::NacSpec& nac);

}  // namespace distill::training
