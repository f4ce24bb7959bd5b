// What the server knows of data sets when a job names them: registered ones by their record, others
// by reading their folder once, on the thread that asks, and remembering the answer until a file
// there changes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "distill/v1/job.pb.h"
#include "server/auth/caller.h"
#include "server/datasets/dataset_files.h"
#include "server/planner/defaults.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Thread-safe.
class DatasetCatalog {
 public:
  // `store` outlives the catalog. Folders must lie below one of `roots`, unless there are none.
  DatasetCatalog(const storage::StateStore& store, std::vector<std::string> roots)
      : store_(&store), roots_(std::move(roots)) {}

  // kInvalidArgument, or kPermissionDenied for what lies outside of the roots, unless `path` is a
  // folder that data sets may be read from. Follows links before it looks.
  absl::Status CheckFolder(const std::string& path) const;
  // kPermissionDenied for a caller without a role in all projects while there are no roots: then
  // nobody has said which folders of the server are for everybody. `what` begins the message.
  absl::Status CheckMayNameFolders(const Caller& caller, absl::string_view what) const;

  // Fills in what the registered data sets of the spec are: path, format, digest, classes, sizes,
  // policy and copy. Blocks for I/O. kInvalidArgument "cannot accept job: dataset.name: ..." for a
  // name that is not registered, or whose record contradicts what the spec says;
  // kFailedPrecondition while it is still being read.
  absl::Status ExpandNames(v1::JobSpec* spec) const;

  // Refuses what the caller may not use: a data set of another project, which for the caller is not
  // registered, or a folder (CheckMayNameFolders). Blocks for I/O. kInvalidArgument,
  // kPermissionDenied.
  absl::Status CheckVisible(const v1::JobSpec& spec, const Caller& caller) const;

  // The registered data sets that a spec names, each once.
  static std::vector<DatasetName> NamesIn(const v1::JobSpec& spec);

  // Returns what a data set of the job holds; `field` is its place in the spec, for messages.
  // Blocks: reads every image of a folder the first time. kInvalidArgument "cannot accept job:
  // dataset.path:
  // ..." when the files are missing, damaged, do not fit together, or are too many to be read while
  // the caller waits. A folder that this machine does not have is taken on trust when the spec
  // gives digest, image_size, channels, classes and train_size: workers check the digest.
  absl::StatusOr<DatasetInfo> Inspect(const v1::DatasetSpec& dataset,
                                      const std::string& field = "dataset")
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    std::vector<DatasetFile> files;
    DatasetInfo info;
  };
  // Folder, format, number of classes asked for, policy.
  using Key = std::tuple<std::string, int, int, int>;

  absl::Status ExpandName(const std::string& field, v1::DatasetSpec* dataset) const;
  absl::StatusOr<DatasetInfo> InspectFolder(const v1::DatasetSpec& dataset,
                                            const std::string& field) ABSL_LOCKS_EXCLUDED(mu_);

  const storage::StateStore* const store_;
  const std::vector<std::string> roots_;
  Mutex mu_;
  std::map<Key, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

// Whether the caller has at least `role` in the data set's project. Of what is everybody's,
// everybody may be a viewer.
bool MayUse(const Caller& caller, const storage::DatasetRecord& dataset, Role role);

}  // namespace distill::server
