// Where a trainer stands among those that train one task together, and which rows of each batch
// are its own. Ranks take consecutive, equal parts, so that their union in order of rank is the
// batch that one process alone would see.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "distill/v1/trainer.pb.h"

namespace distill::training {

// A value.
struct GangPlace {
  int64_t rank = 0;
  int64_t size = 1;

  bool is_alone() const { return size == 1; }
  // Rank 0 alone writes checkpoints, the curve and the result.
  bool is_first() const { return rank == 0; }
  int64_t Rows(int64_t batch_size) const { return batch_size / size; }
  int64_t FirstRow(int64_t batch_size) const { return rank * Rows(batch_size); }
  // The rank whose rows mirror those of this one: row b of a batch mirrors the last but b.
  GangPlace Opposite() const { return {size - 1 - rank, size}; }
};

GangPlace PlaceOf(const v1::MemberAssignment& assignment);

// Whether the task can be trained as its assignment says: alone, or by as many ranks as its recipe
// asks for. A gang needs a loss that is a mean over images, each of which draws its own random
// numbers. kInvalidArgument says what is in the way.
absl::Status CheckGang(const v1::MemberAssignment& assignment);

}  // namespace distill::training
