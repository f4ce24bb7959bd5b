// A YAML document as a plain tree in which every node knows its line and column, so that each later
// complaint can point at the place. Bounded in size, depth and alias expansion: a job file may come
// from anyone. JSON, being YAML, is read by the same code.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace distill::client {

// Both count from 1, as editors do.
struct Position {
  int line = 1;
  int column = 1;

  friend bool operator==(Position a, Position b) {
    return a.line == b.line && a.column == b.column;
  }
};

// One complaint about a document.
struct Problem {
  Position position;
  std::string text;
};

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMapping };

  Kind kind = Kind::kNull;
  Position position;
  // Scalars only: the text, and whether quotes or a block style made it text beyond doubt.
  std::string text;
  bool quoted = false;
  // Elements of a sequence, or values of a mapping in the order of the file.
  std::vector<Node> items;
  // Mappings only: scalars, one for each item. Duplicates are kept for the reader to report.
  std::vector<Node> keys;
};

inline constexpr size_t kMaxDocumentBytes = 1 << 20;
inline constexpr int kMaxDocumentDepth = 32;
// Nodes after aliases are expanded.
inline constexpr int kMaxDocumentNodes = 20'000;

// Parses the one document in `text` into `root`. Returns false, with one problem added, when the
// text is not YAML, holds a second document or exceeds a bound. An empty text is a null node.
bool ParseDocument(absl::string_view text, Node* root, std::vector<Problem>* problems);

}  // namespace distill::client
