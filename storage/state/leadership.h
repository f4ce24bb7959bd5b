// Who may write the state. Several servers may stand by for one another; at any time at most one
// leads, and what a former leader still tries to write is refused.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/state/state_store.h"

namespace distill::storage {

// Thread-safe. Order of calls: TryToLead() until it is true, Hold(), OpenStore(), Resign().
class Leadership {
 public:
  virtual ~Leadership() = default;

  // Tries once to become the leader; false while another one leads. Blocks for I/O. An error says
  // nothing about who leads: kUnavailable may be tried again, kFailedPrecondition not.
  virtual absl::StatusOr<bool> TryToLead() = 0;

  // Where clients find the leader, as TryToLead() saw it last; empty: unknown.
  virtual std::string leader_address() const = 0;

  // Keeps the leadership from now on. `on_lost` is called at most once, on a thread of its own,
  // when another server leads or may lead: this one must stop at once.
  virtual void Hold(std::function<void(const absl::Status&)> on_lost) = 0;

  // Whether no other server can lead just now.
  virtual bool Leads() const = 0;

  // Opens the state for this leadership's writes. Migrates it to the newest schema.
  // kFailedPrecondition: the schema is newer than this program, or another server leads.
  virtual absl::StatusOr<std::unique_ptr<StateStore>> OpenStore() = 0;

  // Lets another server lead without waiting. Call when nothing writes any more. Idempotent.
  virtual void Resign() = 0;
};

}  // namespace distill::storage
