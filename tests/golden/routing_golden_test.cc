// Routers against values of the reference implementations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/golden/golden_data.h"
#include "worker/models/routing/balance_losses.h"
#include "worker/models/routing/router.h"

namespace distill {
namespace {

using models::RouterConfig;
using models::RouterKind;
using models::Routing;
using testing::ElementsAreArray;

// The tokens that `expert` computes.
std::vector<int64_t> TokensOf(const Routing& routing, size_t expert) {
  int64_t start = 0;
  for (size_t e = 0; e < expert; ++e) start += routing.counts[e];
  const torch::Tensor tokens = routing.tokens.narrow(0, start, routing.counts[expert]);
  return {tokens.data_ptr<int64_t>(), tokens.data_ptr<int64_t>() + tokens.numel()};
}

// What the original V-MoE computes from the fixed logits and noise.
struct VmoeCase {
  nlohmann::json golden = ReadGolden("routing.json").at("vmoe");
  torch::Tensor clean = ToTensor(golden.at("logits"));
  // The file has noise for a deviation of 1.
  torch::Tensor noise = ToTensor(golden.at("noise"));
  int64_t top_k = golden.at("top_k");
  double deviation = golden.at("noise_std").get<double>() / 3.0;
  torch::Tensor noisy = clean + noise * deviation;
};

TEST(RoutingGoldenTest, GateOfTheTopTwo) {
  const nlohmann::json golden = ReadGolden("routing.json");
  for (const nlohmann::json& row : golden.at("gate")) {
    const models::GateChoice choice =
        models::ChooseExperts(ToTensor(row.at("logits")).view({1, 3}), 2);
    EXPECT_TRUE(torch::equal(choice.experts, torch::tensor({{0, 1}}, torch::kLong)));
    EXPECT_TRUE(IsGolden(choice.weights[0], ToTensor(row.at("weights"))));
  }
}

TEST(RoutingGoldenTest, LossesOfTheOriginalVmoe) {
  const VmoeCase c;
  const torch::Tensor gates = torch::softmax(c.clean, -1).unsqueeze(0);
  EXPECT_TRUE(IsGolden(models::ImportanceLoss(gates)[0].item<double>(), c.golden.at("importance")));
  EXPECT_TRUE(IsGolden(models::GshardLoss(gates, gates.argmax(-1))[0].item<double>(),
                       c.golden.at("gshard_clean")));
  EXPECT_TRUE(IsGolden(models::KthLargest(c.noisy, c.top_k), ToTensor(c.golden.at("thresholds"))));
  EXPECT_TRUE(IsGolden(models::LoadProbabilities(c.clean, c.noisy, c.top_k, c.deviation).mean(0),
                       ToTensor(c.golden.at("mean_probabilities"))));
}

TEST(RoutingGoldenTest, RouterOfTheOriginalVmoe) {
  const VmoeCase c;
  RouterConfig config = models::DefaultRouter(RouterKind::kVmoe);
  models::RouterInput input;
  input.logits = c.clean;
  input.group_tokens = 4;
  input.training = input.wants_losses = true;
  const models::RouterDecision decision =
      models::Route(config, c.top_k, input, {c.noise, torch::Tensor()});
  EXPECT_TRUE(IsGolden(decision.losses.importance.item<double>(), c.golden.at("importance")));
  EXPECT_TRUE(IsGolden(decision.losses.load.item<double>(), c.golden.at("load")));
  EXPECT_FALSE(decision.losses.balance.defined());
  // Weights are shares of the softmax over all experts.
  EXPECT_TRUE(
      torch::equal(decision.weights, std::get<0>(torch::softmax(c.noisy, -1).topk(c.top_k, -1))));
}

TEST(RoutingGoldenTest, DispatchWithinACapacity) {
  const VmoeCase c;
  const auto [weights, experts] = torch::softmax(c.noisy, -1).topk(c.top_k, -1);
  const Routing routing = models::DispatchWithinCapacity(
      experts, {}, {}, {{0, 4, c.golden.at("capacity").get<int64_t>()}}, 3);
  EXPECT_EQ(routing.dropped, static_cast<int64_t>(c.golden.at("dropped").size()));
  for (const nlohmann::json& dropped : c.golden.at("dropped")) {
    EXPECT_EQ(routing.places[dropped[0].get<int64_t>() * c.top_k + 1].item<int64_t>(), -1);
    EXPECT_EQ(experts[dropped[0].get<int64_t>()][1].item<int64_t>(), dropped[1].get<int64_t>());
  }
}

TEST(RoutingGoldenTest, PriorityOfTheLargestGates) {
  const nlohmann::json golden = ReadGolden("routing.json").at("priority");
  const torch::Tensor experts = torch::zeros({4, 1}, torch::kLong);
  const torch::Tensor gates = ToTensor(golden.at("gates"));
  const std::vector<models::TokenGroup> groups = {{0, 4, golden.at("capacity").get<int64_t>()}};
  EXPECT_THAT(TokensOf(models::DispatchWithinCapacity(experts, {}, {}, groups, 2), 0),
              ElementsAreArray(golden.at("vanilla").get<std::vector<int64_t>>()));
  EXPECT_THAT(TokensOf(models::DispatchWithinCapacity(experts, gates, {}, groups, 2), 0),
              ElementsAreArray(golden.at("batch_priority").get<std::vector<int64_t>>()));
}

TEST(RoutingGoldenTest, CapacityOfTheBaseModel) {
  const nlohmann::json golden = ReadGolden("routing.json").at("capacity");
  RouterConfig config = models::DefaultRouter(RouterKind::kVmoe);
  config.capacity_factor = golden.at("factor");
  EXPECT_EQ(models::ExpertCapacity(config, true, golden.at("tokens"), golden.at("experts"),
                                   golden.at("top_k")),
            golden.at("capacity").get<int64_t>());
}

}  // namespace
}  // namespace distill
