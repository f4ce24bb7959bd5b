#include "client/cli/dev_fleet.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace distill::client {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(20);
// A child that ran this long crashed for a new reason: its delays start over.
constexpr absl::Duration kHealthyRun = absl::Minutes(1);

// The last lines of a log, indented, for an error message.
std::string LogEnd(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return "";
  std::vector<std::string> lines = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  if (lines.size() > 8) lines.erase(lines.begin(), lines.end() - 8);
  return lines.empty() ? "" : absl::StrCat("\n  ", absl::StrJoin(lines, "\n  "));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DevFleet>> DevFleet::Start(
    DevFleetOptions options, const Clock* clock, Interrupt* interrupt,
    std::function<void(absl::string_view)> note) {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(JoinPath(options.data_directory, "logs")));
  absl::StatusOr<FileLock> lock = FileLock::Acquire(JoinPath(options.data_directory, "dev.lock"));
  if (!lock.ok()) {
    return absl::Status(
        lock.status().code(),
        absl::StrCat("cannot start in ", options.data_directory,
                     ": another `distill dev` or `distill demo` runs there; submit jobs to it, or "
                     "give another --data-dir; cause: ",
                     lock.status().message()));
  }
  // Not make_unique, for the constructor is private.
  std::unique_ptr<DevFleet> fleet(
      new DevFleet(std::move(options), *std::move(lock), clock, interrupt, std::move(note)));
  fleet->thread_ = std::thread([raw = fleet.get()] { raw->Run(); });
  absl::Status status;
  {
    MutexLock hold(fleet->mu_);
    while (!fleet->start_status_.has_value()) fleet->started_.Wait(fleet->mu_);
    status = *fleet->start_status_;
  }
  if (!status.ok()) return status;
  return fleet;
}

DevFleet::DevFleet(DevFleetOptions options, FileLock lock, const Clock* clock, Interrupt* interrupt,
                   std::function<void(absl::string_view)> note)
    : options_(std::move(options)),
      lock_(std::move(lock)),
      clock_(clock),
      interrupt_(interrupt),
      note_(std::move(note)) {}

DevFleet::~DevFleet() {
  stop_.Request();
  if (thread_.joinable()) thread_.join();
}

void DevFleet::Run() {
  const absl::Status status = StartAll();
  {
    MutexLock lock(mu_);
    start_status_ = status;
    started_.NotifyAll();
  }
  while (status.ok() && !StopRequested()) {
    for (Member& member : members_) RestartIfDown(&member);
    interrupt_->WaitFor(kPoll);
  }
  // Workers first: they hand their leases back to a server that still listens.
  if (members_.size() > 1) StopMembers(1, members_.size());
  StopMembers(0, std::min<size_t>(members_.size(), 1));
  // Nobody listens there any more.
  (void)RemoveFile(JoinPath(options_.data_directory, kServerAddressesFile));
}

DevFleet::Member DevFleet::MakeMember(const std::string& name, const std::string& program,
                                      std::vector<std::string> arguments) {
  const std::string& directory = options_.data_directory;
  Member member{name,
                {JoinPath(options_.program_directory, program)},
                JoinPath(directory, name == "server" ? std::string(kServerAddressesFile)
                                                     : absl::StrCat(name, ".addresses")),
                JoinPath(JoinPath(directory, "logs"), absl::StrCat(name, ".log")),
                std::nullopt,
                {},
                {},
                Backoff(options_.first_restart, options_.longest_restart, members_.size())};
  arguments.push_back(absl::StrCat("--data-dir=", JoinPath(directory, name)));
  arguments.push_back(absl::StrCat("--addresses-file=", member.addresses_path));
  member.command.insert(member.command.end(), arguments.begin(), arguments.end());
  return member;
}

absl::Status DevFleet::StartMember(Member* member) {
  // What an earlier run left there would pass for readiness.
  DISTILL_RETURN_IF_ERROR(RemoveFile(member->addresses_path));
  member->started = clock_->Now();
  absl::StatusOr<ChildProcess> process = ChildProcess::Start(member->command, member->log_path);
  if (!process.ok()) return process.status();
  member->process = *std::move(process);
  return absl::OkStatus();
}

absl::StatusOr<DevAddresses> DevFleet::AwaitAddresses(Member* member) {
  const MonotonicTime deadline = member->started + options_.ready_within;
  while (true) {
    const std::optional<std::string> end = member->process->PollEnd();
    absl::StatusOr<DevAddresses> addresses = ReadAddresses(member->addresses_path);
    if (addresses.ok() && !end.has_value()) return addresses;
    std::string cause = end.value_or("");
    if (cause.empty() && StopRequested()) return absl::CancelledError("interrupted");
    if (cause.empty() && clock_->Now() > deadline) {
      cause = absl::StrCat("was not ready within ", absl::FormatDuration(options_.ready_within));
    }
    if (!cause.empty()) {
      return absl::UnavailableError(absl::StrCat("cannot start ", member->name, ": it ", cause,
                                                 "; log=", member->log_path,
                                                 LogEnd(member->log_path)));
    }
    interrupt_->WaitFor(kPoll);
  }
}

absl::Status DevFleet::StartAll() {
  members_.push_back(
      MakeMember("server", "distill-server", {"--listen=127.0.0.1:0", "--http=127.0.0.1:0"}));
  DISTILL_RETURN_IF_ERROR(StartMember(&members_[0]));
  DISTILL_ASSIGN_OR_RETURN(server_addresses_, AwaitAddresses(&members_[0]));
  // When the server must be started again, everyone knows it by these addresses.
  members_[0].command[1] = absl::StrCat("--listen=", server_addresses_.grpc);
  members_[0].command[2] = absl::StrCat("--http=", server_addresses_.http);
  for (int i = 1; i <= options_.workers; ++i) {
    members_.push_back(MakeMember(
        absl::StrCat("worker-", i), "distill-worker",
        {absl::StrCat("--server=", server_addresses_.grpc), "--slots=1", "--http=127.0.0.1:0"}));
    DISTILL_RETURN_IF_ERROR(StartMember(&members_.back()));
  }
  for (size_t i = 1; i < members_.size(); ++i) {
    DISTILL_ASSIGN_OR_RETURN(DevAddresses addresses, AwaitAddresses(&members_[i]));
    worker_addresses_.push_back(std::move(addresses));
  }
  return absl::OkStatus();
}

void DevFleet::RestartIfDown(Member* member) {
  const MonotonicTime now = clock_->Now();
  if (member->process.has_value()) {
    const std::optional<std::string> end = member->process->PollEnd();
    if (!end.has_value()) return;
    if (now - member->started > kHealthyRun) member->backoff.Reset();
    const absl::Duration delay = member->backoff.Next();
    note_(absl::StrCat(member->name, " ", *end, "; starting it again in ",
                       absl::FormatDuration(absl::Trunc(delay, absl::Milliseconds(1))),
                       "; log=", member->log_path));
    member->process.reset();
    member->restart_at = now + delay;
  }
  if (now < member->restart_at) return;
  const absl::Status status = StartMember(member);
  if (!status.ok()) {
    note_(status.message());
    member->restart_at = now + member->backoff.Next();
  }
}

void DevFleet::StopMembers(size_t first, size_t end) {
  for (size_t i = first; i < end; ++i) {
    if (members_[i].process.has_value()) members_[i].process->Terminate();
  }
  const MonotonicTime deadline = clock_->Now() + options_.stop_within;
  const auto all_ended = [&] {
    bool ended = true;
    for (size_t i = first; i < end; ++i) {
      if (members_[i].process.has_value()) {
        ended = members_[i].process->PollEnd().has_value() && ended;
      }
    }
    return ended;
  };
  bool killed = false;
  // A killed process always ends, so this does too.
  while (!all_ended()) {
    const int requests = interrupt_->requests();
    if (!killed && (clock_->Now() > deadline || requests > 1)) {
      for (size_t i = first; i < end; ++i) {
        if (members_[i].process.has_value()) members_[i].process->Kill();
      }
      killed = true;
    }
    interrupt_->WaitFor(kPoll, requests);
  }
}

}  // namespace distill::client
