#include "server/rpc/given_artifacts.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "server/planner/tensor_shapes.h"
#include "storage/tensor/safetensors_file.h"
#include "storage/tensor/safetensors_header.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "storage/weights/task_architecture.h"

namespace distill::server {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kPieceBytes = 1 << 20;  // A multiple of every element size.
constexpr size_t kMaxListed = 5;

absl::Status Refuse(const std::string& field, absl::string_view got, absl::string_view want) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot accept job: ", field, ": got ", got, ", want ", want));
}

struct OpenWeights {
  std::unique_ptr<storage::BlobReader> reader;
  storage::SafetensorsHeader header;
  uint64_t data_begin = 0;
};

absl::StatusOr<OpenWeights> OpenHeader(const std::string& field, const std::string& text,
                                       const storage::BlobStore& blobs) {
  DISTILL_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(text));
  auto reader = blobs.OpenReader(digest);
  if (absl::IsNotFound(reader.status())) {
    return Refuse(field, absl::StrCat(text, ", which is not in the artifact store"),
                  "an artifact that `distill artifact list` shows");
  }
  DISTILL_RETURN_IF_ERROR(reader.status());
  OpenWeights weights;
  weights.reader = *std::move(reader);
  const uint64_t size = weights.reader->size_bytes();
  DISTILL_ASSIGN_OR_RETURN(const std::string length_bytes, weights.reader->Read(0, kLengthBytes));
  uint64_t length = 0;
  for (size_t i = length_bytes.size(); i > 0; --i) {
    length = (length << 8) | static_cast<unsigned char>(length_bytes[i - 1]);
  }
  if (length_bytes.size() < kLengthBytes || length > storage::kMaxSafetensorsHeaderBytes ||
      length > size - kLengthBytes) {
    return Refuse(field, absl::StrCat(text, ", which is not a safetensors file"), "weights");
  }
  DISTILL_ASSIGN_OR_RETURN(const std::string json, weights.reader->Read(kLengthBytes, length));
  weights.data_begin = kLengthBytes + length;
  auto header = storage::ParseSafetensorsHeader(json, size - weights.data_begin);
  if (!header.ok()) {
    return Refuse(field, absl::StrCat(text, ": ", std::string(header.status().message())),
                  "a safetensors file");
  }
  weights.header = *std::move(header);
  return weights;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// What keeps the tensors from being `expected`, a tensor an entry; empty when they fit.
std::vector<std::string> Differences(const storage::SafetensorsHeader& header,
                                     const TensorShapes& expected) {
  std::vector<std::string> differences;
  for (const auto& [name, shape] : expected) {
    const auto found = header.entries.find(name);
    if (found == header.entries.end()) {
      differences.push_back(absl::StrCat(name, " missing"));
    } else if (found->second.shape != shape) {
      differences.push_back(absl::StrCat(name, " of shape ", ShapeText(found->second.shape),
                                         " instead of ", ShapeText(shape)));
    }
  }
  for (const auto& [name, entry] : header.entries) {
    if (expected.count(name) == 0) differences.push_back(absl::StrCat(name, " unexpected"));
  }
  return differences;
}

// How many blocks each stage has, from the names in `tensors`: "2 2"; of one stage, or when blocks
// are counted over the whole model, "4".
template <typename Tensors>
std::string BlocksOf(const Tensors& tensors) {
  std::map<int, std::set<int>> blocks;
  for (const auto& [name, tensor] : tensors) {
    const std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
    const size_t at = parts[0] == "stages" ? 2 : 0;
    int stage = 0;
    int block = 0;
    if (parts.size() < at + 2 || parts[at] != "blocks" ||
        !absl::SimpleAtoi(parts[at + 1], &block) ||
        (at > 0 && !absl::SimpleAtoi(parts[1], &stage))) {
      continue;
    }
    blocks[stage].insert(block);
  }
  return absl::StrJoin(blocks, " ", [](std::string* out, const auto& stage) {
    absl::StrAppend(out, stage.second.size());
  });
}

// The naming with the fewest differences is the one that was meant.
absl::Status CheckShapes(const std::string& field, const storage::SafetensorsHeader& header,
                         const std::vector<TensorShapes>& namings) {
  std::vector<std::string> fewest;
  size_t meant = 0;
  for (size_t i = 0; i < namings.size(); ++i) {
    std::vector<std::string> differences = Differences(header, namings[i]);
    if (differences.empty()) return absl::OkStatus();
    if (i == 0 || differences.size() < fewest.size()) {
      fewest = std::move(differences);
      meant = i;
    }
  }
  const std::string got_blocks = BlocksOf(header.entries);
  const std::string want_blocks = BlocksOf(namings[meant]);
  const size_t more = fewest.size() - std::min(fewest.size(), kMaxListed);
  fewest.resize(fewest.size() - more);
  std::string list = absl::StrJoin(fewest, "; ");
  if (more > 0) absl::StrAppend(&list, "; and ", more, " more");
  if (got_blocks != want_blocks) {
    return Refuse(field,
                  absl::StrCat("weights with ", got_blocks.empty() ? "no blocks" : "blocks ",
                               got_blocks, " (", list, ")"),
                  absl::StrCat(want_blocks, ", those of the network in this job"));
  }
  return Refuse(field, absl::StrCat("weights with ", list), "those of the network in this job");
}

absl::Status CheckFinite(const std::string& field, const OpenWeights& weights) {
  for (const auto& [name, entry] : weights.header.entries) {
    for (uint64_t at = entry.begin; at < entry.end; at += kPieceBytes) {
      DISTILL_ASSIGN_OR_RETURN(
          const std::string piece,
          weights.reader->Read(weights.data_begin + at, std::min(kPieceBytes, entry.end - at)));
      storage::TensorView view;
      view.dtype = entry.dtype;
      view.shape = {static_cast<int64_t>(piece.size() / storage::DTypeSizeBytes(entry.dtype))};
      view.bytes = piece;
      if (const std::optional<uint64_t> index = storage::FindNonFinite(view)) {
        const uint64_t element = (at - entry.begin) / storage::DTypeSizeBytes(entry.dtype) + *index;
        return Refuse(field,
                      absl::StrCat("a NaN or an infinity in ", name, " at element ", element),
                      "finite weights");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const std::string& field, const std::string& digest,
                          const std::vector<TensorShapes>& namings,
                          const storage::BlobStore& blobs) {
  DISTILL_ASSIGN_OR_RETURN(const OpenWeights weights, OpenHeader(field, digest, blobs));
  DISTILL_RETURN_IF_ERROR(CheckShapes(field, weights.header, namings));
  return CheckFinite(field, weights);
}

// A file of ours says which module it holds. Neighbours may have the same shapes, so that nothing
// else would tell them apart.
absl::Status CheckModuleIndex(const std::string& field, const std::string& digest, int index,
                              const storage::BlobStore& blobs) {
  DISTILL_ASSIGN_OR_RETURN(const OpenWeights weights, OpenHeader(field, digest, blobs));
  const auto stage = weights.header.metadata.find("stage");
  if (stage == weights.header.metadata.end() || stage->second == absl::StrCat(index)) {
    return absl::OkStatus();
  }
  return Refuse(field, absl::StrCat("module ", stage->second),
                absl::StrCat("module ", index, ": one digest per module, in order"));
}

// The tensors of the job's whole student, as its fine-tuning would leave them, under each naming
// that the trainer takes.
absl::StatusOr<std::vector<TensorShapes>> StudentTensorShapes(const v1::JobSpec& spec) {
  v1::TaskSpec task;
  task.set_kind(v1::TASK_KIND_FINETUNE_STUDENT);
  *task.mutable_dataset() = spec.dataset();
  *task.mutable_student() = spec.student();
  *task.mutable_meta() = spec.meta();
  task.set_patch_size(spec.patch_size());
  task.set_modules(spec.modules());
  DISTILL_ASSIGN_OR_RETURN(const v1::ArchitectureDescription architecture,
                           storage::ArchitectureOfOutput(task, "model"));
  std::vector<TensorShapes> namings = {storage::ExpectedTensors(architecture)};
  if (storage::IsStaged(architecture)) {
    TensorShapes flat;
    for (const auto& [name, flat_name] : storage::FlatNames(architecture)) {
      flat[flat_name] = namings[0].at(name);
    }
    namings.push_back(std::move(flat));
  }
  return namings;
}

// For student modules, whose tensors the trainer compares with the network that it builds: some of
// Student modules may be of another data set, and the trainer compares their tensors with the
// network that it builds; but a module of a NAC has its code: files of the reference have none, and
// do not run.
absl::Status CheckStudentModule(const std::string& field, const std::string& digest,
                                const v1::StudentSpec& student, const storage::BlobStore& blobs) {
  DISTILL_ASSIGN_OR_RETURN(const OpenWeights weights, OpenHeader(field, digest, blobs));
  if (student.has_nac() && weights.header.entries.count("codes") == 0) {
    return Refuse(field, "a module of a NAC without code",
                  "one that has it; `distill artifact import --draw-codes SEED` draws it");
  }
  return CheckFinite(field, weights);
}

}  // namespace

absl::Status CheckGivenArtifacts(const v1::JobSpec& spec, const storage::BlobStore& blobs) {
  const ImageGeometry geometry = {spec.dataset().input_size(), spec.patch_size(),
                                  spec.dataset().channels(), spec.dataset().classes()};
  const v1::GivenArtifacts& given = spec.given();
  if (given.has_meta()) {
    DISTILL_RETURN_IF_ERROR(CheckWeights(
        "given.meta", given.meta(),
        {WholeTensorShapes(spec.meta(), geometry), FlatTensorShapes(spec.meta(), geometry)},
        blobs));
  }
  if (given.has_teacher()) {
    DISTILL_RETURN_IF_ERROR(CheckWeights(
        "given.teacher", given.teacher(),
        {WholeTensorShapes(spec.teacher(), geometry), FlatTensorShapes(spec.teacher(), geometry)},
        blobs));
  }
  for (int i = 0; i < given.teacher_stages_size(); ++i) {
    const std::string field = absl::StrCat("given.teacher_stages[", i, "]");
    DISTILL_RETURN_IF_ERROR(CheckModuleIndex(field, given.teacher_stages(i), i, blobs));
    DISTILL_RETURN_IF_ERROR(CheckWeights(field, given.teacher_stages(i),
                                         {StageTensorShapes(spec.teacher(), geometry, i)}, blobs));
  }
  if (given.has_student()) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<TensorShapes> namings, StudentTensorShapes(spec));
    DISTILL_RETURN_IF_ERROR(CheckWeights("given.student", given.student(), namings, blobs));
  }
  for (int i = 0; i < given.student_modules_size(); ++i) {
    const std::string field = absl::StrCat("given.student_modules[", i, "]");
    DISTILL_RETURN_IF_ERROR(CheckModuleIndex(field, given.student_modules(i), i, blobs));
    DISTILL_RETURN_IF_ERROR(
        CheckStudentModule(field, given.student_modules(i), spec.student(), blobs));
  }
  return absl::OkStatus();
}

}  // namespace distill::server
