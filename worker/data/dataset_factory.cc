#include "worker/data/dataset_factory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "worker/data/idx_reader.h"

namespace distill::data {
namespace {

absl::StatusOr<DatasetPair> OpenIdx(const DatasetOptions& options) {
  DatasetPair pair;
  DISTILL_ASSIGN_OR_RETURN(pair.train, ReadIdxDataset({options.path, Split::kTrain, options.classes,
                                                       options.max_bytes}));
  DISTILL_ASSIGN_OR_RETURN(
      pair.test, ReadIdxDataset({options.path, Split::kTest, options.classes, options.max_bytes}));
  return pair;
}

absl::Status CheckSplitsFit(const DatasetOptions& options, const DatasetPair& pair) {
  if (pair.train == nullptr) return absl::OkStatus();
  const Dataset& train = *pair.train;
  const Dataset& test = *pair.test;
  if (train.shape() == test.shape() && train.classes() == test.classes()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot read data set: training and test images do not fit together; path=", options.path,
      " train=", train.height(), "x", train.width(), " of ", train.classes(),
      " classes test=", test.height(), "x", test.width(), " of ", test.classes(), " classes"));
}

absl::StatusOr<DatasetPair> Open(const DatasetOptions& options) {
  switch (options.format) {
    case DatasetFormat::kIdx:
      return OpenIdx(options);
    default:
      return absl::UnimplementedError("cannot open data set: this format is not read yet");
  }
}

}  // namespace

absl::StatusOr<DatasetPair> OpenDataset(const DatasetOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(DatasetPair pair, Open(options));
  DISTILL_RETURN_IF_ERROR(CheckSplitsFit(options, pair));
  return pair;
}

}  // namespace distill::data
