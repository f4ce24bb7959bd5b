#include "tests/unit/worker/data/test_images.h"

#include <zlib.h>

#include <utility>

#include "base/check.h"

namespace distill::data {

std::unique_ptr<Dataset> MakeDataset(int64_t size, int classes, const ImageShape& shape) {
  std::vector<uint8_t> pixels(static_cast<size_t>(size * shape.pixels()));
  for (size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<uint8_t>((i * 37 + i / static_cast<size_t>(shape.pixels()) * 11) % 251);
  }
  std::vector<uint8_t> labels;
  for (int64_t i = 0; i < size; ++i) labels.push_back(static_cast<uint8_t>(i % classes));
  auto dataset = MemoryDataset::Create(shape, classes, std::move(pixels), std::move(labels));
  DISTILL_CHECK(dataset.ok(), "sizes fit by construction");
  return *std::move(dataset);
}

std::string IdxBytes(const std::vector<uint32_t>& dimensions, absl::string_view body) {
  std::string bytes = {0, 0, 8, static_cast<char>(dimensions.size())};
  for (const uint32_t dimension : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<char>(dimension >> shift & 0xff));
    }
  }
  bytes.append(body.data(), body.size());
  return bytes;
}

std::string Gzip(absl::string_view bytes) {
  z_stream stream = {};
  DISTILL_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
                "zlib has memory");
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  DISTILL_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "the buffer is large enough");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace distill::data
