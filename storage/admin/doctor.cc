#include "storage/admin/doctor.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"
#include "storage/state/sql_state_store.h"

namespace distill::storage {
namespace {

constexpr char kRestore[] =
    "restore the latest backup into a new place (distill admin restore) and start the server there";
constexpr char kRetention[] = "none needed: the server's next round of retention takes care of it";

class Examination {
 public:
  Examination(SqlConnection& connection, const BlobStore* blobs, const DoctorOptions& options)
      : connection_(connection), blobs_(blobs), options_(options) {}

  absl::StatusOr<Diagnosis> Run() {
    DISTILL_ASSIGN_OR_RETURN(diagnosis_.schema, connection_.SchemaVersion());
    DISTILL_RETURN_IF_ERROR(CheckSchemaVersion(diagnosis_.schema));
    if (diagnosis_.schema < static_cast<int64_t>(SchemaMigrations().size())) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot examine state: its schema is older than this program; start the server once, "
          "which migrates it; schema=",
          diagnosis_.schema, " newest=", SchemaMigrations().size()));
    }
    DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> damages, connection_.CheckIntegrity());
    for (const std::string& damage : damages) {
      Problem(absl::StrCat("the database is damaged: ", damage), kRestore);
    }
    // The server may run: rows that were read one table after the other would contradict each other
    // without being wrong.
    DISTILL_RETURN_IF_ERROR(connection_.BeginSnapshot());
    DISTILL_ASSIGN_OR_RETURN(image_, SqlStateStore::LoadFrom(connection_));
    DISTILL_RETURN_IF_ERROR(connection_.Execute("COMMIT"));
    diagnosis_.jobs = static_cast<int64_t>(image_.jobs.size());
    diagnosis_.tasks = static_cast<int64_t>(image_.tasks.size());
    diagnosis_.blobs = static_cast<int64_t>(image_.blobs.size());
    CheckRows();
    CollectReferences();
    DISTILL_RETURN_IF_ERROR(CheckBlobs());
    DISTILL_RETURN_IF_ERROR(CheckRoom());
    return std::move(diagnosis_);
  }

 private:
  void Problem(std::string what, std::string remedy) {
    diagnosis_.findings.push_back(
        {Finding::Severity::kProblem, std::move(what), std::move(remedy)});
  }
  void Note(std::string what, std::string remedy) {
    diagnosis_.findings.push_back({Finding::Severity::kNote, std::move(what), std::move(remedy)});
  }

  void CheckRows() {
    std::map<TaskId, std::vector<const AttemptRecord*>> attempts;
    for (const AttemptRecord& attempt : image_.attempts) attempts[attempt.task].push_back(&attempt);
    std::map<JobId, JobState> jobs;
    for (const JobRecord& job : image_.jobs) {
      jobs[job.id] = job.status.state;
      CheckRevision(job.id.str(), job.status.revision);
    }
    for (const TaskRecord& task : image_.tasks) {
      CheckRevision(task.id.str(), task.status.revision);
      CheckTask(task, attempts[task.id]);
      if (IsTerminal(jobs[task.job]) && !IsTerminal(task.status.state)) {
        Problem(absl::StrCat("task ", task.id.str(), " is ", Name(task.status.state),
                             " though its job is ", Name(jobs[task.job])),
                kRestore);
      }
    }
  }

  void CheckRevision(const std::string& id, int64_t revision) {
    if (revision <= image_.last_revision) return;
    Problem(absl::StrCat(id, " is of a revision that was never given; revision=", revision,
                         " last=", image_.last_revision),
            kRestore);
  }

  void CheckTask(const TaskRecord& task, const std::vector<const AttemptRecord*>& attempts) {
    const TaskStatus& status = task.status;
    const auto wrong = [&](absl::string_view rule) {
      Problem(absl::StrCat("task ", task.id.str(), ": ", rule), kRestore);
    };
    if (static_cast<int32_t>(attempts.size()) != status.attempts) {
      wrong(absl::StrCat("has ", attempts.size(), " attempts of ", status.attempts));
    }
    const auto runs = [](const AttemptRecord* attempt) {
      return attempt->state == AttemptState::kRunning;
    };
    const bool running = std::any_of(attempts.begin(), attempts.end(), runs);
    if (running && IsTerminal(status.state)) wrong("is terminal, yet an attempt of it runs");
    if (!running && status.state == TaskState::kRunning) wrong("is RUNNING without an attempt");
    if (status.winner_attempt == 0) return;
    const auto won = [&](const AttemptRecord* attempt) {
      return attempt->number == status.winner_attempt && attempt->state == AttemptState::kSucceeded;
    };
    if (std::none_of(attempts.begin(), attempts.end(), won)) {
      wrong("its winner is no attempt that succeeded");
    }
  }

  void Refer(const NamedBlob& blob, const std::string& owner) {
    references_.emplace(blob.digest, absl::StrCat(blob.name, " of ", owner));
  }

  // What must be there: results, reports, and the copies of data sets. Logs and checkpoints of
  // finished tasks may go before their job.
  void CollectReferences() {
    for (const JobRecord& job : image_.jobs) {
      for (const NamedBlob& blob : job.status.artifacts) Refer(blob, job.id.str());
    }
    for (const TaskRecord& task : image_.tasks) {
      for (const NamedBlob& blob : task.status.results) Refer(blob, task.id.str());
      const Checkpoint& checkpoint = task.status.checkpoint;
      if (!IsTerminal(task.status.state) && !checkpoint.digest.empty()) {
        Refer({"checkpoint", checkpoint.digest, checkpoint.size_bytes}, task.id.str());
      }
    }
    for (const DatasetRecord& dataset : image_.datasets) {
      for (const NamedBlob& blob : dataset.status.blobs) {
        Refer(blob, absl::StrCat("data set ", dataset.name.str()));
      }
    }
  }

  absl::Status CheckBlobs() {
    std::map<Digest, const BlobRecord*> known;
    for (const BlobRecord& blob : image_.blobs) known[blob.digest] = &blob;
    for (const auto& [digest, owner] : references_) {
      const auto found = known.find(digest);
      if (found == known.end() || found->second->state == BlobState::kUnlinking) {
        Lost(digest, owner, "no row knows it");
      }
    }
    if (blobs_ == nullptr) return absl::OkStatus();
    for (const BlobRecord& blob : image_.blobs) {
      if (blob.state == BlobState::kUnlinking) continue;
      DISTILL_RETURN_IF_ERROR(CheckBlob(blob));
    }
    DISTILL_ASSIGN_OR_RETURN(const std::vector<BlobInfo> stored, blobs_->List());
    int64_t strays = 0;
    uint64_t stray_bytes = 0;
    for (const BlobInfo& blob : stored) {
      if (known.count(blob.digest) != 0) continue;
      ++strays;
      stray_bytes += blob.size_bytes;
    }
    if (strays > 0) {
      Note(absl::StrCat("no row knows ", strays, " of the stored blobs; bytes=", stray_bytes),
           "distill admin gc, once the server is stopped");
    }
    return absl::OkStatus();
  }

  absl::Status CheckBlob(const BlobRecord& blob) {
    const auto reference = references_.find(blob.digest);
    const std::string owner = reference == references_.end() ? "" : reference->second;
    const absl::StatusOr<uint64_t> size = blobs_->Stat(blob.digest);
    if (absl::IsNotFound(size.status())) {
      if (!owner.empty()) {
        Lost(blob.digest, owner, "it is not in the object store");
      } else {
        Note(absl::StrCat("a blob that nothing needs is not there; digest=", blob.digest.str()),
             kRetention);
      }
      return absl::OkStatus();
    }
    DISTILL_RETURN_IF_ERROR(size.status());
    if (static_cast<int64_t>(*size) != blob.size_bytes) {
      Lost(blob.digest, owner.empty() ? "a blob" : owner,
           absl::StrCat("it has ", *size, " of ", blob.size_bytes, " bytes"));
      return absl::OkStatus();
    }
    if (!options_.verify_blobs) return absl::OkStatus();
    const absl::Status verified = blobs_->Verify(blob.digest);
    if (absl::IsDataLoss(verified)) {
      Lost(blob.digest, owner.empty() ? "a blob" : owner, "its bytes do not match its digest");
      return absl::OkStatus();
    }
    ++diagnosis_.verified_blobs;
    return absl::IsNotFound(verified) ? absl::OkStatus() : verified;
  }

  void Lost(const Digest& digest, const std::string& owner, absl::string_view why) {
    Problem(absl::StrCat(owner, " is lost: ", why, "; digest=", digest.str()),
            "put it back from a backup (distill artifact import, or its file under blobs/); a "
            "running job makes it again by itself");
  }

  absl::Status CheckRoom() {
    if (options_.blob_folder.empty()) return absl::OkStatus();
    DISTILL_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(options_.blob_folder));
    if (static_cast<int64_t>(free) >= options_.min_free_disk_bytes) return absl::OkStatus();
    Problem(absl::StrCat("the disk is nearly full, uploads are refused; folder=",
                         options_.blob_folder, " free_bytes=", free),
            "make room there, or lower --job-retention-hours and --blob-grace-hours");
    return absl::OkStatus();
  }

  SqlConnection& connection_;
  const BlobStore* const blobs_;
  const DoctorOptions options_;
  StateImage image_;
  // What needs it, by digest.
  std::map<Digest, std::string> references_;
  Diagnosis diagnosis_;
};

}  // namespace

bool Diagnosis::healthy() const {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.severity == Finding::Severity::kProblem;
  });
}

absl::StatusOr<Diagnosis> Examine(SqlConnection& connection, const BlobStore* blobs,
                                  const DoctorOptions& options) {
  return Examination(connection, blobs, options).Run();
}

}  // namespace distill::storage
