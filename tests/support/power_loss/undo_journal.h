// Keeps what would have to be undone if power were lost now: the old bytes behind each write, names
// made, moved and removed, and which of it was synced since. tests/fault/suite/power_loss.py plays
// it backwards.
//
// Each record is appended by one write before what it tells of happens, so a process may be killed
// at any moment: a record cut short tells of something that did not begin. A position is a record's
// offset within the journal; it stays good over restarts of the process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/mutex.h"

namespace distill::power_loss {

// As power_loss.py reads them.
enum class Kind : uint32_t {
  kWrite = 1,       // inode, offset, length; `bytes`: what was there, up to the old size
  kTruncate = 2,    // inode, offset: the new size; `bytes`: what is cut off
  kCreate = 3,      // path
  kRemove = 4,      // path; `target`: name of what is kept of it, none for a folder
  kRename = 5,      // path, target; `bytes`: name of what is kept of a replaced file
  kSyncFile = 6,    // inode; offset: position at which the sync began
  kSyncFolder = 7,  // path; offset as above
  kSyncAll = 8,     // offset as above
  kVoid = 9,        // offset: position of a record of which nothing came
};

// Thread-safe; but mutex() is to be held from a record until what it tells of has happened, so that
// the order of records is that of events. Ends the process when it cannot do its work.
class UndoJournal {
 public:
  struct Record {
    explicit Record(Kind of_kind) : kind(of_kind) {}

    Kind kind;
    uint64_t inode = 0;
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t old_size = 0;
    std::string path;
    std::string target;
    std::string bytes;
  };

  // Null unless $DISTILL_POWER_LOSS_DIR and $DISTILL_POWER_LOSS_JOURNAL name a folder and a file
  // outside of it. What is removed is kept in the folder $DISTILL_POWER_LOSS_JOURNAL.kept.
  static UndoJournal* Get();

  // The path within the folder, or nothing if it is outside, or is SQLite's shared memory, which is
  // mapped, and made anew after a crash. Links on the way are followed, one at
  // the end is not. `folder` is as openat() takes it.
  std::string PathWithin(int folder, const char* path) const;
  std::string Absolute(const std::string& path_within) const { return folder_ + "/" + path_within; }
  // Whether it is a file in the folder that the program itself has opened.
  bool Watches(int descriptor) const;

  Mutex& mutex() { return mutex_; }
  // Each returns the record's position; mutex() is held. `offset` is the descriptor's own where
  // there is none.
  uint64_t AddWrite(int descriptor, std::optional<off_t> offset, uint64_t length);
  uint64_t AddTruncate(int descriptor, off_t new_size);
  uint64_t AddCreate(const std::string& path);
  uint64_t AddRemove(const std::string& path);
  uint64_t AddRename(const std::string& from, const std::string& to);
  void AddVoid(uint64_t position);

  // Only what was recorded before the sync began is safe when it has ended. Nothing for what is not
  // watched. These two take mutex() themselves.
  std::optional<Record> BeginSync(int descriptor, bool all);
  void EndSync(const Record& sync);

 private:
  UndoJournal(const char* folder, const char* journal);
  uint64_t Position() const;
  uint64_t Add(const Record& record);
  // Keeps a file by another name; returns that name, or nothing for a folder or if there is no such
  // file.
  std::string Keep(const std::string& path);

  Mutex mutex_;
  const std::string folder_;
  const std::string kept_;
  const int journal_;
};

// Says why the journal would not be true, and ends the process.
[[noreturn]] void Die(const char* what, const char* path);

}  // namespace distill::power_loss
