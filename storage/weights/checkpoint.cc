#include "storage/weights/checkpoint.h"

#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

// Zip archives begin with PK; what PyTorch wrote before them, with a pickle or, older, as tar.
bool LooksLikePyTorch(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char start[2] = {};
  file.read(start, sizeof(start));
  const absl::string_view bytes(start, static_cast<size_t>(file.gcount()));
  return bytes == "PK" || bytes == "\x80\x02" || absl::EndsWith(path, ".pth") ||
         absl::EndsWith(path, ".pt");
}

StridedTensor FromDense(const TensorView& view) {
  std::vector<int64_t> strides(view.shape.size());
  int64_t step = 1;
  for (size_t d = view.shape.size(); d > 0; --d) {
    strides[d - 1] = step;
    step *= view.shape[d - 1];
  }
  return StridedTensor(view.dtype, view.shape, std::move(strides), view.bytes, 0);
}

}  // namespace

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& path) {
  if (LooksLikePyTorch(path)) {
    DISTILL_ASSIGN_OR_RETURN(PthFile file, PthFile::Open(path));
    return Checkpoint(std::move(file));
  }
  DISTILL_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  return Checkpoint(std::move(file));
}

std::vector<std::string> Checkpoint::Keys(const Place& place) const {
  if (pth_.has_value()) return pth_->Keys(place);
  return place.empty() ? safetensors_->names() : std::vector<std::string>();
}

std::optional<absl::string_view> Checkpoint::KindAt(const Place& place) const {
  if (pth_.has_value()) return pth_->KindAt(place);
  if (place.empty()) return "dict";
  if (place.size() == 1 && safetensors_->Contains(place[0])) return "tensor";
  return std::nullopt;
}

std::optional<std::string> Checkpoint::TextAt(const Place& place) const {
  return pth_.has_value() ? pth_->TextAt(place) : std::nullopt;
}

std::optional<int64_t> Checkpoint::IntegerAt(const Place& place) const {
  return pth_.has_value() ? pth_->IntegerAt(place) : std::nullopt;
}

absl::StatusOr<std::map<std::string, StridedTensor>> Checkpoint::Tensors(const Place& place) const {
  if (pth_.has_value()) return pth_->Tensors(place);
  if (!place.empty()) {
    return absl::NotFoundError(absl::StrCat("cannot read tensors of ", label(),
                                            ": a safetensors file has no places within it"));
  }
  std::map<std::string, StridedTensor> tensors;
  for (const std::string& name : safetensors_->names()) {
    DISTILL_ASSIGN_OR_RETURN(const TensorView view, safetensors_->Find(name));
    tensors.emplace(name, FromDense(view));
  }
  return tensors;
}

std::map<std::string, std::string> Checkpoint::metadata() const {
  if (!safetensors_.has_value()) return {};
  return safetensors_->metadata();
}

const std::string& Checkpoint::label() const {
  return pth_.has_value() ? pth_->label() : safetensors_->label();
}

Checkpoint::Place ParsePlace(absl::string_view text) {
  if (text.empty()) return {};
  return absl::StrSplit(text, '/');
}

std::string FormatPlace(const Checkpoint::Place& place) {
  return place.empty() ? "its root" : absl::StrJoin(place, "/");
}

}  // namespace distill::storage
