// How members end: which failure class an error belongs to, and the message that says so.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "distill/v1/trainer.pb.h"

namespace distill::training {

// kInvalidArgument is the user's (data, settings, weights); kResourceExhausted is memory or disk;
// all else is infrastructure and worth another attempt.
v1::FailureClass FailureClassOf(const absl::Status& status);

v1::MemberEnded FailedEnd(absl::string_view member, const absl::Status& status);
v1::MemberEnded EndWithOutcome(absl::string_view member, v1::MemberEnded::Outcome outcome);

}  // namespace distill::training
