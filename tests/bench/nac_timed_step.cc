// Times one training step of a small Neural Attentive Circuit with our trainer's own parts, exactly
// the step of pytorch_nac_step.py beside it: forward, cross entropy, backward, AdamW. No I/O, no
// augmentation. Prints the same JSON line, so that nac_step_bench.py can first compare the losses
// and then the time.
#include <torch/torch.h>

#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "nlohmann/json.hpp"
#include "tests/bench/step_timing.h"
#include "tests/support/torch/fill_rule.h"
#include "worker/models/nac/nac_network.h"
#include "worker/models/nac/nac_state.h"
#include "worker/optimization/adamw.h"
#include "worker/optimization/losses.h"

namespace distill {
namespace {

constexpr int64_t kClasses = 10;
constexpr double kAmplitude = 0.05;

struct Options {
  int64_t batch = 64;
  int64_t image = 28;
  int64_t channels = 1;
  int64_t state = 64;
  int64_t mediators = 64;
  int64_t layers = 2;
  int64_t steps = 30;
  int64_t warmup = 5;
  int64_t noise = 0;
  bool float64 = false;
};

models::NacConfig Config(const Options& options) {
  models::NacConfig config;
  config.image_size = options.image;
  config.channels = options.channels;
  config.classes = kClasses;
  config.state_dim = options.state;
  config.mediator_latents = options.mediators;
  config.layers = options.layers;
  config.bandwidth_form = models::BandwidthForm::kFree;
  // Without noise the peer's states have no variance to learn, nor the names that the fill counts.
  config.state_noise = options.noise != 0;
  return config;
}

// One run: all tensors and the step.
class Workload {
 public:
  explicit Workload(const Options& options)
      : noise_(options.noise != 0),
        network_(Build(options)),
        optimiser_(network_.Parameters(), PeerOptimiser()) {
    images_ = SineInput({options.batch, options.channels, options.image, options.image}, 0.01,
                        options.float64 ? torch::kDouble : torch::kFloat);
    labels_ = torch::arange(options.batch, torch::kLong).remainder(kClasses);
  }

  double Step() {
    models::ForwardContext context;
    context.training = noise_;
    context.random = CounterRandom(++step_);
    const torch::Tensor loss =
        optimization::CrossEntropy(network_.Forward(images_, context), labels_);
    optimiser_.ZeroGradients();
    loss.backward();
    optimiser_.Step(1e-3);
    return loss.item<double>();
  }

 private:
  static models::Nac Build(const Options& options) {
    models::Nac nac = models::CreateNac(Config(options)).value();
    if (options.float64) nac->to(torch::kDouble);
    const std::vector<models::NamedTensor> state = ExportState(nac);
    FillByRule(state, kAmplitude);
    for (const models::NamedTensor& parameter : state) {
      if (absl::EndsWith(parameter.name, "bandwidth")) parameter.tensor.fill_(1.0);
    }
    return nac;
  }

  // The peer decays every parameter.
  static optimization::AdamWConfig PeerOptimiser() {
    optimization::AdamWConfig config;
    config.rule = optimization::DecayRule::kAll;
    return config;
  }

  const bool noise_;
  uint64_t step_ = 0;
  models::NacNetwork network_;
  optimization::AdamW optimiser_;
  torch::Tensor images_;
  torch::Tensor labels_;
};

void Run(const Options& options) {
  Workload workload(options);
  nlohmann::json line =
      TimeSteps([&] { return workload.Step(); }, options.warmup, options.steps, options.batch);
  line["noise"] = options.noise;
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace
}  // namespace distill

int main(int argc, char** argv) {
  CLI::App app("One training step of a small Neural Attentive Circuit, timed");
  distill::Options options;
  app.add_option("--batch", options.batch, "Images per step");
  app.add_option("--image", options.image, "Pixels of a side");
  app.add_option("--channels", options.channels, "Channels of an image");
  app.add_option("--state", options.state, "Width of states");
  app.add_option("--mediators", options.mediators, "Mediator latents");
  app.add_option("--layers", options.layers, "Propagation layers");
  app.add_option("--steps", options.steps, "Steps that are timed");
  app.add_option("--warmup", options.warmup, "Steps before");
  app.add_option("--noise", options.noise, "1: draw what training draws");
  app.add_flag("--float64", options.float64, "Compute in float64, to compare losses only");
  CLI11_PARSE(app, argc, argv);
  distill::Run(options);
  return 0;
}
