#include "worker/data/subset.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

// Shares `count` places among the classes by largest remainder, in integers throughout.
std::vector<int64_t> ShareOut(const std::vector<int64_t>& class_sizes, int64_t count,
                              int64_t total) {
  std::vector<int64_t> shares(class_sizes.size());
  std::vector<int64_t> remainders(class_sizes.size());
  int64_t given = 0;
  for (size_t c = 0; c < class_sizes.size(); ++c) {
    shares[c] = class_sizes[c] * count / total;
    remainders[c] = class_sizes[c] * count % total;
    given += shares[c];
  }
  std::vector<size_t> by_remainder(class_sizes.size());
  std::iota(by_remainder.begin(), by_remainder.end(), size_t{0});
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  for (size_t i = 0; given < count; ++i, ++given) ++shares[by_remainder[i]];
  return shares;
}

// Draws shares[c] images of each class c.
std::vector<int64_t> Draw(const Dataset& dataset, uint64_t seed,
                          const std::vector<int64_t>& shares) {
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(dataset.classes()));
  for (int64_t i = 0; i < dataset.size(); ++i) {
    members[static_cast<size_t>(dataset.Label(i))].push_back(i);
  }
  const CounterRandom random = CounterRandom(seed).Stream("subset");
  std::vector<int64_t> chosen;
  for (size_t c = 0; c < members.size(); ++c) {
    CounterRandom class_random = random.Stream(c);
    const std::vector<uint32_t> order =
        class_random.Permutation(static_cast<uint32_t>(members[c].size()));
    for (int64_t k = 0; k < shares[c]; ++k) {
      chosen.push_back(members[c][order[static_cast<size_t>(k)]]);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

absl::StatusOr<std::vector<int64_t>> ShareEvenly(const std::vector<int64_t>& class_sizes,
                                                 int64_t count) {
  const int64_t classes = static_cast<int64_t>(class_sizes.size());
  if (count % classes != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot choose subset: count must be a multiple of the number of classes; "
                     "count=",
                     count, " classes=", classes));
  }
  const int64_t share = count / classes;
  for (size_t c = 0; c < class_sizes.size(); ++c) {
    if (class_sizes[c] < share) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot choose subset: a class has too few images; class=", c,
                       " images=", class_sizes[c], " want=", share));
    }
  }
  return std::vector<int64_t>(class_sizes.size(), share);
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ChooseSubset(const Dataset& dataset, const SubsetSpec& spec) {
  if (spec.count < 0 || spec.count > dataset.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot choose subset: count must be 0 (all) to the size of the data set; count=",
        spec.count, " images=", dataset.size()));
  }
  if (spec.count != 0 && spec.rule == SubsetRule::kStratified) {
    return Draw(dataset, spec.seed, ShareOut(CountPerClass(dataset), spec.count, dataset.size()));
  }
  if (spec.count != 0 && spec.rule == SubsetRule::kBalanced) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<int64_t> shares,
                             ShareEvenly(CountPerClass(dataset), spec.count));
    return Draw(dataset, spec.seed, shares);
  }
  std::vector<int64_t> indices(static_cast<size_t>(spec.count == 0 ? dataset.size() : spec.count));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return indices;
}

absl::StatusOr<std::unique_ptr<SubsetDataset>> SubsetDataset::Create(
    std::shared_ptr<const Dataset> base, const SubsetSpec& spec) {
  DISTILL_ASSIGN_OR_RETURN(std::vector<int64_t> indices, ChooseSubset(*base, spec));
  return absl::WrapUnique(new SubsetDataset(std::move(base), std::move(indices)));
}

SubsetDataset::SubsetDataset(std::shared_ptr<const Dataset> base, std::vector<int64_t> indices)
    : base_(std::move(base)), indices_(std::move(indices)) {}

int64_t SubsetDataset::Label(int64_t index) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  return base_->Label(indices_[static_cast<size_t>(index)]);
}

absl::Status SubsetDataset::Read(int64_t index, absl::Span<uint8_t> pixels) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  return base_->Read(indices_[static_cast<size_t>(index)], pixels);
}

absl::Status SubsetDataset::Fetch(int64_t index, StoredImage* image) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  return base_->Fetch(indices_[static_cast<size_t>(index)], image);
}

std::string SubsetDataset::NameOf(int64_t index) const {
  return base_->NameOf(indices_[static_cast<size_t>(index)]);
}

}  // namespace distill::data
