// Counts pairs of mediators by distance, and draws their affinities.
#include "worker/priors/graph/connectivity.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace distill::priors {
namespace {

// d_uv for one u and all v; computed in double from float32 signatures.
class Distances {
 public:
  explicit Distances(const Signatures& signatures)
      : nodes_(signatures.nodes),
        dim_(signatures.dim),
        unit_(signatures.values.begin(), signatures.values.end()) {
    for (int64_t u = 0; u < nodes_; ++u) {
      double* const row = &unit_[static_cast<size_t>(u * dim_)];
      double squares = 0.0;
      for (int64_t e = 0; e < dim_; ++e) squares += row[e] * row[e];
      const double norm = std::max(std::sqrt(squares), 1e-12);
      for (int64_t e = 0; e < dim_; ++e) row[e] /= norm;
    }
  }

  double Between(int64_t u, int64_t v) const {
    const double* const a = &unit_[static_cast<size_t>(u * dim_)];
    const double* const b = &unit_[static_cast<size_t>(v * dim_)];
    double cosine = 0.0;
    for (int64_t e = 0; e < dim_; ++e) cosine += a[e] * b[e];
    return 1.0 - cosine;
  }

 private:
  const int64_t nodes_;
  const int64_t dim_;
  std::vector<double> unit_;
};

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::vector<int64_t> Histogram(const std::vector<int64_t>& degrees) {
  std::vector<int64_t> histogram(1);
  for (const int64_t degree : degrees) {
    const auto bin = static_cast<size_t>(degree);
    if (bin >= histogram.size()) histogram.resize(bin + 1);
    ++histogram[bin];
  }
  return histogram;
}

// Writes `rows` as a grey PNG, appending to `bytes`. Returns false if libpng fails. Holds no object
// with a destructor, since libpng reports errors by a long jump.
bool WriteGrey(png_structp png, png_infop info, png_bytep* rows, png_uint_32 side) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_compression_level(png, 9);
  png_set_filter(png, 0, PNG_FILTER_NONE);
  png_set_IHDR(png, info, side, side, 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  png_write_image(png, rows);
  png_write_end(png, nullptr);
  return true;
}

void Append(png_structp png, png_bytep data, png_size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), size);
}

void IgnoreFlush(png_structp /*png*/) {}

void IgnoreWarning(png_structp /*png*/, png_const_charp /*message*/) {}

}  // namespace

Connectivity MeasureConnectivity(const Graph& graph, const Signatures& signatures, double threshold,
                                 double truncation) {
  DISTILL_CHECK(graph.nodes() == signatures.nodes, "each node has one signature");
  const int64_t nodes = graph.nodes();
  const Distances distances(signatures);
  int64_t edges_near = 0;
  int64_t edges_kept = 0;
  int64_t others_near = 0;
  int64_t others_kept = 0;
  double nearest = 2.0;
  std::vector<int64_t> graph_degrees(static_cast<size_t>(nodes));
  std::vector<int64_t> link_degrees(static_cast<size_t>(nodes));
  for (int64_t u = 0; u < nodes; ++u) {
    graph_degrees[static_cast<size_t>(u)] = graph.Degree(u);
    for (int64_t v = u + 1; v < nodes; ++v) {
      const double distance = distances.Between(u, v);
      const bool kept = distance <= truncation;
      if (graph.Linked(u, v)) {
        edges_near += distance <= threshold ? 1 : 0;
        edges_kept += kept ? 1 : 0;
      } else {
        nearest = std::min(nearest, distance);
        others_near += distance < threshold ? 1 : 0;
        others_kept += kept ? 1 : 0;
      }
      if (kept) {
        ++link_degrees[static_cast<size_t>(u)];
        ++link_degrees[static_cast<size_t>(v)];
      }
    }
  }
  const int64_t pairs = nodes * (nodes - 1) / 2;
  const int64_t others = pairs - graph.edges();
  Connectivity result;
  result.nodes = nodes;
  result.edges = graph.edges();
  result.density = graph.Density();
  result.threshold = threshold;
  result.truncation = truncation;
  result.edges_within_threshold = Share(edges_near, graph.edges());
  result.non_edges_below_threshold = Share(others_near, others);
  result.nearest_non_edge = others == 0 ? 0.0 : nearest;
  result.edges_kept = Share(edges_kept, graph.edges());
  result.non_edges_within_truncation = Share(others_kept, others);
  result.links = Share(edges_kept + others_kept, pairs);
  result.graph_degrees = Histogram(graph_degrees);
  result.link_degrees = Histogram(link_degrees);
  return result;
}

nlohmann::json ToJson(const Connectivity& connectivity) {
  return {{"nodes", connectivity.nodes},
          {"edges", connectivity.edges},
          {"density", connectivity.density},
          {"threshold", connectivity.threshold},
          {"truncation", connectivity.truncation},
          {"edges_within_threshold", connectivity.edges_within_threshold},
          {"non_edges_below_threshold", connectivity.non_edges_below_threshold},
          {"nearest_non_edge", connectivity.nearest_non_edge},
          {"edges_kept", connectivity.edges_kept},
          {"non_edges_within_truncation", connectivity.non_edges_within_truncation},
          {"links", connectivity.links},
          {"graph_degrees", connectivity.graph_degrees},
          {"link_degrees", connectivity.link_degrees}};
}

std::vector<float> Affinities(const Signatures& signatures, double bandwidth, double truncation) {
  DISTILL_CHECK(bandwidth > 0.0, "the kernel falls with distance");
  const Distances distances(signatures);
  const int64_t nodes = signatures.nodes;
  std::vector<float> affinities(static_cast<size_t>(nodes * nodes));
  for (int64_t u = 0; u < nodes; ++u) {
    for (int64_t v = 0; v < nodes; ++v) {
      const double distance = u == v ? 0.0 : distances.Between(u, v);
      const double affinity = distance <= truncation ? std::exp(-distance / bandwidth) : 0.0;
      affinities[static_cast<size_t>(u * nodes + v)] = static_cast<float>(affinity);
    }
  }
  return affinities;
}

absl::StatusOr<std::string> MatrixPicture(const std::vector<float>& matrix, int64_t nodes) {
  DISTILL_CHECK(static_cast<int64_t>(matrix.size()) == nodes * nodes && nodes > 0,
                "the matrix is square");
  constexpr int64_t kSmallestSide = 256;
  const int64_t scale = (kSmallestSide + nodes - 1) / nodes;
  const int64_t side = nodes * scale;
  // One line of pixels for each line of the matrix; pictures repeat lines by pointing to them.
  std::vector<png_byte> pixels(static_cast<size_t>(nodes * side));
  std::vector<png_bytep> rows(static_cast<size_t>(side));
  for (int64_t y = 0; y < nodes; ++y) {
    png_byte* const line = &pixels[static_cast<size_t>(y * side)];
    for (int64_t x = 0; x < side; ++x) {
      const float value =
          std::clamp(matrix[static_cast<size_t>(y * nodes + x / scale)], 0.0f, 1.0f);
      line[x] = static_cast<png_byte>(std::lround(255.0f * (1.0f - value)));
    }
    std::fill_n(rows.begin() + y * scale, scale, line);
  }
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, IgnoreWarning);
  if (png == nullptr) return absl::InternalError("cannot draw picture: no memory for libpng");
  png_infop info = png_create_info_struct(png);
  std::string bytes;
  png_set_write_fn(png, &bytes, Append, IgnoreFlush);
  const bool written =
      info != nullptr && WriteGrey(png, info, rows.data(), static_cast<png_uint_32>(side));
  png_destroy_write_struct(&png, &info);
  if (!written) {
    return absl::InternalError(absl::StrCat("cannot draw picture: libpng failed; side=", side));
  }
  return bytes;
}

}  // namespace distill::priors
