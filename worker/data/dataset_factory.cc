#include "worker/data/dataset_factory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/data/annotation_files.h"
#include "worker/data/cifar_reader.h"
#include "worker/data/idx_reader.h"
#include "worker/data/image_files.h"
#include "worker/data/image_folder.h"
#include "worker/data/tar_shards.h"

namespace distill::data {
namespace {

constexpr uint64_t kMostTextBytes = uint64_t{64} << 20;

absl::Status Bad(const DatasetOptions& options, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot read data set: ", cause, "; path=", options.path));
}

// Tells that the classes are those asked for, if any were.
absl::Status CheckClassCount(const DatasetOptions& options, size_t found) {
  if (options.classes == 0 || static_cast<size_t>(options.classes) == found) {
    return absl::OkStatus();
  }
  return Bad(options, absl::StrCat("the number of classes differs; found=", found,
                                   " want=", options.classes));
}

absl::Status CheckSameClasses(const DatasetOptions& options, const std::vector<std::string>& train,
                              const std::vector<std::string>& test) {
  if (train == test) return absl::OkStatus();
  const auto [a, b] = std::mismatch(train.begin(), train.end(), test.begin(), test.end());
  return Bad(options,
             absl::StrCat("the classes of training and test images differ; train=", train.size(),
                          " test=", test.size(), " first_train=", a == train.end() ? "none" : *a,
                          " first_test=", b == test.end() ? "none" : *b));
}

absl::StatusOr<std::string> ReadText(const DatasetOptions& options, absl::string_view name) {
  return ReadFile(JoinPath(options.path, name), kMostTextBytes);
}

// The folder of test images: "val", as ImageNet has it, else "test".
std::string TestFolder(const DatasetOptions& options) {
  const std::string validation = JoinPath(options.path, "val");
  return FileExists(validation) ? validation : JoinPath(options.path, "test");
}

absl::StatusOr<DatasetPair> OpenIdx(const DatasetOptions& options) {
  DatasetPair pair;
  DISTILL_ASSIGN_OR_RETURN(pair.train, ReadIdxDataset({options.path, Split::kTrain, options.classes,
                                                       options.max_bytes}));
  DISTILL_ASSIGN_OR_RETURN(
      pair.test, ReadIdxDataset({options.path, Split::kTest, options.classes, options.max_bytes}));
  return pair;
}

absl::StatusOr<DatasetPair> OpenCifar(const DatasetOptions& options, CifarKind kind) {
  DatasetPair pair;
  CifarSource source{options.path, kind, Split::kTrain, options.classes, options.max_bytes};
  DISTILL_ASSIGN_OR_RETURN(pair.train, ReadCifarDataset(source));
  source.split = Split::kTest;
  DISTILL_ASSIGN_OR_RETURN(pair.test, ReadCifarDataset(source));
  DISTILL_ASSIGN_OR_RETURN(pair.class_names, ReadCifarClassNames(options.path, kind));
  if (!pair.class_names.empty() &&
      pair.class_names.size() != static_cast<size_t>(pair.test->classes())) {
    return Bad(options, absl::StrCat("the file of class names does not fit; names=",
                                     pair.class_names.size(), " classes=", pair.test->classes()));
  }
  return pair;
}

absl::StatusOr<DatasetPair> OpenImageFolder(const DatasetOptions& options) {
  DatasetPair pair;
  const std::string train_folder = JoinPath(options.path, "train");
  const std::string test_folder = TestFolder(options);
  DISTILL_ASSIGN_OR_RETURN(ClassFolders train, FindClassFolders(train_folder, options.max_bytes));
  DISTILL_RETURN_IF_ERROR(CheckClassCount(options, train.names.size()));
  DISTILL_ASSIGN_OR_RETURN(ClassFolders test, FindClassFolders(test_folder, options.max_bytes));
  DISTILL_RETURN_IF_ERROR(CheckSameClasses(options, train.names, test.names));
  const int classes = static_cast<int>(train.names.size());
  pair.class_names = std::move(train.names);
  pair.train = std::make_shared<ImageFiles>(train_folder, std::move(train.files), classes);
  pair.test = std::make_shared<ImageFiles>(test_folder, std::move(test.files), classes);
  return pair;
}

absl::StatusOr<DatasetPair> OpenTestFolder(const DatasetOptions& options) {
  DatasetPair pair;
  DISTILL_ASSIGN_OR_RETURN(ClassFolders test, FindClassFolders(options.path, options.max_bytes));
  DISTILL_RETURN_IF_ERROR(CheckClassCount(options, test.names.size()));
  const int classes = static_cast<int>(test.names.size());
  pair.class_names = std::move(test.names);
  pair.test = std::make_shared<ImageFiles>(options.path, std::move(test.files), classes);
  return pair;
}

// Puts annotated images below `folder` into a data set.
absl::StatusOr<std::shared_ptr<const Dataset>> FromAnnotations(
    const DatasetOptions& options, const std::string& folder,
    const std::vector<AnnotatedImage>& images, int classes,
    const std::vector<std::string>& class_names) {
  NameTable files(options.max_bytes);
  for (const AnnotatedImage& image : images) {
    DISTILL_RETURN_IF_ERROR(files.Add(image.path, image.label));
  }
  DISTILL_RETURN_IF_ERROR(
      CheckClasses(files, classes, class_names, absl::StrCat("folder=", folder)));
  for (int64_t i = 0; i < files.size(); ++i) {
    const std::string path = JoinPath(folder, files.Name(i));
    if (!FileExists(path)) {
      return absl::NotFoundError(
          absl::StrCat("cannot read data set: an image that is listed is missing; image=", path));
    }
  }
  return std::make_shared<const ImageFiles>(folder, std::move(files), classes);
}

absl::StatusOr<DatasetPair> OpenTinyImageNet(const DatasetOptions& options) {
  DatasetPair pair;
  const std::string train_folder = JoinPath(options.path, "train");
  DISTILL_ASSIGN_OR_RETURN(ClassFolders train, FindClassFolders(train_folder, options.max_bytes));
  DISTILL_RETURN_IF_ERROR(CheckClassCount(options, train.names.size()));
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadText(options, "val/val_annotations.txt"));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<AnnotatedImage> test,
                           ParseTinyImageNetAnnotations(text, train.names));
  const int classes = static_cast<int>(train.names.size());
  DISTILL_ASSIGN_OR_RETURN(pair.test, FromAnnotations(options, JoinPath(options.path, "val/images"),
                                                      test, classes, train.names));
  pair.train = std::make_shared<ImageFiles>(train_folder, std::move(train.files), classes);
  pair.class_names = std::move(train.names);
  return pair;
}

absl::StatusOr<DatasetPair> OpenCub(DatasetOptions options) {
  // As downloaded, everything lies one folder further down.
  const std::string inner = JoinPath(options.path, "CUB_200_2011");
  if (FileExists(inner)) options.path = inner;
  DISTILL_ASSIGN_OR_RETURN(const std::string images, ReadText(options, "images.txt"));
  DISTILL_ASSIGN_OR_RETURN(const std::string labels, ReadText(options, "image_class_labels.txt"));
  DISTILL_ASSIGN_OR_RETURN(const std::string split, ReadText(options, "train_test_split.txt"));
  DISTILL_ASSIGN_OR_RETURN(const CubImages found, ParseCubFiles(images, labels, split));
  DatasetPair pair;
  if (FileExists(JoinPath(options.path, "classes.txt"))) {
    DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadText(options, "classes.txt"));
    DISTILL_ASSIGN_OR_RETURN(pair.class_names, ParseCubClasses(text));
    if (static_cast<int64_t>(pair.class_names.size()) != found.classes) {
      return Bad(options, absl::StrCat("classes.txt does not fit the labels; names=",
                                       pair.class_names.size(), " classes=", found.classes));
    }
  }
  DISTILL_RETURN_IF_ERROR(CheckClassCount(options, static_cast<size_t>(found.classes)));
  const std::string folder = JoinPath(options.path, "images");
  DISTILL_ASSIGN_OR_RETURN(
      pair.train, FromAnnotations(options, folder, found.train, found.classes, pair.class_names));
  DISTILL_ASSIGN_OR_RETURN(
      pair.test, FromAnnotations(options, folder, found.test, found.classes, pair.class_names));
  return pair;
}

// The files <prefix>-*.tar of the folder, sorted.
absl::StatusOr<std::vector<std::string>> FindShards(const DatasetOptions& options,
                                                    absl::string_view prefix) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(options.path));
  std::vector<std::string> shards;
  for (const std::string& name : names) {
    if (absl::StartsWith(name, absl::StrCat(prefix, "-")) && absl::EndsWith(name, ".tar")) {
      shards.push_back(JoinPath(options.path, name));
    }
  }
  return shards;
}

int ClassesOf(const DatasetOptions& options, const TarShardIndex& train,
              const std::vector<std::string>& class_names) {
  if (options.classes != 0) return options.classes;
  if (!class_names.empty()) return static_cast<int>(class_names.size());
  int largest = -1;
  for (int64_t i = 0; i < train.images.size(); ++i) {
    largest = std::max(largest, train.images.Label(i));
  }
  return largest + 1;
}

absl::StatusOr<DatasetPair> OpenTarShards(const DatasetOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(std::vector<std::string> train_files, FindShards(options, "train"));
  DISTILL_ASSIGN_OR_RETURN(std::vector<std::string> test_files, FindShards(options, "val"));
  if (test_files.empty()) {
    DISTILL_ASSIGN_OR_RETURN(test_files, FindShards(options, "test"));
  }
  if (train_files.empty() || test_files.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "cannot read data set: want files train-*.tar, and val-*.tar or test-*.tar; train=",
        train_files.size(), " test=", test_files.size(), " path=", options.path));
  }
  DatasetPair pair;
  if (FileExists(JoinPath(options.path, "classes.txt"))) {
    DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadText(options, "classes.txt"));
    DISTILL_ASSIGN_OR_RETURN(pair.class_names, ParseClassNames(text));
    DISTILL_RETURN_IF_ERROR(CheckClassCount(options, pair.class_names.size()));
  }
  DISTILL_ASSIGN_OR_RETURN(TarShardIndex train,
                           IndexTarShards(std::move(train_files), options.max_bytes));
  DISTILL_ASSIGN_OR_RETURN(TarShardIndex test,
                           IndexTarShards(std::move(test_files), options.max_bytes));
  const int classes = ClassesOf(options, train, pair.class_names);
  DISTILL_RETURN_IF_ERROR(CheckClasses(train.images, classes, pair.class_names,
                                       absl::StrCat("split=train path=", options.path)));
  DISTILL_RETURN_IF_ERROR(CheckClasses(test.images, classes, pair.class_names,
                                       absl::StrCat("split=test path=", options.path)));
  if (train.images.size() == 0 || test.images.size() == 0) {
    return Bad(options, "the tar files hold no image");
  }
  pair.train = std::make_shared<TarShards>(std::move(train), classes);
  pair.test = std::make_shared<TarShards>(std::move(test), classes);
  return pair;
}

absl::Status CheckSplitsFit(const DatasetOptions& options, const DatasetPair& pair) {
  if (pair.train == nullptr) return absl::OkStatus();
  const Dataset& train = *pair.train;
  const Dataset& test = *pair.test;
  if (train.shape() == test.shape() && train.classes() == test.classes()) return absl::OkStatus();
  return Bad(options,
             absl::StrCat("training and test images do not fit together; train=", train.height(),
                          "x", train.width(), " of ", train.classes(), " classes test=",
                          test.height(), "x", test.width(), " of ", test.classes(), " classes"));
}

absl::StatusOr<DatasetPair> Open(const DatasetOptions& options) {
  switch (options.format) {
    case DatasetFormat::kIdx:
      return OpenIdx(options);
    case DatasetFormat::kCifar10:
      return OpenCifar(options, CifarKind::kCifar10);
    case DatasetFormat::kCifar100:
      return OpenCifar(options, CifarKind::kCifar100);
    case DatasetFormat::kImageFolder:
      return OpenImageFolder(options);
    case DatasetFormat::kTinyImageNet:
      return OpenTinyImageNet(options);
    case DatasetFormat::kCub:
      return OpenCub(options);
    case DatasetFormat::kTarShards:
      return OpenTarShards(options);
    case DatasetFormat::kImageFolderTest:
      return OpenTestFolder(options);
  }
  return absl::InvalidArgumentError("cannot read data set: unknown format");
}

}  // namespace

absl::StatusOr<DatasetPair> OpenDataset(const DatasetOptions& options) {
  if (options.classes < 0 || options.classes > kMostClasses) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read data set: classes must be 0 to ",
                                                   kMostClasses, "; got=", options.classes));
  }
  DISTILL_ASSIGN_OR_RETURN(DatasetPair pair, Open(options));
  DISTILL_RETURN_IF_ERROR(CheckSplitsFit(options, pair));
  return pair;
}

}  // namespace distill::data
