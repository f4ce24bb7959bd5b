#include "worker/agent/lease_set_run.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace distill::worker {
namespace {

constexpr size_t kCheckpointsKept = 2;
constexpr absl::Duration kLongestWait = absl::Seconds(10);
// How long a trainer that has closed its pipe may take to end by itself.
constexpr absl::Duration kExitGrace = absl::Seconds(2);

// Checks that a member made exactly what its task names, inside its own folder.
absl::Status CheckResults(const v1::TaskSpec& spec, const v1::MemberEnded& ended,
                          const std::string& directory) {
  std::set<std::string> want(spec.outputs().begin(), spec.outputs().end());
  for (const v1::ProducedFile& file : ended.results()) {
    if (want.erase(file.name()) == 0) {
      return absl::InternalError(absl::StrCat("trainer made an unknown output: ", file.name()));
    }
    if (!absl::StartsWith(file.path(), absl::StrCat(directory, "/")) || !FileExists(file.path())) {
      return absl::InternalError(absl::StrCat("output is not in its folder; path=", file.path()));
    }
  }
  if (!want.empty()) {
    return absl::InternalError(absl::StrCat("trainer did not make output: ", *want.begin()));
  }
  return absl::OkStatus();
}

std::vector<v1::DatasetSpec*> DatasetsOf(v1::TaskSpec& spec) {
  std::vector<v1::DatasetSpec*> datasets = {spec.mutable_dataset()};
  if (spec.has_few_shot()) datasets.push_back(spec.mutable_few_shot()->mutable_dataset());
  if (spec.has_evaluation()) {
    for (v1::OutOfDistributionSet& set :
         *spec.mutable_evaluation()->mutable_out_of_distribution()) {
      datasets.push_back(set.mutable_dataset());
    }
  }
  return datasets;
}

// How often training sees the whole training set; 0 when nothing is trained.
double EpochsOf(const v1::TaskSpec& spec) {
  const v1::DatasetSpec& dataset = spec.dataset();
  const int64_t images = dataset.train_images() > 0 ? dataset.train_images() : dataset.train_size();
  if (images <= 0) return 0;
  return static_cast<double>(spec.recipe().total_images()) / static_cast<double>(images);
}

std::vector<ProducedArtifact> ArtifactsOf(
    const google::protobuf::RepeatedPtrField<v1::ProducedFile>& files) {
  std::vector<ProducedArtifact> artifacts;
  for (const v1::ProducedFile& file : files) artifacts.push_back({file.name(), file.path()});
  return artifacts;
}

}  // namespace

struct LeaseSetRun::Member {
  enum class State { kPreparing, kRunning, kEnded };
  struct Checkpoint {
    std::string path;
    int64_t step = 0;
  };

  std::shared_ptr<LiveLease> lease;  // Shared with the lease table.
  std::string directory;
  State state = State::kPreparing;
  std::vector<ArtifactCache::Pin> pins;
  std::vector<DatasetCache::Pin> dataset_pins;
  v1::TaskSpec spec;  // As granted, with the paths of this machine.
  std::map<std::string, std::string> input_paths;
  std::string checkpoint_path;
  std::deque<Checkpoint> checkpoints;  // Oldest first.
  MonotonicTime start;
  bool cancel_sent = false;
  MonotonicTime cancel_deadline = InfiniteFuture();
  v1::AttemptStats stats;
  std::optional<SpanRecorder> spans;  // Until the end is published.
};

LeaseSetRun::LeaseSetRun(Config config, Dependencies dependencies,
                         const std::vector<std::shared_ptr<LiveLease>>& leases)
    : config_(std::move(config)), dependencies_(std::move(dependencies)) {
  for (const std::shared_ptr<LiveLease>& lease : leases) {
    auto member = std::make_unique<Member>();
    member->lease = lease;
    member->directory = JoinPath(config_.attempts_directory, lease->id());
    member->start = dependencies_.clock.Now();
    member->spans.emplace(dependencies_.clock, lease->grant().traceparent());
    members_.push_back(std::move(member));
  }
}

LeaseSetRun::~LeaseSetRun() = default;

void LeaseSetRun::Run() {
  dependencies_.metrics.MoveSlot(SlotState::kIdle, SlotState::kPreparing);
  PrepareMembers();
  const bool started = StartTrainer();
  dependencies_.metrics.MoveSlot(SlotState::kPreparing, SlotState::kRunning);
  if (started) Supervise();
  dependencies_.metrics.EndReport(config_.slot);
  dependencies_.metrics.MoveSlot(SlotState::kRunning, SlotState::kIdle);
}

void LeaseSetRun::PrepareMembers() {
  for (const auto& member : members_) {
    if (dependencies_.stopping()) return;
    const LogScope scope = ScopeOf(member->lease->grant());
    member->lease->SetPhase("fetching inputs");
    member->spans->Begin("fetch inputs");
    const absl::Status status = FetchInputs(*member);
    if (member->spans.has_value()) member->spans->End(status);
    if (!status.ok() && !absl::IsCancelled(status) && member->state != Member::State::kEnded) {
      Fail(*member, v1::FAILURE_CLASS_INFRASTRUCTURE, std::string(status.message()));
    }
  }
}

absl::Status LeaseSetRun::FetchInputs(Member& member) {
  DISTILL_RETURN_IF_ERROR(RemoveTree(member.directory));
  DISTILL_RETURN_IF_ERROR(CreateDirectories(member.directory));
  const v1::Grant& grant = member.lease->grant();
  for (const v1::ResolvedInput& input : grant.inputs()) {
    DISTILL_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(input.digest()));
    absl::StatusOr<ArtifactCache::Pin> pin =
        dependencies_.cache.Fetch(digest, member.lease->preparation());
    if (absl::IsNotFound(pin.status()) || absl::IsDataLoss(pin.status())) {
      Fail(member, v1::FAILURE_CLASS_INFRASTRUCTURE,
           absl::StrCat("cannot fetch input ", input.name(), ": ", pin.status().message()),
           {digest.str()});
    }
    DISTILL_RETURN_IF_ERROR(pin.status());
    member.input_paths[input.name()] = pin->path();
    member.pins.push_back(*std::move(pin));
  }
  member.spec = grant.spec();
  DISTILL_RETURN_IF_ERROR(FetchDatasets(member));
  if (grant.checkpoint().digest().empty()) return absl::OkStatus();
  DISTILL_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(grant.checkpoint().digest()));
  absl::StatusOr<ArtifactCache::Pin> pin =
      dependencies_.cache.Fetch(digest, member.lease->preparation());
  if (absl::IsNotFound(pin.status()) || absl::IsDataLoss(pin.status())) {
    if (grant.has_gang()) {
      // All ranks go on from the same step; without this checkpoint they will be at an earlier one.
      Fail(member, v1::FAILURE_CLASS_INFRASTRUCTURE,
           absl::StrCat("cannot fetch checkpoint: ", pin.status().message()), {digest.str()});
      return pin.status();
    }
    // Nothing but time is lost: the same bits come from step 0.
    LogWarning("checkpoint cannot be fetched; starting over",
               {{"task", member.lease->ref().task()}, {"error", pin.status()}});
    return absl::OkStatus();
  }
  DISTILL_RETURN_IF_ERROR(pin.status());
  member.checkpoint_path = pin->path();
  member.pins.push_back(*std::move(pin));
  return absl::OkStatus();
}

absl::Status LeaseSetRun::FetchDatasets(Member& member) {
  for (v1::DatasetSpec* const dataset : DatasetsOf(member.spec)) {
    DISTILL_RETURN_IF_ERROR(FetchDataset(member, *dataset));
  }
  return absl::OkStatus();
}

absl::Status LeaseSetRun::FetchDataset(Member& member, v1::DatasetSpec& dataset) {
  const bool differs = dependencies_.differing_datasets.Contains(dataset.path(), dataset.digest());
  if (!differs && (!dataset.has_manifest() || FileExists(dataset.path()))) return absl::OkStatus();
  if (!dataset.has_manifest()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot use data set: this worker's files are not the job's, as a trainer found; give "
        "every worker the same files, or a copy to the server with `distill dataset add --upload`; "
        "worker=",
        config_.worker_id, " path=", dataset.path(), " wanted=", dataset.digest()));
  }
  member.lease->SetPhase("fetching data set");
  DISTILL_ASSIGN_OR_RETURN(const Digest manifest, Digest::Parse(dataset.manifest()));
  Digest bad_blob;
  absl::StatusOr<DatasetCache::Pin> pin =
      dependencies_.datasets.Fetch(manifest, member.lease->preparation(), &bad_blob);
  if (absl::IsNotFound(pin.status()) || absl::IsDataLoss(pin.status())) {
    Fail(member, v1::FAILURE_CLASS_INFRASTRUCTURE,
         absl::StrCat("cannot fetch data set ", dataset.name(), ": ", pin.status().message(),
                      "; `distill dataset verify ", dataset.name(), "` checks the server's copy"),
         {bad_blob.str()});
  }
  DISTILL_RETURN_IF_ERROR(pin.status());
  dataset.set_path(pin->path());
  member.dataset_pins.push_back(*std::move(pin));
  return absl::OkStatus();
}

void LeaseSetRun::EndUnwantedBeforeStart() {
  for (const auto& member : members_) {
    if (member->state == Member::State::kPreparing) EndAsWished(*member);
  }
}

// Returns whether a trainer now runs the members that are left.
bool LeaseSetRun::StartTrainer() {
  EndUnwantedBeforeStart();
  const auto wanted = [this] {
    return !dependencies_.stopping() &&
           std::any_of(members_.begin(), members_.end(), [](const auto& member) {
             return member->state == Member::State::kPreparing &&
                    member->lease->wish() == LeaseWish::kRun;
           });
  };
  if (!wanted()) return false;
  const v1::Grant& first = members_.front()->lease->grant();
  const TrainerSeat::Demand demand{first.lease().job(), first.spec().numeric_class(),
                                   first.has_gang()};
  TrainerSeat& seat = dependencies_.seat;
  dependencies_.metrics.CountTrainerStart(seat.IsWarmFor(demand) ? "warm" : "cold");
  for (const auto& member : members_) {
    if (member->spans.has_value()) member->spans->Begin("start trainer");
  }
  absl::Status status = seat.Prepare(demand, [&] { return !wanted(); });
  for (const auto& member : members_) {
    if (member->spans.has_value()) member->spans->End(status);
  }
  EndUnwantedBeforeStart();
  if (status.ok() && wanted()) status = SendStart();
  if (dependencies_.stopping()) return false;
  for (const auto& member : members_) {
    if (status.ok() || member->state == Member::State::kEnded) continue;
    Fail(*member, v1::FAILURE_CLASS_INFRASTRUCTURE, std::string(status.message()));
  }
  if (!status.ok()) seat.End();
  return AnyRunning();
}

absl::Status LeaseSetRun::SendStart() {
  v1::TrainerCommand command;
  for (const auto& member : members_) {
    if (member->state != Member::State::kPreparing) continue;
    v1::MemberAssignment& assignment = *command.mutable_start()->add_members();
    assignment.set_member(member->lease->id());
    *assignment.mutable_spec() = member->spec;
    assignment.mutable_input_paths()->insert(member->input_paths.begin(),
                                             member->input_paths.end());
    assignment.set_checkpoint_path(member->checkpoint_path);
    assignment.set_output_directory(member->directory);
    const v1::LeaseRef& ref = member->lease->ref();
    assignment.set_job(ref.job());
    assignment.set_task(ref.task());
    assignment.set_attempt(ref.attempt_number());
    assignment.set_traceparent(member->lease->grant().traceparent());
    if (!member->lease->grant().has_gang()) continue;
    v1::GangSeat& seat = *assignment.mutable_gang();
    seat.set_rank(member->lease->grant().gang().rank());
    seat.set_size(member->lease->grant().gang().size());
    seat.set_interface(config_.gang_network);
  }
  DISTILL_RETURN_IF_ERROR(dependencies_.seat.trainer()->Send(command));
  first_word_deadline_ = dependencies_.clock.Now() + config_.first_word_timeout;
  for (const auto& member : members_) {
    if (member->state != Member::State::kPreparing) continue;
    member->state = Member::State::kRunning;
    member->lease->SetLog(LogHeader(*member), dependencies_.seat.trainer()->shared_log());
    member->lease->SetPhase("loading data");
  }
  return absl::OkStatus();
}

void LeaseSetRun::Supervise() {
  TrainerSeat& seat = dependencies_.seat;
  while (AnyRunning()) {
    if (dependencies_.stopping()) {
      seat.End();
      return;
    }
    CarryOutWishes();
    ForwardGangPeers();
    if (CancelOverdue()) {
      KillForCancel();
      return;
    }
    const absl::StatusOr<std::vector<v1::TrainerEvent>> events =
        seat.trainer()->Wait(dependencies_.wake.descriptor(), NextTimeout());
    dependencies_.wake.Clear();
    if (!events.ok()) {
      HandleTrainerDeath(events.status());
      return;
    }
    if (!events->empty()) first_word_deadline_ = InfiniteFuture();
    for (const v1::TrainerEvent& event : *events) HandleEvent(event);
    if (dependencies_.clock.Now() >= first_word_deadline_) {
      HandleTrainerDeath(absl::DeadlineExceededError(absl::StrCat(
          "it hung: it said nothing for ", absl::FormatDuration(config_.first_word_timeout),
          " after it got its tasks")));
      return;
    }
  }
  if (!all_succeeded_) {
    seat.End();
  } else if (!ready_again_) {
    seat.KeepWarm(dependencies_.stopping);
  }
}

void LeaseSetRun::CarryOutWishes() {
  TrainerProcess& trainer = *dependencies_.seat.trainer();
  for (const auto& member : members_) {
    if (member->state != Member::State::kRunning) continue;
    const LeaseWish wish = member->lease->wish();
    v1::TrainerCommand command;
    if (wish == LeaseWish::kRelease && !stop_sent_) {
      command.mutable_checkpoint_and_stop();
      stop_sent_ = true;
    } else if (wish != LeaseWish::kRun && wish != LeaseWish::kRelease && !member->cancel_sent) {
      command.mutable_cancel()->set_member(member->lease->id());
      member->cancel_sent = true;
    } else if (wish >= LeaseWish::kStop && member->cancel_deadline == InfiniteFuture()) {
      // Told to go before, when there was no hurry.
      member->cancel_deadline = dependencies_.clock.Now() + config_.cancel_grace;
      continue;
    } else {
      continue;
    }
    if (wish >= LeaseWish::kStop) {
      member->cancel_deadline = dependencies_.clock.Now() + config_.cancel_grace;
    }
    const absl::Status sent = trainer.Send(command, config_.cancel_grace);
    if (absl::IsDeadlineExceeded(sent)) member->cancel_deadline = dependencies_.clock.Now();
  }
}

void LeaseSetRun::ForwardGangPeers() {
  for (const auto& member : members_) {
    if (member->state != Member::State::kRunning) continue;
    const std::vector<std::string> contacts = member->lease->TakeGangPeers();
    if (contacts.empty()) continue;
    v1::TrainerCommand command;
    command.mutable_gang_peers()->set_member(member->lease->id());
    for (const std::string& contact : contacts) command.mutable_gang_peers()->add_contents(contact);
    const absl::Status sent = dependencies_.seat.trainer()->Send(command);
    // A trainer that does not listen is waited for no longer than any other that hangs.
    if (!sent.ok()) LogWarning("trainer was not told of its gang", {{"error", sent}});
  }
}

bool LeaseSetRun::CancelOverdue() const {
  const MonotonicTime now = dependencies_.clock.Now();
  return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    return member->state == Member::State::kRunning && member->cancel_deadline <= now;
  });
}

absl::Duration LeaseSetRun::NextTimeout() const {
  const MonotonicTime now = dependencies_.clock.Now();
  absl::Duration timeout = std::min(kLongestWait, first_word_deadline_ - now);
  for (const auto& member : members_) {
    if (member->state != Member::State::kRunning) continue;
    timeout = std::min(timeout, member->cancel_deadline - now);
  }
  return std::max(timeout, absl::ZeroDuration());
}

void LeaseSetRun::HandleEvent(const v1::TrainerEvent& event) {
  switch (event.event_case()) {
    case v1::TrainerEvent::kProgress: {
      Member* member = FindRunning(event.progress().member());
      if (member == nullptr) break;
      member->lease->SetProgress(event.progress().progress(), event.progress().started());
      member->lease->AddPoints(event.progress().points());
      const v1::Progress& progress = event.progress().progress();
      member->spans->OnProgress(progress.phase(), progress.step(), progress.total_steps(),
                                EpochsOf(member->spec));
      dependencies_.metrics.Report(config_.slot, event.progress().progress());
      break;
    }
    case v1::TrainerEvent::kCheckpoint:
      HandleCheckpoint(event.checkpoint());
      break;
    case v1::TrainerEvent::kEnded:
      HandleEnded(event.ended());
      break;
    case v1::TrainerEvent::kGangContact:
      if (Member* member = FindRunning(event.gang_contact().member())) {
        member->lease->SetGangContact(event.gang_contact().content());
        dependencies_.report_soon();
      }
      break;
    case v1::TrainerEvent::kReady:
      // Often comes together with the last end.
      ready_again_ = true;
      break;
    default:
      break;
  }
}

void LeaseSetRun::HandleCheckpoint(const v1::CheckpointWritten& written) {
  Member* member = FindRunning(written.member());
  if (member == nullptr) return;
  member->checkpoints.push_back({written.path(), written.step()});
  dependencies_.checkpoints.Offer(member->lease, written.path(), written.step());
  while (member->checkpoints.size() > kCheckpointsKept) {
    const absl::Status removed = RemoveFile(member->checkpoints.front().path);
    if (!removed.ok()) LogWarning("old checkpoint stays", {{"error", removed}});
    member->checkpoints.pop_front();
  }
}

void LeaseSetRun::HandleEnded(const v1::MemberEnded& ended) {
  Member* member = FindRunning(ended.member());
  if (member == nullptr) return;
  member->stats = ended.stats();
  const LeaseWish wish = member->lease->wish();
  switch (ended.outcome()) {
    case v1::MemberEnded::ENDED_SUCCEEDED:
      Succeed(*member, ended);
      return;
    case v1::MemberEnded::ENDED_CANCELLED:
    case v1::MemberEnded::ENDED_RELEASED:
      if (EndAsWished(*member)) return;
      if (stop_sent_) return Release(*member, "its bundle was handed back");
      if (member->lease->grant().has_gang()) return Release(*member, "its gang was handed back");
      Fail(*member, v1::FAILURE_CLASS_INFRASTRUCTURE, "trainer stopped without being told to");
      return;
    case v1::MemberEnded::ENDED_FAILED: {
      if (wish >= LeaseWish::kStop && EndAsWished(*member)) return;
      if (DisownDatasets(*member, ended)) {
        Release(*member, absl::StrCat(ended.message(), "; the server's copy is taken next"));
        return;
      }
      AttemptEnd end = NewEnd(*member, AttemptEnd::Kind::kFail);
      for (ProducedArtifact& file : ArtifactsOf(ended.observations())) {
        end.observations.push_back(std::move(file));
      }
      end.failure_class = ended.failure_class() == v1::FAILURE_CLASS_UNSPECIFIED
                              ? v1::FAILURE_CLASS_INFRASTRUCTURE
                              : ended.failure_class();
      end.message = ended.message();
      end.lost_gang = ended.lost_gang();
      all_succeeded_ = false;
      dependencies_.metrics.CountAttempt("failed");
      Publish(*member, std::move(end));
      return;
    }
    default:
      Fail(*member, v1::FAILURE_CLASS_INFRASTRUCTURE, "trainer reported an unknown outcome");
  }
}

bool LeaseSetRun::DisownDatasets(const Member& member, const v1::MemberEnded& ended) {
  v1::TaskSpec granted = member.lease->grant().spec();
  v1::TaskSpec used = member.spec;
  const std::vector<v1::DatasetSpec*> granted_sets = DatasetsOf(granted);
  const std::vector<v1::DatasetSpec*> used_sets = DatasetsOf(used);
  int disowned = 0;
  bool have_copies = true;
  for (size_t i = 0; i < used_sets.size(); ++i) {
    const auto& differing = ended.differing_datasets();
    if (std::find(differing.begin(), differing.end(), used_sets[i]->digest()) == differing.end()) {
      continue;
    }
    ++disowned;
    dependencies_.differing_datasets.Add(used_sets[i]->path(), used_sets[i]->digest());
    // A copy that differs is no reason to take it again.
    have_copies &= used_sets[i]->has_manifest() && used_sets[i]->path() == granted_sets[i]->path();
  }
  return disowned > 0 && have_copies;
}

void LeaseSetRun::HandleTrainerDeath(const absl::Status& cause) {
  const std::string last_line = dependencies_.seat.trainer()->log().LastLine();
  // Logs are written before the trainer, which keeps them, goes.
  for (const auto& member : members_) {
    if (member->state == Member::State::kRunning) WriteLog(*member);
  }
  const TrainerExit exit =
      dependencies_.seat.End(absl::IsUnavailable(cause) ? kExitGrace : absl::ZeroDuration());
  dependencies_.metrics.CountTrainerDeath();
  std::string message = absl::StrCat("trainer ended unexpectedly: ", exit.description);
  if (!absl::IsUnavailable(cause)) message = absl::StrCat(message, "; ", cause.message());
  if (!last_line.empty()) message = absl::StrCat(message, "; last line: ", last_line);
  for (const auto& member : members_) {
    if (member->state != Member::State::kRunning) continue;
    member->stats.set_peak_memory_bytes(exit.peak_memory_bytes);
    member->stats.set_cpu_seconds(exit.cpu_seconds);
    if (EndAsWished(*member)) continue;
    member->stats.set_trainer_died(true);
    Fail(*member,
         exit.out_of_memory ? v1::FAILURE_CLASS_RESOURCE : v1::FAILURE_CLASS_INFRASTRUCTURE,
         message);
  }
}

void LeaseSetRun::KillForCancel() {
  LogWarning("trainer does not obey; killing it", {{"slot", config_.slot}});
  for (const auto& member : members_) {
    if (member->state == Member::State::kRunning) WriteLog(*member);
  }
  const TrainerExit exit = dependencies_.seat.End();
  for (const auto& member : members_) {
    if (member->state != Member::State::kRunning) continue;
    member->stats.set_peak_memory_bytes(exit.peak_memory_bytes);
    member->stats.set_cpu_seconds(exit.cpu_seconds);
    if (EndAsWished(*member)) continue;
    Release(*member, "its trainer was killed to cancel another member of the bundle");
  }
}

void LeaseSetRun::Succeed(Member& member, const v1::MemberEnded& ended) {
  const v1::Grant& grant = member.lease->grant();
  // Of a gang, the first rank alone makes the result.
  v1::TaskSpec makes = grant.spec();
  if (grant.gang().rank() > 0) makes.clear_outputs();
  const absl::Status valid = CheckResults(makes, ended, member.directory);
  if (!valid.ok()) {
    Fail(member, v1::FAILURE_CLASS_INFRASTRUCTURE, std::string(valid.message()));
    return;
  }
  AttemptEnd end = NewEnd(member, AttemptEnd::Kind::kComplete);
  end.results = ArtifactsOf(ended.results());
  for (ProducedArtifact& file : ArtifactsOf(ended.observations())) {
    end.observations.push_back(std::move(file));
  }
  dependencies_.metrics.CountAttempt("succeeded");
  Publish(member, std::move(end));
}

void LeaseSetRun::Fail(Member& member, v1::FailureClass failure_class, const std::string& message,
                       std::vector<std::string> bad_inputs) {
  all_succeeded_ = false;
  AttemptEnd end = NewEnd(member, AttemptEnd::Kind::kFail);
  end.failure_class = failure_class;
  end.message = message;
  end.bad_inputs = std::move(bad_inputs);
  dependencies_.metrics.CountAttempt("failed");
  Publish(member, std::move(end));
}

void LeaseSetRun::Release(Member& member, const std::string& reason) {
  all_succeeded_ = false;
  AttemptEnd end = NewEnd(member, AttemptEnd::Kind::kRelease);
  end.message = reason;
  if (!member.checkpoints.empty()) {
    const Member::Checkpoint& newest = member.checkpoints.back();
    const v1::LeaseProgress report = member.lease->Report();
    if (!report.has_checkpoint() || report.checkpoint_step() < newest.step) {
      end.checkpoint = ProducedArtifact{"checkpoint", newest.path};
      end.checkpoint_step = newest.step;
    }
  }
  dependencies_.metrics.CountAttempt("released");
  Publish(member, std::move(end));
}

void LeaseSetRun::Abandon(Member& member) {
  all_succeeded_ = false;
  LogWarning("lease lost", {{"task", member.lease->ref().task()}, {"lease", member.lease->id()}});
  dependencies_.metrics.CountAttempt("abandoned");
  // Its publication is cancelled, so this only cleans up.
  Publish(member, NewEnd(member, AttemptEnd::Kind::kRelease));
}

bool LeaseSetRun::EndAsWished(Member& member) {
  switch (member.lease->wish()) {
    case LeaseWish::kRun:
      return false;
    case LeaseWish::kReleaseIfUnstarted:
      Release(member, "a slot is free elsewhere");
      return true;
    case LeaseWish::kRelease:
      Release(member, "asked to hand it back");
      return true;
    case LeaseWish::kStop:
      Release(member, "cancelled");
      return true;
    case LeaseWish::kAbandon:
      Abandon(member);
      return true;
  }
  return false;
}

AttemptEnd LeaseSetRun::NewEnd(Member& member, AttemptEnd::Kind kind) {
  AttemptEnd end;
  end.kind = kind;
  end.stats = member.stats;
  if (end.stats.wall_seconds() <= 0) {
    end.stats.set_wall_seconds(absl::ToDoubleSeconds(dependencies_.clock.Now() - member.start));
  }
  end.working_directory = member.directory;
  // Before the start, the trainer's log is about something else.
  const std::string log = member.state == Member::State::kRunning ? WriteLog(member) : "";
  if (!log.empty()) end.observations.push_back({"log", log});
  end.spans = std::exchange(member.spans, std::nullopt);
  if (end.spans.has_value()) end.spans->OnProgress("", 0, 0, 0);
  return end;
}

void LeaseSetRun::Publish(Member& member, AttemptEnd end) {
  member.state = Member::State::kEnded;
  member.pins.clear();
  dependencies_.checkpoints.Forget(member.lease->id());
  dependencies_.publisher.Publish(member.lease, std::move(end));
}

std::string LeaseSetRun::LogHeader(const Member& member) const {
  const v1::LeaseRef& ref = member.lease->ref();
  return absl::StrCat("# ", ref.job(), "/", ref.task(), " attempt ", ref.attempt_number(), " on ",
                      config_.worker_id, "\n");
}

// Returns the path of the member's log, as it stands; "" when there is none.
std::string LeaseSetRun::WriteLog(const Member& member) {
  const std::string path = JoinPath(member.directory, "log.txt");
  TrainerProcess* trainer = dependencies_.seat.trainer();
  // A trainer that is gone has left its log before.
  if (trainer == nullptr) return FileExists(path) ? path : "";
  const std::string text = absl::StrCat(LogHeader(member), trainer->log().Text());
  const absl::Status written = WriteFileAtomically(path, text);
  if (!written.ok()) LogWarning("log cannot be written", {{"error", written}});
  return written.ok() ? path : "";
}

LeaseSetRun::Member* LeaseSetRun::FindRunning(const std::string& lease_id) {
  for (const auto& member : members_) {
    if (member->state == Member::State::kRunning && member->lease->id() == lease_id) {
      return member.get();
    }
  }
  return nullptr;
}

bool LeaseSetRun::AnyRunning() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->state == Member::State::kRunning; });
}

}  // namespace distill::worker
