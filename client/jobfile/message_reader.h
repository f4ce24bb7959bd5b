// Fills a protobuf message from a document, field by field and by reflection alone: a field that is
// added to a .proto can be written in a job file at once. Nothing is guessed and nothing is
// ignored: each key must name a field, and each value must have the field's type.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client/jobfile/document.h"
#include "google/protobuf/message.h"

namespace distill::client {

// Where each field stands: "distillation.tau", "evaluation.severities[1]".
using FieldPositions = std::map<std::string, Position>;

// How keys and numbers may be written.
enum class Dialect {
  kYaml,
  // Also lowerCamelCase keys and 64-bit integers in quotes, as protobuf's JSON has them.
  kProtoJson,
};

// Not thread-safe; one document each.
class MessageReader {
 public:
  // The results outlive the reader. Problems are added in the order of the file.
  MessageReader(Dialect dialect, std::vector<Problem>* problems, FieldPositions* positions)
      : dialect_(dialect), problems_(problems), positions_(positions) {}

  // Reads a mapping. `path` names the message in complaints; "" is the whole file.
  void ReadMessage(const Node& node, const std::string& path, google::protobuf::Message* message);

  // Replaces one field of `message`.
  void ReadField(const Node& node, const std::string& path,
                 const google::protobuf::FieldDescriptor& field,
                 google::protobuf::Message* message);

  // Replaces element `index`, which must be there, of a repeated field of `message`.
  void ReplaceElement(const Node& node, const std::string& path,
                      const google::protobuf::FieldDescriptor& field, int index,
                      google::protobuf::Message* message);

 private:
  const google::protobuf::FieldDescriptor* FindField(const google::protobuf::Descriptor& type,
                                                     const std::string& key) const;
  void ReadElement(const Node& node, const std::string& path,
                   const google::protobuf::FieldDescriptor& field,
                   google::protobuf::Message* message);
  void ReadNumber(const Node& node, const std::string& path,
                  const google::protobuf::FieldDescriptor& field,
                  google::protobuf::Message* message);
  void ReadEnum(const Node& node, const std::string& path,
                const google::protobuf::FieldDescriptor& field, google::protobuf::Message* message);
  void Complain(const Node& node, std::string text);
  void Expected(const Node& node, const std::string& path, const std::string& what);

  const Dialect dialect_;
  std::vector<Problem>* const problems_;
  FieldPositions* const positions_;
};

// Returns the names of the fields of `type` in order of declaration.
std::vector<std::string> FieldNames(const google::protobuf::Descriptor& type);

}  // namespace distill::client
