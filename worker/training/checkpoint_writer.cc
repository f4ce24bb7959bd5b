#include "worker/training/checkpoint_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "worker/training/resource_usage.h"
#include "worker/training/torch_guard.h"

namespace distill::training {
CheckpointWriter::CheckpointWriter(TrainingObserver& observer)
    : observer_(observer), thread_([this] { RunThread(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void CheckpointWriter::Submit(const std::string& member, const std::string& directory,
                              Checkpoint checkpoint) {
  MutexLock lock(mutex_);
  orders_.push_back({member, directory, std::move(checkpoint)});
  changed_.NotifyAll();
}

bool CheckpointWriter::IsBusy() {
  MutexLock lock(mutex_);
  return writing_ || !orders_.empty();
}

absl::Status CheckpointWriter::Flush(const std::string& member) {
  MutexLock lock(mutex_);
  while (writing_ || !orders_.empty()) changed_.Wait(mutex_);
  return std::exchange(errors_[member], absl::OkStatus());
}

absl::Duration CheckpointWriter::last_cost() {
  MutexLock lock(mutex_);
  return last_cost_;
}

void CheckpointWriter::RunThread() {
  while (true) {
    Order order;
    {
      MutexLock lock(mutex_);
      while (orders_.empty() && !ending_) changed_.Wait(mutex_);
      if (orders_.empty()) return;
      order = std::move(orders_.front());
      orders_.pop_front();
      writing_ = true;
    }
    Write(order);
    MutexLock lock(mutex_);
    writing_ = false;
    changed_.NotifyAll();
  }
}

void CheckpointWriter::Write(const Order& order) {
  const double cpu_before = ThreadCpuSeconds();
  const std::string path =
      JoinPath(order.directory, absl::StrCat("checkpoint-", order.checkpoint.step, ".safetensors"));
  const absl::Status status =
      GuardTorch("write a checkpoint", [&] { return WriteCheckpoint(path, order.checkpoint); });
  {
    MutexLock lock(mutex_);
    last_cost_ = absl::Seconds(ThreadCpuSeconds() - cpu_before);
    errors_[order.member].Update(status);
  }
  if (!status.ok()) {
    LogWarning("cannot write checkpoint", {{"member", order.member}, {"error", status}});
    return;
  }
  v1::CheckpointWritten written;
  written.set_member(order.member);
  written.set_path(path);
  written.set_step(order.checkpoint.step);
  observer_.OnCheckpoint(written);
}

}  // namespace distill::training
