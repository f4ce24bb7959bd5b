#include "transport/grpc_runtime.h"

#include <grpc/grpc.h>

#include <cstdlib>

namespace distill {
namespace {

class GrpcRuntime {
 public:
  GrpcRuntime() {
    setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "100", /*overwrite=*/0);
    grpc_init();
  }
  ~GrpcRuntime() { grpc_shutdown(); }
  GrpcRuntime(const GrpcRuntime&) = delete;
  GrpcRuntime& operator=(const GrpcRuntime&) = delete;
};

}  // namespace

void KeepGrpcRunning() {
  // Ended at exit, before gRPC's own globals are: its threads must not outlive them.
  static const GrpcRuntime runtime;
}

}  // namespace distill
