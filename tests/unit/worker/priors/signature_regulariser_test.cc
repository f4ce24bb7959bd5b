// Values of the regularisers as the reference computed them, their gradients, and what a training
// run keeps of them.
#include "worker/priors/signature_regulariser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/support/status_matchers.h"
#include "tests/support/torch/gradient_check.h"

namespace distill::priors {
namespace {

using ::testing::HasSubstr;

torch::Tensor FiveSignatures(torch::ScalarType type) {
  return torch::tensor({1.0, 0.0, 0.0,  0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0,
                        0.0, 0.0, -1.0, 0.2, 0.0, 0.5, 0.1, 0.2, 0.9, 0.3},
                       type)
      .view({5, 4});
}

RegulariserConfig BlockModel() {
  RegulariserConfig config;
  config.kind = RegulariserKind::kGraphon;
  config.prior.kind = PriorKind::kPlantedPartition;
  config.prior.nodes = 4;
  config.prior.communities = 2;
  return config;
}

RegularisedSignatures FourMediators(int64_t layers = 1) {
  RegularisedSignatures signatures;
  signatures.inputs = torch::zeros({0, 3});
  signatures.outputs = torch::zeros({0, 3});
  signatures.mediators =
      torch::tensor({1.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.95f, 0.1f, 0.0f, 0.1f, 0.9f, 0.2f})
          .view({4, 3});
  for (int64_t i = 0; i < layers; ++i) signatures.bandwidths.push_back(torch::tensor(1.0f));
  return signatures;
}

std::unique_ptr<SignatureRegulariser> Make(const RegulariserConfig& config) {
  absl::StatusOr<std::unique_ptr<SignatureRegulariser>> made = SignatureRegulariser::Create(config);
  EXPECT_THAT(made, IsOk());
  return *std::move(made);
}

double LossOf(SignatureRegulariser& regulariser, const RegularisedSignatures& signatures,
              int64_t step = 0) {
  const absl::StatusOr<torch::Tensor> loss = regulariser.Loss(signatures, step);
  EXPECT_THAT(loss, IsOk());
  return loss->item<double>();
}

double LossOf(const RegulariserConfig& config, const RegularisedSignatures& signatures) {
  return LossOf(*Make(config), signatures);
}

TEST(HingeRepulsionTest, GoldenValues) {
  const torch::Tensor signatures = FiveSignatures(torch::kFloat32);
  EXPECT_NEAR(HingeRepulsion(signatures, 0.4).item<double>(), -0.6, 1e-6);
  EXPECT_NEAR(HingeRepulsion(signatures, 0.9).item<double>(), -3.9109206, 1e-5);
  EXPECT_EQ(HingeRepulsion(signatures, 0.0).item<double>(), 0.0);
}

TEST(CosineDistancesTest, GoldenValuesWhateverTheLength) {
  const torch::Tensor signatures = FiveSignatures(torch::kFloat64);
  const torch::Tensor lengths =
      torch::tensor({1.0, 3.0, 0.5, 2.0, 7.0}, torch::kFloat64).unsqueeze(1);
  const torch::Tensor got = CosineDistances(signatures * lengths)[0];
  const double want[] = {0.0, 0.2, 1.0, 1.880451, 0.8974022};
  for (int64_t v = 0; v < 5; ++v) EXPECT_NEAR(got[v].item<double>(), want[v], 1e-6);
}

TEST(GraphonDistanceTest, ByHand) {
  const torch::Tensor p = torch::tensor({0.5, 0.9, 0.0, 1.0}, torch::kFloat64).view({2, 2});
  const torch::Tensor g = torch::tensor({0.5, 0.2, 0.0, 0.8}, torch::kFloat64).view({2, 2});
  const auto squares = GraphonPenalty::kSquaredDifference;
  EXPECT_NEAR(GraphonDistance(p, g, squares, 0.0).item<double>(), (0.49 + 0.04) / 4, 1e-12);
  EXPECT_NEAR(GraphonDistance(p, g, squares, 0.1).item<double>(), (0.1 + 0.49 + 0.1 + 0.1) / 4,
              1e-12);
  const double tiny = 1e-6;
  const double want = 0.2 * std::log(0.2 / 0.9) + 0.8 * std::log(0.8 / 0.1)  //
                      - std::log(1 - tiny)                                   //
                      + 0.8 * std::log(0.8 / (1 - tiny)) + 0.2 * std::log(0.2 / tiny);
  EXPECT_NEAR(GraphonDistance(p, g, GraphonPenalty::kBernoulli, 0.0).item<double>(), want / 4,
              1e-9);
}

TEST(SignatureRegulariserTest, GoldenStochasticBlockModel) {
  RegulariserConfig config = BlockModel();
  EXPECT_NEAR(LossOf(config, FourMediators()), 0.0282000, 1e-6);
  EXPECT_NEAR(LossOf(config, FourMediators(3)), 3 * 0.0282000, 3e-6);  // Summed over layers.
  config.match_rows_only = true;
  EXPECT_NEAR(LossOf(config, FourMediators()), 0.2350070, 1e-6);
}

// Input, mediator and output signatures repel each other alike.
TEST(SignatureRegulariserTest, RepulsionIsOfAllSignatures) {
  const torch::Tensor all = FiveSignatures(torch::kFloat32);
  RegularisedSignatures signatures;
  signatures.inputs = all.slice(0, 0, 1);
  signatures.mediators = all.slice(0, 1, 3);
  signatures.outputs = all.slice(0, 3, 5);
  RegulariserConfig config;
  config.hinge = 0.9;
  EXPECT_NEAR(LossOf(config, signatures), -3.9109206, 1e-5);
  config.kind = RegulariserKind::kNone;
  EXPECT_EQ(LossOf(config, signatures), 0.0);
}

TEST(SignatureRegulariserTest, GradientsAgreeWithDifferences) {
  const torch::Tensor inputs = Variable({3, 5}, 1);
  const torch::Tensor mediators = Variable({6, 5}, 2);
  const torch::Tensor outputs = Variable({2, 5}, 3);
  const torch::Tensor first = torch::tensor(0.9, torch::kFloat64).requires_grad_();
  const torch::Tensor second = torch::tensor(1.3, torch::kFloat64).requires_grad_();
  const RegularisedSignatures signatures = {inputs, mediators, outputs, {first, second}};
  RegulariserConfig config;
  config.hinge = 0.95;
  std::unique_ptr<SignatureRegulariser> hinge = Make(config);
  EXPECT_TRUE(GradientsAgree([&] { return *hinge->Loss(signatures, 0); },
                             {inputs, mediators, outputs}, 100));
  for (const GraphonPenalty penalty :
       {GraphonPenalty::kSquaredDifference, GraphonPenalty::kBernoulli}) {
    for (const bool rows_only : {false, true}) {
      config = BlockModel();
      config.prior.nodes = 6;
      config.penalty = penalty;
      config.match_rows_only = rows_only;
      config.clip = 0.01;
      std::unique_ptr<SignatureRegulariser> graphon = Make(config);
      EXPECT_TRUE(GradientsAgree([&] { return *graphon->Loss(signatures, 0); },
                                 {mediators, first, second}, 100));
    }
  }
}

// The matching is of the step, so that micro-batches and resumed runs see the same.
TEST(SignatureRegulariserTest, MatchesEverySoManySteps) {
  RegulariserConfig config = BlockModel();
  config.match_every = 10;
  std::unique_ptr<SignatureRegulariser> regulariser = Make(config);
  EXPECT_EQ(regulariser->State().numel(), 0);
  RegularisedSignatures signatures = FourMediators();
  EXPECT_NEAR(LossOf(*regulariser, signatures, 0), 0.0282, 1e-6);
  // Nodes change places: the old matching stays in force until it is due.
  signatures.mediators =
      signatures.mediators.index_select(0, torch::tensor({0, 2, 1, 3}, torch::kInt64));
  EXPECT_NEAR(LossOf(*regulariser, signatures, 0), 0.2928226, 1e-6);
  EXPECT_NEAR(LossOf(*regulariser, signatures, 9), 0.2928226, 1e-6);

  std::unique_ptr<SignatureRegulariser> resumed = Make(config);
  ASSERT_THAT(resumed->Restore(regulariser->State()), IsOk());
  EXPECT_NEAR(LossOf(*resumed, signatures, 9), 0.2928226, 1e-6);
  EXPECT_NEAR(LossOf(*resumed, signatures, 10), 0.0282, 1e-6);
  EXPECT_NEAR(LossOf(*regulariser, signatures, 10), 0.0282, 1e-6);
}

// A training that diverged must be told, not hang in a matching of what is no number.
TEST(SignatureRegulariserTest, SignaturesThatAreNotFiniteGiveNoFiniteLoss) {
  std::unique_ptr<SignatureRegulariser> regulariser = Make(BlockModel());
  RegularisedSignatures signatures = FourMediators();
  signatures.mediators[1][2] = std::nan("");
  EXPECT_FALSE(std::isfinite(LossOf(*regulariser, signatures)));
  EXPECT_EQ(regulariser->State().numel(), 0);
  EXPECT_NEAR(LossOf(*regulariser, FourMediators()), 0.0282, 1e-6);
  RegulariserConfig config;
  EXPECT_TRUE(std::isfinite(LossOf(config, FourMediators())));
}

TEST(SignatureRegulariserTest, LayersWithOtherBandwidthsAreMatchedOnTheirOwn) {
  RegularisedSignatures signatures = FourMediators(2);
  signatures.bandwidths[1] = torch::tensor(0.5f);
  std::unique_ptr<SignatureRegulariser> regulariser = Make(BlockModel());
  RegularisedSignatures narrow = FourMediators(1);
  narrow.bandwidths = {signatures.bandwidths[1]};
  EXPECT_NEAR(LossOf(*regulariser, signatures), 0.0282 + LossOf(BlockModel(), narrow), 1e-6);
  EXPECT_EQ(regulariser->State().size(0), 2);
}

TEST(SignatureRegulariserTest, RefusesWhatDoesNotFit) {
  const auto expect_refused = [](const RegulariserConfig& config, const char* why) {
    EXPECT_THAT(SignatureRegulariser::Create(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  };
  RegulariserConfig config = BlockModel();
  config.prior.nodes = 5;
  expect_refused(config, "communities must divide the number of mediators");
  config = BlockModel();
  config.match_every = 0;
  expect_refused(config, "match_every must be at least 1; got=0");
  config = BlockModel();
  config.clip = -1.0;
  expect_refused(config, "clip must be at least 0");
  config = BlockModel();
  config.truncation = 3.0;
  expect_refused(config, "truncation must be in [0, 2]");
  config = {};
  config.hinge = -0.1;
  expect_refused(config, "hinge must be in [0, 2]");

  std::unique_ptr<SignatureRegulariser> regulariser = Make(BlockModel());
  RegularisedSignatures signatures = FourMediators();
  signatures.bandwidths.clear();
  EXPECT_THAT(regulariser->Loss(signatures, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bandwidths")));
  signatures = FourMediators();
  signatures.mediators = torch::ones({5, 3});
  EXPECT_THAT(regulariser->Loss(signatures, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got=5 want=4")));
  EXPECT_THAT(regulariser->Restore(torch::zeros({1, 4}, torch::kInt64)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("permutations")));
  EXPECT_THAT(regulariser->Restore(torch::zeros({1, 4})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("int64")));
  signatures = FourMediators();
  signatures.outputs = torch::ones({2, 4});
  EXPECT_THAT(Make({})->Loss(signatures, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("as wide as")));
}

}  // namespace
}  // namespace distill::priors
