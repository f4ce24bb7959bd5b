// Remembers the content digests of data sets that are files, so that a program that starts need not
// read hundreds of gigabytes to learn that they are still what they were. What is kept is the
// digest of (path, size, times of change, inode and device of every file, and the labels), and the
// content digest that was read at that time.
//
// A kept digest is believed only if nothing speaks against it. Anything else reads the files again:
// a file that was touched, replaced or renamed, a stamp that is damaged or cannot be read, and
// files that had changed so shortly before they were read that another change might not show in
// their times.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "worker/data/dataset_factory.h"

namespace distill::data {

// One thread; several programs may share a directory.
class DigestStamps {
 public:
  // Stamps are files in `directory`, which is made when there is something to keep; empty: nothing
  // is kept.
  explicit DigestStamps(std::string directory) : directory_(std::move(directory)) {}

  // Returns the PairDigest of a pair that OpenDataset opened at `opened`, of the wall clock, or
  // later: a kept one, or what reading every image says. Blocks. Errors: those of reading the
  // images; never those of stamps.
  absl::StatusOr<Digest> PairDigestOf(const DatasetPair& pair, absl::Time opened) const;

 private:
  // What the files look like from outside.
  struct Look {
    Digest digest;
    absl::Time last_change = absl::InfinitePast();
  };

  // kNotFound when the images are not in files.
  static absl::StatusOr<Look> LookAt(const DatasetPair& pair);
  std::string PathOf(const Look& look) const;
  // kNotFound, kDataLoss.
  absl::StatusOr<Digest> Load(const Look& look) const;
  absl::Status Store(const Look& look, const Digest& content) const;
  void RemoveOldest() const;

  const std::string directory_;
};

}  // namespace distill::data
