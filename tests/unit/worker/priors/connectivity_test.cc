// Counts by hand, and pictures read back.
#include "worker/priors/graph/connectivity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <cstring>

#include "tests/support/status_matchers.h"

namespace distill::priors {
namespace {

using ::testing::ElementsAre;

// Distances from node 0: 0.2, 1, 2; between 1 and 2 0.4, 1 and 3 1.8, 2 and 3 1.
Signatures FourSignatures() { return {4, 2, {2.0f, 0.0f, 0.8f, 0.6f, 0.0f, 3.0f, -1.0f, 0.0f}}; }

TEST(ConnectivityTest, CountsPairs) {
  Graph graph(4);
  graph.Link(0, 1);
  graph.Link(0, 3);
  const Connectivity got = MeasureConnectivity(graph, FourSignatures(), 0.3, 1.1);
  EXPECT_EQ(got.nodes, 4);
  EXPECT_EQ(got.edges, 2);
  EXPECT_DOUBLE_EQ(got.density, 2.0 / 6.0);
  EXPECT_EQ(got.edges_within_threshold, 0.5);
  EXPECT_EQ(got.non_edges_below_threshold, 0.0);
  EXPECT_NEAR(got.nearest_non_edge, 0.4, 1e-6);
  EXPECT_EQ(got.edges_kept, 0.5);
  EXPECT_EQ(got.non_edges_within_truncation, 0.75);  // All but (1, 3).
  EXPECT_DOUBLE_EQ(got.links, 4.0 / 6.0);
  EXPECT_THAT(got.graph_degrees, ElementsAre(1, 2, 1));
  EXPECT_THAT(got.link_degrees, ElementsAre(0, 1, 2, 1));
  EXPECT_EQ(MeasureConnectivity(graph, FourSignatures(), 0.5, 1.1).non_edges_below_threshold, 0.25);
}

TEST(ConnectivityTest, IsWrittenAsJson) {
  Graph graph(4);
  graph.Link(0, 1);
  const nlohmann::json json = ToJson(MeasureConnectivity(graph, FourSignatures(), 0.3, 1.1));
  EXPECT_EQ(json.size(), 13u);
  EXPECT_EQ(json.at("edges"), 1);
  EXPECT_EQ(json.at("edges_kept"), 1.0);
  EXPECT_EQ(json.at("graph_degrees"), nlohmann::json({2, 2}));
}

TEST(ConnectivityTest, LonelyNodeHasNoPairs) {
  const Connectivity got = MeasureConnectivity(Graph(1), EqualSignatures(1, 2), 0.8, 0.9);
  EXPECT_EQ(got.density, 0.0);
  EXPECT_EQ(got.links, 0.0);
  EXPECT_THAT(got.link_degrees, ElementsAre(1));
}

TEST(AffinitiesTest, FallWithDistanceUpToTheTruncation) {
  const std::vector<float> got = Affinities(FourSignatures(), 2.0, 1.1);
  EXPECT_FLOAT_EQ(got[0], 1.0f);
  EXPECT_FLOAT_EQ(got[1], std::exp(-0.1f));
  EXPECT_FLOAT_EQ(got[2], std::exp(-0.5f));
  EXPECT_EQ(got[3], 0.0f);
  EXPECT_EQ(got[4], got[1]);
}

std::vector<png_byte> Decode(const std::string& bytes, png_uint_32* side) {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()), 0);
  EXPECT_EQ(image.width, image.height);
  *side = image.width;
  image.format = PNG_FORMAT_GRAY;
  std::vector<png_byte> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0);
  return pixels;
}

TEST(MatrixPictureTest, DrawsEveryEntryAsASquare) {
  const std::vector<float> matrix = {0.0f, 1.0f, 0.5f, 0.0f, 7.0f, -1.0f, 0.25f, 0.75f, 1.0f};
  absl::StatusOr<std::string> picture = MatrixPicture(matrix, 3);
  ASSERT_THAT(picture, IsOk());
  EXPECT_THAT(MatrixPicture(matrix, 3), IsOkAndHolds(*picture));
  png_uint_32 side = 0;
  const std::vector<png_byte> pixels = Decode(*picture, &side);
  ASSERT_EQ(side, 258u);  // 86 pixels each.
  const auto at = [&](size_t x, size_t y) { return static_cast<int>(pixels[y * 258 + x]); };
  EXPECT_EQ(at(0, 0), 255);
  EXPECT_EQ(at(85, 85), 255);
  EXPECT_EQ(at(86, 85), 0);
  EXPECT_EQ(at(257, 0), 128);
  EXPECT_EQ(at(0, 86), 255);
  EXPECT_EQ(at(100, 100), 0);
  EXPECT_EQ(at(257, 171), 255);
  EXPECT_EQ(at(0, 257), 191);
}

TEST(MatrixPictureTest, LargeMatricesTakeOnePixelEach) {
  absl::StatusOr<std::string> picture = MatrixPicture(std::vector<float>(300 * 300), 300);
  ASSERT_THAT(picture, IsOk());
  png_uint_32 side = 0;
  Decode(*picture, &side);
  EXPECT_EQ(side, 300u);
  EXPECT_LT(picture->size(), 2000u);
}

}  // namespace
}  // namespace distill::priors
