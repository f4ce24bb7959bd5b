#include "transport/grpc_runtime.h"

#include <grpc/grpc.h>

namespace distill {
namespace {

class GrpcRuntime {
 public:
  GrpcRuntime() { grpc_init(); }
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
