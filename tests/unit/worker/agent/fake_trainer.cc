// Stands in for distill-trainer in tests of the daemon: speaks the pipe, trains nothing, and
// behaves as the seed of each member's task says.
#include "tests/unit/worker/agent/fake_trainer.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "distill/v1/trainer.pb.h"
#include "worker/pipe/message_pipe.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string Variable(const char* name) {
  const char* const value = getenv(name);
  return value == nullptr ? "" : value;
}

std::string Device() { return Variable("CUDA_VISIBLE_DEVICES"); }

class FakeTrainer {
 public:
  int Run() {
    SayReady();
    for (;;) {
      absl::StatusOr<std::optional<v1::TrainerCommand>> command = reader_.Read<v1::TrainerCommand>(
          Pending() ? absl::Milliseconds(20) : absl::InfiniteDuration());
      if (!command.ok()) return kTrainerExitPipe;
      if (command->has_value()) {
        if ((*command)->has_shutdown()) return kTrainerExitOk;
        Obey(**command);
      }
      const bool had_members = !members_.empty();
      StepAll();
      if (had_members && members_.empty()) SayReady();
    }
  }

 private:
  struct Member {
    v1::MemberAssignment assignment;
    int step = 0;
  };

  void SayReady() {
    v1::TrainerEvent event;
    event.mutable_ready()->set_process_id(getpid());
    std::string numeric_class = Variable(kNumericClassVariable);
    // Asked which it has.
    if (numeric_class == kCudaClassPrefix) {
      numeric_class = Device() == kFakeBrokenGpu ? "cuda-none" : kFakeCudaClass;
    }
    event.mutable_ready()->set_numeric_class(numeric_class);
    Send(event);
  }

  void Send(const v1::TrainerEvent& event) {
    if (!writer_.Write(event).ok()) _exit(kTrainerExitPipe);
  }

  bool Pending() const { return !members_.empty(); }

  void Obey(const v1::TrainerCommand& command) {
    if (command.has_start()) {
      for (const v1::MemberAssignment& assignment : command.start().members()) {
        std::fprintf(stderr, "fake trainer starts %s on %s\n", assignment.member().c_str(),
                     Device().empty() ? "the processor" : Device().c_str());
        if (assignment.spec().seed() == kFakeFreeze) pause();
        members_[assignment.member()].assignment = assignment;
        if (assignment.spec().seed() == kFakeJoinGang) SayContact(assignment);
      }
    }
    if (command.has_cancel()) {
      const auto found = members_.find(command.cancel().member());
      if (found == members_.end()) return;
      if (found->second.assignment.spec().seed() == kFakeIgnoreCancel) return;
      End(command.cancel().member(), v1::MemberEnded::ENDED_CANCELLED);
    }
    if (command.has_gang_peers()) {
      std::string heard;
      for (const std::string& peer : command.gang_peers().contents()) {
        absl::StrAppend(&heard, "; ", peer);
      }
      std::fprintf(stderr, "heard of %s\n", heard.c_str());
      Succeed(command.gang_peers().member(), members_.at(command.gang_peers().member()));
    }
    if (command.has_checkpoint_and_stop()) {
      while (!members_.empty()) {
        Member& member = members_.begin()->second;
        if (member.assignment.spec().seed() == kFakeIgnoreCancel) return;
        WriteCheckpoint(member);
        End(members_.begin()->first, v1::MemberEnded::ENDED_RELEASED);
      }
    }
  }

  void SayContact(const v1::MemberAssignment& assignment) {
    v1::TrainerEvent event;
    event.mutable_gang_contact()->set_member(assignment.member());
    event.mutable_gang_contact()->set_content(absl::StrCat("rank ", assignment.gang().rank(),
                                                           " of ", assignment.gang().size(), " on ",
                                                           assignment.gang().interface()));
    Send(event);
  }

  void StepAll() {
    const std::map<std::string, Member> snapshot = members_;
    for (const auto& [name, unused] : snapshot) {
      Member& member = members_[name];
      ++member.step;
      Step(name, member);
    }
  }

  void Step(const std::string& name, Member& member) {
    v1::TrainerEvent event;
    event.mutable_progress()->set_member(name);
    event.mutable_progress()->set_started(true);
    event.mutable_progress()->mutable_progress()->set_step(member.step);
    event.mutable_progress()->mutable_progress()->set_phase("training");
    Send(event);
    switch (member.assignment.spec().seed()) {
      case kFakeSucceed:
        Succeed(name, member);
        break;
      case kFakeSlow:
        if (member.step == 20) Succeed(name, member);
        break;
      case kFakeCrash:
        std::fprintf(stderr, "about to crash\n");
        abort();
      case kFakeOutOfMemory:
        _exit(kTrainerExitOutOfMemory);
      case kFakeFail:
        End(name, v1::MemberEnded::ENDED_FAILED);
        break;
      case kFakeJudgeDataset:
        JudgeDataset(name, member);
        break;
      case kFakeLoseGang:
        LoseGang(name);
        break;
      case kFakeCheckpoints:
        if (member.step <= 3) WriteCheckpoint(member);
        break;
      case kFakeIgnoreCancel:
        if (member.step == 1 && fork() == 0) {
          for (;;) pause();  // A grandchild that nobody but the group's end reaches.
        }
        break;
      default:  // kFakeHang
        break;
    }
  }

  void WriteCheckpoint(Member& member) {
    const std::string path =
        absl::StrCat(member.assignment.output_directory(), "/checkpoint-", member.step);
    Write(path, absl::StrCat("checkpoint ", member.step));
    v1::TrainerEvent event;
    event.mutable_checkpoint()->set_member(member.assignment.member());
    event.mutable_checkpoint()->set_path(path);
    event.mutable_checkpoint()->set_step(member.step);
    Send(event);
  }

  void Succeed(const std::string& name, Member& member) {
    std::string text = absl::StrCat("module ", member.assignment.spec().module_index());
    const std::map<std::string, std::string> inputs(member.assignment.input_paths().begin(),
                                                    member.assignment.input_paths().end());
    for (const auto& [input, path] : inputs) absl::StrAppend(&text, " ", input, "=", Read(path));
    if (!member.assignment.checkpoint_path().empty()) {
      absl::StrAppend(&text, " after ", Read(member.assignment.checkpoint_path()));
    }
    v1::TrainerEvent event;
    v1::MemberEnded& ended = *event.mutable_ended();
    ended.set_member(name);
    ended.set_outcome(v1::MemberEnded::ENDED_SUCCEEDED);
    for (const std::string& output : member.assignment.spec().outputs()) {
      if (member.assignment.gang().rank() > 0) break;
      const std::string path = absl::StrCat(member.assignment.output_directory(), "/", output);
      Write(path, absl::StrCat(text, " output ", output));
      v1::ProducedFile& file = *ended.add_results();
      file.set_name(output);
      file.set_path(path);
    }
    // Tells tests which process it was.
    ended.mutable_stats()->set_parameters(getpid());
    Send(event);
    members_.erase(name);
  }

  void JudgeDataset(const std::string& name, Member& member) {
    const v1::DatasetSpec& dataset = member.assignment.spec().dataset();
    if (access(absl::StrCat(dataset.path(), "/wrong").c_str(), F_OK) != 0) {
      return Succeed(name, member);
    }
    v1::TrainerEvent event;
    event.mutable_ended()->set_member(name);
    event.mutable_ended()->set_outcome(v1::MemberEnded::ENDED_FAILED);
    event.mutable_ended()->set_failure_class(v1::FAILURE_CLASS_INFRASTRUCTURE);
    event.mutable_ended()->set_message("files are not the job's");
    event.mutable_ended()->add_differing_datasets(dataset.digest());
    Send(event);
    members_.erase(name);
  }

  void LoseGang(const std::string& name) {
    v1::TrainerEvent event;
    event.mutable_ended()->set_member(name);
    event.mutable_ended()->set_outcome(v1::MemberEnded::ENDED_FAILED);
    event.mutable_ended()->set_failure_class(v1::FAILURE_CLASS_INFRASTRUCTURE);
    event.mutable_ended()->set_lost_gang(true);
    Send(event);
    members_.erase(name);
  }

  void End(const std::string& name, v1::MemberEnded::Outcome outcome) {
    v1::TrainerEvent event;
    event.mutable_ended()->set_member(name);
    event.mutable_ended()->set_outcome(outcome);
    if (outcome == v1::MemberEnded::ENDED_FAILED) {
      event.mutable_ended()->set_failure_class(v1::FAILURE_CLASS_USER);
      event.mutable_ended()->set_message("loss is not finite; step=1");
    }
    Send(event);
    members_.erase(name);
  }

  MessageReader reader_{kTrainerCommandDescriptor};
  MessageWriter writer_{kTrainerEventDescriptor};
  std::map<std::string, Member> members_;
};

}  // namespace
}  // namespace distill::worker

int main() { return distill::worker::FakeTrainer().Run(); }
