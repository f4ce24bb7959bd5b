#include "worker/data/class_names.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace distill::data {
namespace {

constexpr size_t kMostExamples = 5;

absl::Status CheckNames(absl::string_view whose, absl::Span<const std::string> names) {
  if (names.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot match classes: the ", whose, " classes have no names"));
  }
  std::vector<absl::string_view> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice == sorted.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot match classes: a name stands twice among the ", whose, " classes; name=", *twice));
}

// Sorted, as class folders are.
constexpr std::array<absl::string_view, 62> kTinyImageNetR = {
    "n01443537", "n01770393", "n01774750", "n01784675", "n01855672", "n01882714", "n01910747",
    "n01944390", "n01983481", "n02056570", "n02085620", "n02094433", "n02099601", "n02099712",
    "n02106662", "n02113799", "n02123045", "n02129165", "n02165456", "n02190166", "n02206856",
    "n02226429", "n02233338", "n02236044", "n02268443", "n02279972", "n02364673", "n02395406",
    "n02410509", "n02423022", "n02480495", "n02481823", "n02486410", "n02769748", "n02793495",
    "n02802426", "n02808440", "n02814860", "n02841315", "n02843684", "n02883205", "n02906734",
    "n02909870", "n02948072", "n02950826", "n03424325", "n03649909", "n04118538", "n04133789",
    "n04146614", "n04275548", "n04465501", "n07614500", "n07695742", "n07720875", "n07734744",
    "n07749582", "n07753592", "n07768694", "n07873807", "n07920052", "n12267677",
};

}  // namespace

absl::StatusOr<std::vector<int>> FindClasses(absl::Span<const std::string> known,
                                             absl::Span<const std::string> wanted) {
  if (absl::Status status = CheckNames("model's", known); !status.ok()) return status;
  if (absl::Status status = CheckNames("test set's", wanted); !status.ok()) return status;
  std::unordered_map<std::string, int> places;
  for (size_t i = 0; i < known.size(); ++i) places[known[i]] = static_cast<int>(i);
  std::vector<int> found;
  std::vector<absl::string_view> missing;
  for (const std::string& name : wanted) {
    const auto place = places.find(name);
    if (place == places.end()) {
      missing.push_back(name);
    } else {
      found.push_back(place->second);
    }
  }
  if (missing.empty()) return found;
  const size_t missing_count = missing.size();
  missing.resize(std::min(missing.size(), kMostExamples));
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot match classes: the model does not know all classes of the test set; missing=",
      missing_count, " of ", wanted.size(), " examples=", absl::StrJoin(missing, ","),
      " model_class_example=", known[0]));
}

absl::Span<const absl::string_view> TinyImageNetRClasses() { return kTinyImageNetR; }

}  // namespace distill::data
