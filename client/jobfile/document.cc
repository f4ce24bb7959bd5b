#include "client/jobfile/document.h"

#include <sstream>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/parser.h"

namespace distill::client {
namespace {

Position ToPosition(const YAML::Mark& mark) {
  if (mark.is_null()) return Position{};
  return Position{mark.line + 1, mark.column + 1};
}

// yaml-cpp reports its own syntax errors by this exception; our bounds join them so that one catch
// serves both.
[[noreturn]] void Reject(const YAML::Mark& mark, const std::string& reason) {
  throw YAML::ParserException(mark, reason);
}

int CountNodes(const Node& node) {
  int count = 1;
  for (const Node& item : node.items) count += CountNodes(item);
  return count;
}

// Builds the tree from yaml-cpp's events. Its node API would do so too, but keeps no order of
// duplicate keys and expands aliases without a bound.
class TreeBuilder : public YAML::EventHandler {
 public:
  Node TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.position = ToPosition(mark);
    Finish(mark, std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) Reject(mark, "an alias stands inside the value that it names");
    Count(mark, CountNodes(found->second));
    Attach(mark, found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.kind = Node::Kind::kScalar;
    node.position = ToPosition(mark);
    node.text = value;
    node.quoted = tag == "!";
    Finish(mark, std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, Node::Kind::kSequence, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, Node::Kind::kMapping, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A collection whose end has not come yet.
  struct Frame {
    YAML::Mark mark;
    YAML::anchor_t anchor;
    Node node;
  };

  void Count(const YAML::Mark& mark, int nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxDocumentNodes) {
      Reject(mark, absl::StrCat("more than ", kMaxDocumentNodes, " values, aliases expanded"));
    }
  }

  void Open(const YAML::Mark& mark, Node::Kind kind, YAML::anchor_t anchor) {
    if (static_cast<int>(frames_.size()) >= kMaxDocumentDepth) {
      Reject(mark, absl::StrCat("nested deeper than ", kMaxDocumentDepth, " levels"));
    }
    Count(mark, 1);
    Frame frame{mark, anchor, Node{}};
    frame.node.kind = kind;
    frame.node.position = ToPosition(mark);
    frames_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.anchor != 0) anchors_[frame.anchor] = frame.node;
    Attach(frame.mark, std::move(frame.node));
  }

  void Finish(const YAML::Mark& mark, Node node, YAML::anchor_t anchor) {
    Count(mark, 1);
    if (anchor != 0) anchors_[anchor] = node;
    Attach(mark, std::move(node));
  }

  void Attach(const YAML::Mark& mark, Node node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Node& parent = frames_.back().node;
    const bool expects_key =
        parent.kind == Node::Kind::kMapping && parent.keys.size() == parent.items.size();
    if (!expects_key) {
      // yaml-cpp sees an absent value at the next token, often lines further down.
      if (node.kind == Node::Kind::kNull && !parent.keys.empty()) {
        node.position = parent.keys.back().position;
      }
      parent.items.push_back(std::move(node));
      return;
    }
    if (node.kind != Node::Kind::kScalar) Reject(mark, "a key must be a name");
    if (node.text == "<<" && !node.quoted) {
      Reject(mark, "merge keys (<<) are not supported; write out the keys, or alias a whole value");
    }
    parent.keys.push_back(std::move(node));
  }

  Node root_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Node> anchors_;
  int nodes_ = 0;
};

}  // namespace

bool ParseDocument(absl::string_view text, Node* root, std::vector<Problem>* problems) {
  if (text.size() > kMaxDocumentBytes) {
    problems->push_back(
        {Position{}, absl::StrCat("larger than ", kMaxDocumentBytes, " bytes; got ", text.size())});
    return false;
  }
  std::istringstream stream{std::string(text)};
  TreeBuilder builder;
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    *root = builder.TakeRoot();
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      problems->push_back({second.TakeRoot().position, "a second document; a file holds one"});
      return false;
    }
  } catch (const YAML::Exception& error) {
    problems->push_back({ToPosition(error.mark), error.msg});
    return false;
  }
  return true;
}

}  // namespace distill::client
