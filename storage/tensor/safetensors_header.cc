// A state machine over the JSON parser's events, so that no document is built, duplicate keys are
// seen, and nesting is refused at once.
#include "storage/tensor/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace distill::storage {
namespace {

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, 80)), "\"");
}

class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  // Why reading stopped; OK when it did not.
  const absl::Status& status() const { return status_; }
  SafetensorsHeader TakeHeader() { return std::move(header_); }

  bool null() override { return Refuse("null is not allowed"); }
  bool boolean(bool) override { return Refuse("a boolean is not allowed"); }
  bool number_float(double, const std::string&) override {
    return Refuse("a number is not an integer of 64 bits");
  }
  bool binary(nlohmann::json::binary_t&) override { return Refuse("binary is not allowed"); }
  bool number_integer(int64_t) override { return Refuse("a number is negative"); }

  bool number_unsigned(uint64_t number) override {
    if (level_ == Level::kShape) {
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Refuse("a dimension is too large");
      }
      if (entry_.shape.size() == kMaxTensorRank) return Refuse("too many dimensions");
      entry_.shape.push_back(static_cast<int64_t>(number));
      return true;
    }
    if (level_ == Level::kOffsets) {
      if (offset_count_ == 2) return Refuse("data_offsets has more than two numbers");
      (offset_count_ == 0 ? entry_.begin : entry_.end) = number;
      ++offset_count_;
      return true;
    }
    return Refuse("a number stands where none belongs");
  }

  bool string(std::string& text) override {
    if (level_ == Level::kMetadata) {
      header_.metadata[metadata_key_] = std::move(text);
      return true;
    }
    if (level_ != Level::kEntry || field_ != kDTypeField) {
      return Refuse("a string stands where none belongs");
    }
    const absl::StatusOr<DType> dtype = ParseDType(text);
    if (!dtype.ok()) return Refuse(dtype.status().message());
    entry_.dtype = *dtype;
    return true;
  }

  bool key(std::string& text) override {
    switch (level_) {
      case Level::kTop:
        return BeginNamed(text);
      case Level::kEntry:
        return BeginField(text);
      case Level::kMetadata:
        if (header_.metadata.count(text) > 0) {
          return Refuse(absl::StrCat("metadata key ", Quoted(text), " stands twice"));
        }
        metadata_key_ = std::move(text);
        return true;
      default:
        return Refuse("a key stands where none belongs");
    }
  }

  bool start_object(size_t) override {
    if (level_ == Level::kOutside) {
      level_ = Level::kTop;
      return true;
    }
    if (level_ != Level::kTop) return Refuse("an object stands where none belongs");
    level_ = name_ == kMetadataKey ? Level::kMetadata : Level::kEntry;
    entry_ = {};
    fields_seen_ = 0;
    return true;
  }

  bool end_object() override {
    if (level_ == Level::kTop) {
      level_ = Level::kOutside;
      return true;
    }
    if (level_ == Level::kEntry) {
      if (fields_seen_ != (kDTypeField | kShapeField | kOffsetsField)) {
        return Refuse("dtype, shape or data_offsets is missing");
      }
      header_.entries[name_] = std::move(entry_);
    }
    level_ = Level::kTop;
    return true;
  }

  bool start_array(size_t) override {
    if (level_ != Level::kEntry || field_ == kDTypeField) {
      return Refuse("an array stands where none belongs");
    }
    level_ = field_ == kShapeField ? Level::kShape : Level::kOffsets;
    offset_count_ = 0;
    return true;
  }

  bool end_array() override {
    if (level_ == Level::kOffsets && offset_count_ != 2) {
      return Refuse("data_offsets has less than two numbers");
    }
    level_ = Level::kEntry;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    name_.clear();
    return Refuse(absl::StrCat("header is not JSON at byte ", position, " (",
                               absl::CHexEscape(absl::string_view(error.what()).substr(0, 200)),
                               ")"));
  }

 private:
  enum class Level { kOutside, kTop, kMetadata, kEntry, kShape, kOffsets };
  static constexpr unsigned kDTypeField = 1;
  static constexpr unsigned kShapeField = 2;
  static constexpr unsigned kOffsetsField = 4;

  bool Refuse(absl::string_view reason) {
    status_ = absl::InvalidArgumentError(
        name_.empty() ? std::string(reason) : absl::StrCat(reason, "; entry=", Quoted(name_)));
    return false;
  }

  bool BeginNamed(std::string& name) {
    name_ = std::move(name);
    if (name_.empty()) return Refuse("a tensor has no name");
    if (name_.size() > kMaxTensorNameBytes) return Refuse("a tensor name is too long");
    if (name_ == kMetadataKey) {
      if (std::exchange(metadata_seen_, true)) return Refuse("metadata stands twice");
      return true;
    }
    if (header_.entries.count(name_) > 0) return Refuse("the name stands twice");
    if (header_.entries.size() == kMaxTensors) return Refuse("too many tensors");
    return true;
  }

  bool BeginField(const std::string& name) {
    if (name == "dtype") {
      field_ = kDTypeField;
    } else if (name == "shape") {
      field_ = kShapeField;
    } else if (name == "data_offsets") {
      field_ = kOffsetsField;
    } else {
      return Refuse(absl::StrCat("unknown key ", Quoted(name)));
    }
    if ((fields_seen_ & field_) != 0) return Refuse(absl::StrCat(name, " stands twice"));
    fields_seen_ |= field_;
    return true;
  }

  Level level_ = Level::kOutside;
  std::string name_;
  std::string metadata_key_;
  bool metadata_seen_ = false;
  SafetensorsEntry entry_;
  unsigned field_ = 0;
  unsigned fields_seen_ = 0;
  int offset_count_ = 0;
  SafetensorsHeader header_;
  absl::Status status_;
};

absl::Status CheckLengths(const SafetensorsHeader& header) {
  for (const auto& [name, entry] : header.entries) {
    const absl::StatusOr<uint64_t> size = TensorSizeBytes(entry.dtype, entry.shape);
    if (!size.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(size.status().message(), "; entry=", Quoted(name)));
    }
    if (entry.end < entry.begin || entry.end - entry.begin != *size) {
      return absl::InvalidArgumentError(
          absl::StrCat("data_offsets do not fit dtype and shape; entry=", Quoted(name),
                       " begin=", entry.begin, " end=", entry.end, " want_bytes=", *size));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCoverage(const SafetensorsHeader& header, uint64_t data_size) {
  using Item = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Item*> items;
  items.reserve(header.entries.size());
  for (const Item& item : header.entries) items.push_back(&item);
  std::sort(items.begin(), items.end(), [](const Item* a, const Item* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t covered = 0;
  for (const Item* item : items) {
    const SafetensorsEntry& entry = item->second;
    if (entry.begin != covered) {
      return absl::InvalidArgumentError(absl::StrCat(
          entry.begin < covered ? "tensors overlap" : "bytes belong to no tensor",
          "; entry=", Quoted(item->first), " begin=", entry.begin, " previous_end=", covered));
    }
    if (entry.end > data_size) {
      return absl::DataLossError(
          absl::StrCat("file is truncated, fetch it again; entry=", Quoted(item->first),
                       " end=", entry.end, " data_bytes=", data_size));
    }
    covered = entry.end;
  }
  if (covered != data_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "bytes follow the last tensor; last_end=", covered, " data_bytes=", data_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json,
                                                         uint64_t data_size) {
  if (json.empty() || json.front() != '{') {
    return absl::InvalidArgumentError("header does not start with {");
  }
  if (json.find('\0') != absl::string_view::npos) {
    // The parser would take it for the end of the text, and the rest would go unread.
    return absl::InvalidArgumentError("header holds a zero byte");
  }
  HeaderReader reader;
  const bool complete = nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  if (!complete) return reader.status();
  SafetensorsHeader header = reader.TakeHeader();
  DISTILL_RETURN_IF_ERROR(CheckLengths(header));
  DISTILL_RETURN_IF_ERROR(CheckCoverage(header, data_size));
  return header;
}

std::string FormatSafetensorsHeader(const SafetensorsHeader& header) {
  nlohmann::json json = nlohmann::json::object();  // Its object is a std::map: keys in order.
  if (!header.metadata.empty()) json[std::string(kMetadataKey)] = header.metadata;
  for (const auto& [name, entry] : header.entries) {
    json[name] = {{"dtype", std::string(DTypeName(entry.dtype))},
                  {"shape", entry.shape},
                  {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = json.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace distill::storage
