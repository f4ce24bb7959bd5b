#include "worker/training/member_end.h"

#include <string>

#include "absl/strings/cord.h"
#include "worker/training/image_sets.h"

namespace distill::training {

v1::FailureClass FailureClassOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return v1::FAILURE_CLASS_USER;
    case absl::StatusCode::kResourceExhausted:
      return v1::FAILURE_CLASS_RESOURCE;
    default:
      return v1::FAILURE_CLASS_INFRASTRUCTURE;
  }
}

v1::MemberEnded FailedEnd(absl::string_view member, const absl::Status& status) {
  v1::MemberEnded ended = EndWithOutcome(member, v1::MemberEnded::ENDED_FAILED);
  ended.set_failure_class(FailureClassOf(status));
  ended.set_message(std::string(status.message()));
  if (const auto digest = status.GetPayload(kDifferingDataset)) {
    ended.add_differing_datasets(std::string(*digest));
  }
  return ended;
}

v1::MemberEnded EndWithOutcome(absl::string_view member, v1::MemberEnded::Outcome outcome) {
  v1::MemberEnded ended;
  ended.set_member(std::string(member));
  ended.set_outcome(outcome);
  return ended;
}

}  // namespace distill::training
