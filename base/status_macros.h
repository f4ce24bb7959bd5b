// Early return on error, with the names and shapes of Abseil's own (unreleased) macros.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns the Status of `expression` from the enclosing function unless it is OK.
#define DISTILL_RETURN_IF_ERROR(expression)            \
  do {                                                 \
    ::absl::Status distill_status_ = (expression);     \
    if (!distill_status_.ok()) return distill_status_; \
  } while (false)

#define DISTILL_CONCAT_INNER_(a, b) a##b
#define DISTILL_CONCAT_(a, b) DISTILL_CONCAT_INNER_(a, b)

// Evaluates a StatusOr; on error returns its Status, otherwise moves the value into `target`, which
// may be a declaration: DISTILL_ASSIGN_OR_RETURN(const Digest digest, writer->Commit());
#define DISTILL_ASSIGN_OR_RETURN(target, expression) \
  DISTILL_ASSIGN_OR_RETURN_IMPL_(DISTILL_CONCAT_(distill_statusor_, __LINE__), target, expression)
#define DISTILL_ASSIGN_OR_RETURN_IMPL_(statusor, target, expression) \
  auto statusor = (expression);                                      \
  if (!statusor.ok()) return std::move(statusor).status();           \
  target = *std::move(statusor)
