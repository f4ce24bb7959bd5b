// NACs and their modules as networks that a trainer trains.
#pragma once

#include <string>
#include <vector>

#include "worker/models/nac/nac.h"
#include "worker/models/nac/nac_module.h"
#include "worker/models/network.h"

namespace distill::models {

// A whole NAC. A class that derives from it may add a regulariser of nac()'s signatures.
class NacNetwork : public Network {
 public:
  // `nac` is shared with the caller's holder.
  explicit NacNetwork(Nac nac) : nac_(std::move(nac)) {}

  torch::Tensor Forward(const torch::Tensor& input, const ForwardContext& context) const override;
  torch::Tensor Features(const torch::Tensor& input, const ForwardContext& context) const override;
  torch::Tensor Classify(const torch::Tensor& features) const override;
  std::vector<NamedTensor> Parameters() const override;
  std::vector<NamedTensor> State() const override;
  absl::Status Import(const StateMap& state, const ImportOptions& options) override;
  void Initialize(const CounterRandom& random) override;
  void MoveTo(const torch::Device& device) override { nac_.ptr()->to(device); }
  std::string Architecture() const override;
  bool IsClassifier(absl::string_view parameter) const override;

  const Nac& nac() const { return nac_; }

 private:
  const Nac nac_;
};

// One module of a NAC.
class NacModuleNetwork : public Network {
 public:
  // `module` is shared with the caller's holder.
  explicit NacModuleNetwork(NacModule module) : module_(std::move(module)) {}

  torch::Tensor Forward(const torch::Tensor& input, const ForwardContext& context) const override;
  std::vector<NamedTensor> Parameters() const override;
  std::vector<NamedTensor> State() const override;
  absl::Status Import(const StateMap& state, const ImportOptions& options) override;
  void Initialize(const CounterRandom& random) override;
  void MoveTo(const torch::Device& device) override { module_.ptr()->to(device); }
  std::string Architecture() const override;
  bool IsClassifier(absl::string_view parameter) const override;

  const NacModule& module() const { return module_; }

 private:
  const NacModule module_;
};

}  // namespace distill::models
