#include "worker/data/episode.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

// Some images of another data set under labels of their own.
class RelabelledDataset : public Dataset {
 public:
  struct Entry {
    int64_t index = 0;  // In the base.
    int label = 0;
  };

  RelabelledDataset(std::shared_ptr<const Dataset> base, std::vector<Entry> entries, int classes)
      : base_(std::move(base)), entries_(std::move(entries)), classes_(classes) {}

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  int classes() const override { return classes_; }
  const ImageShape& shape() const override { return base_->shape(); }
  int64_t Label(int64_t index) const override { return At(index).label; }
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override {
    return base_->Read(At(index).index, pixels);
  }
  absl::Status Fetch(int64_t index, StoredImage* image) const override {
    return base_->Fetch(At(index).index, image);
  }
  std::string NameOf(int64_t index) const override { return base_->NameOf(At(index).index); }

 private:
  const Entry& At(int64_t index) const {
    DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
    return entries_[static_cast<size_t>(index)];
  }

  const std::shared_ptr<const Dataset> base_;
  const std::vector<Entry> entries_;
  const int classes_;
};

absl::Status Validate(const EpisodeSpec& spec, int classes) {
  const auto refuse = [](absl::string_view field, int got, int most) {
    return absl::InvalidArgumentError(
        absl::StrCat("few_shot.", field, " must be 1 to ", most, "; got=", got));
  };
  constexpr int kMostImages = 1000000;
  if (spec.ways < 1 || spec.ways > classes) return refuse("ways", spec.ways, classes);
  if (spec.shots < 1 || spec.shots > kMostImages) return refuse("shots", spec.shots, kMostImages);
  if (spec.test_images < 1 || spec.test_images > kMostImages) {
    return refuse("test_images", spec.test_images, kMostImages);
  }
  return absl::OkStatus();
}

// `train_images` is empty when all come from the test images.
bool HasEnoughImages(const std::vector<int64_t>& train_images,
                     const std::vector<int64_t>& test_images, size_t c, const EpisodeSpec& spec) {
  if (train_images.empty()) return test_images[c] >= int64_t{spec.shots} + spec.test_images;
  return train_images[c] >= spec.shots && test_images[c] >= spec.test_images;
}

// The images of each chosen class, in random order.
std::vector<std::vector<int64_t>> Shuffled(const Dataset& dataset, const std::vector<int>& chosen,
                                           const CounterRandom& random) {
  std::vector<int> place(static_cast<size_t>(dataset.classes()), -1);
  for (size_t i = 0; i < chosen.size(); ++i) {
    place[static_cast<size_t>(chosen[i])] = static_cast<int>(i);
  }
  std::vector<std::vector<int64_t>> members(chosen.size());
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const int label = place[static_cast<size_t>(dataset.Label(i))];
    if (label >= 0) members[static_cast<size_t>(label)].push_back(i);
  }
  for (size_t c = 0; c < members.size(); ++c) {
    CounterRandom class_random = random.Stream(static_cast<uint64_t>(chosen[c]));
    std::vector<int64_t> shuffled;
    for (const uint32_t i : class_random.Permutation(static_cast<uint32_t>(members[c].size()))) {
      shuffled.push_back(members[c][i]);
    }
    members[c] = std::move(shuffled);
  }
  return members;
}

// Takes `count` images of each class, from the one numbered `first` on.
absl::StatusOr<std::shared_ptr<const Dataset>> Take(
    const std::shared_ptr<const Dataset>& dataset, const std::vector<std::vector<int64_t>>& members,
    const std::vector<int>& chosen, int first, int count) {
  std::vector<RelabelledDataset::Entry> entries;
  for (size_t c = 0; c < members.size(); ++c) {
    if (static_cast<int64_t>(members[c].size()) < int64_t{first} + count) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot draw few-shot episode: a class has too few images; class=", chosen[c],
          " images=", members[c].size(), " want=", int64_t{first} + count));
    }
    for (int i = first; i < first + count; ++i) {
      entries.push_back({members[c][static_cast<size_t>(i)], static_cast<int>(c)});
    }
  }
  return std::make_shared<const RelabelledDataset>(dataset, std::move(entries),
                                                   static_cast<int>(chosen.size()));
}

std::vector<int64_t> ImagesPerClass(const Dataset& dataset) {
  std::vector<int64_t> images(static_cast<size_t>(dataset.classes()), 0);
  for (int64_t i = 0; i < dataset.size(); ++i) ++images[static_cast<size_t>(dataset.Label(i))];
  return images;
}

}  // namespace

absl::StatusOr<Episode> DrawEpisode(const DatasetPair& pair, const EpisodeSpec& spec) {
  const int classes = pair.test->classes();
  DISTILL_RETURN_IF_ERROR(Validate(spec, classes));
  const CounterRandom random = CounterRandom(spec.seed).Stream("episode");
  CounterRandom class_random = random.Stream("classes");
  const std::vector<int64_t> test_images = ImagesPerClass(*pair.test);
  const std::vector<int64_t> train_images =
      pair.train == nullptr ? std::vector<int64_t>() : ImagesPerClass(*pair.train);
  Episode episode;
  for (const uint32_t c : class_random.Permutation(static_cast<uint32_t>(classes))) {
    if (static_cast<int>(episode.classes.size()) == spec.ways) break;
    if (!HasEnoughImages(train_images, test_images, c, spec)) continue;
    episode.classes.push_back(static_cast<int>(c));
  }
  if (static_cast<int>(episode.classes.size()) < spec.ways) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot draw few-shot episode: too few classes have enough images; classes=",
                     episode.classes.size(), " want=", spec.ways, " shots=", spec.shots,
                     " test_images=", spec.test_images));
  }
  std::sort(episode.classes.begin(), episode.classes.end());
  const auto test = Shuffled(*pair.test, episode.classes, random.Stream("test"));
  if (pair.train == nullptr) {
    DISTILL_ASSIGN_OR_RETURN(episode.train, Take(pair.test, test, episode.classes, 0, spec.shots));
    DISTILL_ASSIGN_OR_RETURN(episode.test,
                             Take(pair.test, test, episode.classes, spec.shots, spec.test_images));
    return episode;
  }
  const auto train = Shuffled(*pair.train, episode.classes, random.Stream("train"));
  DISTILL_ASSIGN_OR_RETURN(episode.train, Take(pair.train, train, episode.classes, 0, spec.shots));
  DISTILL_ASSIGN_OR_RETURN(episode.test,
                           Take(pair.test, test, episode.classes, 0, spec.test_images));
  return episode;
}

}  // namespace distill::data
