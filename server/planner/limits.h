// The largest jobs that are planned. They bound what one request can cost, not what a trainer can
// do.
#pragma once

namespace distill::server {

constexpr int kMostModules = 10000;
constexpr int kMostBlocks = 4 * kMostModules;  // Of one network.

}  // namespace distill::server
