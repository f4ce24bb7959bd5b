// Small data sets on disk, sound or spoilt on purpose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace distill {

inline std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

// The images of one split, all pixels a function of their place.
inline std::string IdxImages(uint32_t count, uint32_t side) {
  std::string bytes =
      absl::StrCat(BigEndian(0x803), BigEndian(count), BigEndian(side), BigEndian(side));
  for (uint32_t i = 0; i < count * side * side; ++i) bytes.push_back(static_cast<char>(i * 37));
  return bytes;
}

inline std::string IdxLabels(const std::vector<uint8_t>& labels) {
  std::string bytes =
      absl::StrCat(BigEndian(0x801), BigEndian(static_cast<uint32_t>(labels.size())));
  for (const uint8_t label : labels) bytes.push_back(static_cast<char>(label));
  return bytes;
}

// 0, 1, ..., classes - 1, 0, 1, ...
inline std::vector<uint8_t> CyclicLabels(int count, int classes) {
  std::vector<uint8_t> labels;
  for (int i = 0; i < count; ++i) labels.push_back(static_cast<uint8_t>(i % classes));
  return labels;
}

// Writes 40 training and 20 test images of 14 by 14 pixels in 10 classes.
inline void WriteIdxDataset(const std::string& directory) {
  ASSERT_TRUE(CreateDirectories(directory).ok());
  const auto write = [&](const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(directory, name), bytes).ok());
  };
  write("train-images-idx3-ubyte", IdxImages(40, 14));
  write("train-labels-idx1-ubyte", IdxLabels(CyclicLabels(40, 10)));
  write("t10k-images-idx3-ubyte", IdxImages(20, 14));
  write("t10k-labels-idx1-ubyte", IdxLabels(CyclicLabels(20, 10)));
}

}  // namespace distill
