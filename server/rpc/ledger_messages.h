// The books as messages.
#pragma once

#include "distill/v1/cache_service.pb.h"
#include "distill/v1/ledger.pb.h"
#include "server/scheduler/ledger.h"

namespace distill::server {

v1::Ledger ToProto(const LedgerView& view);
v1::CacheStats::Row ToProto(const CacheRow& row);

}  // namespace distill::server
