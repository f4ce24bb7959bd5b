// Chooses part of a data set by rule, so that every worker chooses the same images.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace distill::data {

enum class SubsetRule {
  kFirst,       // The first `count` images in the order of the files.
  kStratified,  // Drawn by `seed`, each class in proportion to its share of the whole set.
  kBalanced,    // Drawn by `seed`, the same number of each class.
};

struct SubsetSpec {
  SubsetRule rule = SubsetRule::kFirst;
  int64_t count = 0;  // 0 means all images.
  uint64_t seed = 0;  // Not used by kFirst.
};

// Returns the chosen indices, ascending. A function of the labels and the spec alone. In a
// stratified subset, a class's share is rounded to a neighbouring integer; the places left over go
// to the largest remainders, lower classes first. kInvalidArgument when `count` is negative or
// larger than the data set.
absl::StatusOr<std::vector<int64_t>> ChooseSubset(const Dataset& dataset, const SubsetSpec& spec);

// Some images of another data set, renumbered from 0.
class SubsetDataset : public Dataset {
 public:
  // Shares `base` with the other views of it (the whole set, other subsets, corrupted copies).
  static absl::StatusOr<std::unique_ptr<SubsetDataset>> Create(std::shared_ptr<const Dataset> base,
                                                               const SubsetSpec& spec);

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  int classes() const override { return base_->classes(); }
  const ImageShape& shape() const override { return base_->shape(); }
  int64_t Label(int64_t index) const override;
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override;
  absl::Status Fetch(int64_t index, StoredImage* image) const override;
  std::string NameOf(int64_t index) const override;

 private:
  SubsetDataset(std::shared_ptr<const Dataset> base, std::vector<int64_t> indices);

  const std::shared_ptr<const Dataset> base_;
  const std::vector<int64_t> indices_;
};

}  // namespace distill::data
