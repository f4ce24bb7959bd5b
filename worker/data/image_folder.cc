#include "worker/data/image_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

// Below a class's folder; also ends the walk along links that lead in circles.
constexpr int kDeepest = 8;

struct Entries {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

enum class EntryKind { kFolder, kFile, kOther };

EntryKind KindOf(const std::string& path, unsigned char type) {
  if (type == DT_DIR) return EntryKind::kFolder;
  if (type == DT_REG) return EntryKind::kFile;
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return EntryKind::kOther;  // A link to nowhere.
  if (S_ISDIR(status.st_mode)) return EntryKind::kFolder;
  return S_ISREG(status.st_mode) ? EntryKind::kFile : EntryKind::kOther;
}

// Names in `folder`, sorted, without hidden ones.
absl::StatusOr<Entries> List(const std::string& folder) {
  const auto close = [](DIR* stream) { closedir(stream); };
  const std::unique_ptr<DIR, decltype(close)> stream(opendir(folder.c_str()), close);
  if (stream == nullptr) return ErrnoStatus(errno, "read data set: cannot list folder", folder);
  Entries entries;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    std::string name = entry->d_name;
    if (name[0] == '.') continue;
    switch (KindOf(JoinPath(folder, name), entry->d_type)) {
      case EntryKind::kFolder:
        entries.folders.push_back(std::move(name));
        break;
      case EntryKind::kFile:
        entries.files.push_back(std::move(name));
        break;
      case EntryKind::kOther:
        break;
    }
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus(errno, "read data set: cannot list folder", folder);
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.files.begin(), entries.files.end());
  return entries;
}

// Adds the images below `folder`/`below`; returns how many other files were passed over.
absl::StatusOr<int64_t> AddImages(const std::string& folder, const std::string& below, int label,
                                  int depth, NameTable* files) {
  if (depth > kDeepest) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read data set: folders nest too deeply, or a link leads back; folder=", folder, "/",
        below));
  }
  DISTILL_ASSIGN_OR_RETURN(const Entries entries, List(JoinPath(folder, below)));
  int64_t passed_over = 0;
  for (const std::string& name : entries.files) {
    if (HasImageEnding(name)) {
      DISTILL_RETURN_IF_ERROR(files->Add(absl::StrCat(below, "/", name), label));
    } else {
      ++passed_over;
    }
  }
  for (const std::string& name : entries.folders) {
    DISTILL_ASSIGN_OR_RETURN(const int64_t more, AddImages(folder, absl::StrCat(below, "/", name),
                                                           label, depth + 1, files));
    passed_over += more;
  }
  return passed_over;
}

}  // namespace

absl::StatusOr<ClassFolders> FindClassFolders(const std::string& folder, uint64_t max_bytes) {
  ClassFolders found{{}, NameTable(max_bytes)};
  DISTILL_ASSIGN_OR_RETURN(Entries entries, List(folder));
  found.names = std::move(entries.folders);
  if (found.names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read data set: the folder has no subfolders, which would be its classes; folder=",
        folder));
  }
  for (size_t c = 0; c < found.names.size(); ++c) {
    const int64_t before = found.files.size();
    DISTILL_ASSIGN_OR_RETURN(
        const int64_t passed_over,
        AddImages(folder, found.names[c], static_cast<int>(c), 0, &found.files));
    if (found.files.size() == before) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read data set: a class has no image; class=", found.names[c],
                       " folder=", folder, " files_without_image_ending=", passed_over));
    }
  }
  return found;
}

}  // namespace distill::data
