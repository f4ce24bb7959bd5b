#include "worker/training/gang_connection.h"

#ifdef DISTILL_WITH_GANGS
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "distill/v1/trainer.pb.h"
#include "worker/training/torch_guard.h"

namespace distill::training {

#ifndef DISTILL_WITH_GANGS

absl::StatusOr<std::unique_ptr<GradientReducer>> ConnectGang(const std::string&, const GangPlace&,
                                                             int64_t,
                                                             std::vector<models::NamedTensor>,
                                                             const GangOptions&, GangRendezvous&) {
  return absl::UnimplementedError(
      "cannot join a gang: this trainer was built without Gloo's headers (Debian: libgloo-dev)");
}

#else

namespace {

using Bytes = std::vector<uint8_t>;

// What carries a Status through c10d, which knows exceptions only.
struct RendezvousFailure : std::exception {
  explicit RendezvousFailure(absl::Status failure) : status(std::move(failure)) {}
  const char* what() const noexcept override { return "cannot meet the other ranks"; }
  const absl::Status status;
};

// c10d's view of the rendezvous: a table of which each rank publishes its own part. One thread.
class RendezvousStore : public c10d::Store {
 public:
  RendezvousStore(std::string member, int64_t step, GangRendezvous& rendezvous)
      : member_(std::move(member)), rendezvous_(rendezvous) {
    own_.set_step(step);
  }

  void set(const std::string& key, const Bytes& value) override {
    (*own_.mutable_entries())[key] = std::string(value.begin(), value.end());
    rendezvous_.Publish(member_, own_.SerializeAsString());
  }
  Bytes get(const std::string& key) override {
    wait({key});
    const std::string& value = known_.at(key);
    return Bytes(value.begin(), value.end());
  }
  bool check(const std::vector<std::string>& keys) override {
    return std::all_of(keys.begin(), keys.end(),
                       [this](const std::string& key) { return known_.count(key) > 0; });
  }
  // Whoever is missing is the scheduler's to judge: it ends the attempt.
  void wait(const std::vector<std::string>& keys) override {
    while (!check(keys)) Learn();
  }
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds&) override {
    wait(keys);
  }
  int64_t getNumKeys() override { return static_cast<int64_t>(known_.size()); }
  int64_t add(const std::string&, int64_t) override { Refuse(); }
  bool deleteKey(const std::string&) override { Refuse(); }

 private:
  [[noreturn]] static void Refuse() {
    throw RendezvousFailure(absl::UnimplementedError("c10d asks for more than a table"));
  }

  void Learn() {
    absl::StatusOr<std::vector<std::string>> contacts = rendezvous_.Await(member_, contacts_);
    if (!contacts.ok()) throw RendezvousFailure(contacts.status());
    contacts_ = *std::move(contacts);
    for (const std::string& text : contacts_) {
      v1::GangRendezvous contact;
      if (!contact.ParseFromString(text)) {
        throw RendezvousFailure(absl::InternalError("the contact of a rank is damaged"));
      }
      if (contact.step() != own_.step()) {
        throw RendezvousFailure(absl::FailedPreconditionError(absl::StrCat(
            "cannot join the gang: its ranks stand at different steps; own=", own_.step(),
            " other=", contact.step())));
      }
      known_.insert(contact.entries().begin(), contact.entries().end());
    }
  }

  const std::string member_;
  GangRendezvous& rendezvous_;
  v1::GangRendezvous own_;
  std::vector<std::string> contacts_;  // As last heard of.
  std::map<std::string, std::string> known_;
};

absl::Status LostRank(const char* cause) {
  return absl::UnavailableError(absl::StrCat("cannot go on: the gang has lost a rank: ", cause));
}

// Reduces in buckets of whole parameters, in the reverse of their order, which is about that in
// which a backward pass makes their gradients. Buckets go out in order, on every rank alike.
class BucketedReducer : public GradientReducer {
 public:
  BucketedReducer(std::unique_ptr<c10d::ProcessGroupGloo> group, int64_t ranks,
                  std::vector<models::NamedTensor> parameters, int64_t bucket_bytes)
      : group_(std::move(group)), ranks_(static_cast<double>(ranks)) {
    std::reverse(parameters.begin(), parameters.end());
    for (const models::NamedTensor& parameter : parameters) {
      const torch::Tensor& tensor = parameter.tensor;
      const bool is_full =
          !buckets_.empty() &&
          (buckets_.back().elements * static_cast<int64_t>(tensor.element_size()) >= bucket_bytes ||
           buckets_.back().members.front().scalar_type() != tensor.scalar_type());
      if (buckets_.empty() || is_full) buckets_.emplace_back();
      Bucket& bucket = buckets_.back();
      bucket.members.push_back(tensor);
      bucket.elements += tensor.numel();
      AddHook(tensor, buckets_.size() - 1);
    }
    for (Bucket& bucket : buckets_) {
      bucket.flat = torch::empty({bucket.elements}, bucket.members.front().options());
    }
  }

  ~BucketedReducer() override {
    for (const auto& [accumulator, key] : hooks_) accumulator->del_post_hook(key);
  }

  void BeginLastPass() override {
    armed_ = true;
    next_ = 0;
    for (Bucket& bucket : buckets_) bucket.ready = 0;
  }

  absl::Status FinishStep() override {
    DISTILL_CHECK(armed_, "a step has a last pass");
    armed_ = false;
    while (next_ < buckets_.size()) Launch(buckets_[next_++]);
    const torch::NoGradGuard no_gradient;
    for (Bucket& bucket : buckets_) {
      if (bucket.work) Wait(bucket);
      if (status_.ok()) Unpack(bucket);
    }
    return status_;
  }

  absl::StatusOr<std::vector<double>> Sum(const std::vector<double>& values) override {
    DISTILL_RETURN_IF_ERROR(status_);
    std::vector<torch::Tensor> sums = {torch::tensor(values, torch::kDouble)};
    try {
      group_->allreduce(sums)->wait();
    } catch (const std::exception& error) {
      status_ = LostRank(error.what());
      return status_;
    }
    const double* const first = sums[0].data_ptr<double>();
    return std::vector<double>(first, first + values.size());
  }

 private:
  struct Bucket {
    std::vector<torch::Tensor> members;
    int64_t elements = 0;
    torch::Tensor flat;
    size_t ready = 0;  // Members whose gradient this pass has made.
    c10::intrusive_ptr<c10d::Work> work;
  };

  void AddHook(const torch::Tensor& parameter, size_t bucket) {
    std::shared_ptr<torch::autograd::Node> accumulator =
        torch::autograd::impl::grad_accumulator(parameter);
    const auto hook = [this, bucket](const std::vector<torch::Tensor>& outputs,
                                     const std::vector<torch::Tensor>&) {
      OnReady(bucket);
      return outputs;
    };
    const uintptr_t key =
        accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(hook));
    hooks_.emplace_back(std::move(accumulator), key);
  }

  void OnReady(size_t bucket) {
    if (!armed_) return;
    ++buckets_[bucket].ready;
    while (next_ < buckets_.size() && buckets_[next_].ready == buckets_[next_].members.size()) {
      Launch(buckets_[next_++]);
    }
  }

  // A parameter that the loss does not depend on has no gradient, on any rank; it sends zeros.
  void Launch(Bucket& bucket) {
    if (!status_.ok()) return;
    const torch::NoGradGuard no_gradient;
    int64_t offset = 0;
    for (const torch::Tensor& member : bucket.members) {
      const torch::Tensor place = bucket.flat.narrow(0, offset, member.numel());
      if (member.grad().defined()) {
        place.copy_(member.grad().reshape({-1}));
      } else {
        place.zero_();
      }
      offset += member.numel();
    }
    std::vector<torch::Tensor> tensors = {bucket.flat};
    try {
      bucket.work = group_->allreduce(tensors);
    } catch (const std::exception& error) {
      status_ = LostRank(error.what());
    }
  }

  void Wait(Bucket& bucket) {
    try {
      bucket.work->wait();
    } catch (const std::exception& error) {
      status_ = LostRank(error.what());
    }
    bucket.work.reset();
  }

  void Unpack(Bucket& bucket) {
    bucket.flat.div_(ranks_);
    int64_t offset = 0;
    for (const torch::Tensor& member : bucket.members) {
      if (member.grad().defined()) {
        const torch::Tensor mean = bucket.flat.narrow(0, offset, member.numel());
        member.mutable_grad().copy_(mean.view_as(member));
      }
      offset += member.numel();
    }
  }

  // Waits for what is under way when it goes.
  const std::unique_ptr<c10d::ProcessGroupGloo> group_;
  const double ranks_;
  std::vector<Bucket> buckets_;
  // An accumulator lives as long as somebody holds it.
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, uintptr_t>> hooks_;
  bool armed_ = false;
  size_t next_ = 0;  // Bucket to go out.
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GradientReducer>> ConnectGang(
    const std::string& member, const GangPlace& place, int64_t step,
    std::vector<models::NamedTensor> parameters, const GangOptions& options,
    GangRendezvous& rendezvous) {
  auto gloo = c10d::ProcessGroupGloo::Options::create();
  gloo->timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
  gloo->threads = 1;
  try {
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(options.interface));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot join the gang: no such network interface; interface=", options.interface));
  }
  try {
    auto store = c10::make_intrusive<RendezvousStore>(member, step, rendezvous);
    auto group = std::make_unique<c10d::ProcessGroupGloo>(store, static_cast<int>(place.rank),
                                                          static_cast<int>(place.size), gloo);
    return std::unique_ptr<GradientReducer>(new BucketedReducer(
        std::move(group), place.size, std::move(parameters), options.bucket_bytes));
  } catch (const RendezvousFailure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot join the gang: a rank cannot be reached: ", error.what()));
  }
}

#endif

}  // namespace distill::training
