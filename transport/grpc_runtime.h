// gRPC's own life within a process.
#pragma once

namespace distill {

// Starts gRPC and keeps it running until the process exits. To be called before anything else of
// gRPC is made, even credentials: gRPC reads the environment when it first starts. Calls after the
// first do nothing. Thread-safe, but the first sets a variable of the environment. Without it,
// * gRPC winds itself down with the last channel or server, and when the next one starts it anew,
//   its poller (gRPC 1.51, https://github.com/grpc/grpc/issues/32481) may leave what arrives on
//   some sockets unread for seconds;
// * a channel that is connecting gets on only while a call waits on it, or every five seconds. A
//   caller that pauses between calls that fail at once would find a server back late.
void KeepGrpcRunning();

}  // namespace distill
