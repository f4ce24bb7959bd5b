// Which mediators of a Neural Attentive Circuit start out linked: six kinds of random undirected
// graphs (arXiv 2402.16918; networkx's generators of the same names), each a pure function of its
// parameters and a seed.
//
// Legend: n nodes (mediators), k nodes of one community, l communities.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::priors {

enum class PriorKind {
  kScaleFree,         // Barabasi-Albert
  kPlantedPartition,  // communities of consecutive nodes
  kRingOfCliques,
  kErdosRenyi,
  kWattsStrogatz,
  kComplete,
};

// "scale-free", "planted-partition", ...
absl::string_view PriorName(PriorKind kind);

// A graph and its parameters; those of other kinds are not looked at.
struct PriorConfig {
  PriorKind kind = PriorKind::kScaleFree;
  int64_t nodes = 256;            // 1 to kMaxPriorNodes
  int64_t attachments = 2;        // scale-free: 1 to n - 1
  int64_t communities = 8;        // planted partition, ring of cliques: divides n
  double p_in = 0.9;              // planted partition: link probability inside a community
  double p_out = 0.2;             // and between communities
  double link_probability = 0.1;  // Erdos-Renyi
  double rewiring = 0.4;          // Watts-Strogatz: probability that a link is moved
  int64_t neighbours = 0;         // Watts-Strogatz: even, 2 to n - 1; 0: DefaultNeighbours(n)
};

// Everything here is dense in n; a limit that keeps one matrix of floats below 64 MiB.
constexpr int64_t kMaxPriorNodes = 4096;

// A tenth of the nodes, rounded, made even, at least 2.
int64_t DefaultNeighbours(int64_t nodes);

// Whether the parameters make sense together and fit the number of mediators.
// Errors: kInvalidArgument naming the parameter.
absl::Status CheckPrior(const PriorConfig& config);

// A simple undirected graph as a dense adjacency matrix. Thread-compatible.
class Graph {
 public:
  // No links. Requires nodes >= 0.
  explicit Graph(int64_t nodes);

  int64_t nodes() const { return nodes_; }
  int64_t edges() const { return edges_; }
  bool Linked(int64_t u, int64_t v) const { return adjacency_[Index(u, v)] != 0; }
  int64_t Degree(int64_t u) const { return degrees_[static_cast<size_t>(u)]; }
  // Share of the n (n - 1) / 2 pairs that are linked; 0 without pairs.
  double Density() const;
  // Row u of the adjacency matrix: n bytes, 0 or 1.
  const uint8_t* Row(int64_t u) const { return &adjacency_[Index(u, 0)]; }

  // Both return whether they changed anything. Require u != v.
  bool Link(int64_t u, int64_t v);
  bool Unlink(int64_t u, int64_t v);

 private:
  size_t Index(int64_t u, int64_t v) const { return static_cast<size_t>(u * nodes_ + v); }

  int64_t nodes_;
  int64_t edges_ = 0;
  std::vector<int64_t> degrees_;
  std::vector<uint8_t> adjacency_;
};

// Draws the graph of `config`:
//   scale-free         a star of attachments + 1 nodes; each further node links to that many
//   distinct
//                      nodes, drawn with probability proportional to their degree
//   planted partition  independent links, p_in within k consecutive nodes, p_out otherwise
//   ring of cliques    complete cliques of k consecutive nodes, and a link from node i k + 1 to
//   node
//                      (i + 1) k mod n for each clique i; nothing is random
//   Erdos-Renyi        independent links
//   Watts-Strogatz     a ring where each node knows its `neighbours` nearest; each link's far end
//                      is moved to a random node with probability `rewiring`
//   complete           all pairs
// Errors: those of CheckPrior.
absl::StatusOr<Graph> GenerateGraph(const PriorConfig& config, uint64_t seed);

}  // namespace distill::priors
