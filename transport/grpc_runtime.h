// gRPC's own life within a process.
#pragma once

namespace distill {

// Keeps gRPC running until the process exits. To be called before a channel is opened or a server
// listens: otherwise gRPC winds itself down with the last of them, and when the next one starts it
// anew, its poller (gRPC 1.51, https://github.com/grpc/grpc/issues/32481) may leave what arrives
// on some sockets unread for seconds. Thread-safe; calls after the first do nothing.
void KeepGrpcRunning();

}  // namespace distill
