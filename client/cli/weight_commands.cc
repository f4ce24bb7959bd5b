// artifact import, export, inspect: weights of other projects in, ours out, and a look at either.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/scratch_directory.h"
#include "nlohmann/json.hpp"
#include "storage/weights/architecture.h"
#include "storage/weights/checkpoint.h"
#include "storage/weights/task_architecture.h"
#include "storage/weights/weight_export.h"
#include "storage/weights/weight_import.h"

namespace distill::client {
namespace {

struct ImportArguments {
  std::string file;
  std::string role;
  std::string architecture_file;
  std::optional<int> module;
  std::optional<std::string> place;
  std::optional<int> image_size;
  bool new_classifier = false;
  std::optional<uint64_t> codes_seed;
  std::string to;
};

struct ExportArguments {
  std::string source;
  std::string to;
  std::string naming = "staged";
  std::string architecture_file;
  std::string meta;  // Of a hybrid.
};

// What a role takes: the key of `given` that it is for, and whether it is one module.
struct Role {
  absl::string_view name;
  absl::string_view given;
  bool is_module = false;
  bool is_vit = false;
};
constexpr Role kRoles[] = {
    {"meta", "given.meta", false, true},
    {"teacher", "given.teacher", false, true},
    {"student", "given.student", false, false},
    {"teacher-stage", "given.teacher_stages", true, true},
    {"student-module", "given.student_modules", true, false},
};

bool IsDigest(absl::string_view text) { return absl::StartsWith(text, "sha256:"); }

std::string ScratchParent(const Session& session) {
  return session.environment().variable("TMPDIR").value_or("/tmp");
}

absl::Status Invalid(absl::string_view option, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(option, ": ", cause));
}

// The architecture file, brought in line with the other options.
absl::StatusOr<v1::ArchitectureDescription> WantedArchitecture(const ImportArguments& arguments,
                                                               const Role& role) {
  DISTILL_ASSIGN_OR_RETURN(v1::ArchitectureDescription architecture,
                           storage::ReadArchitecture(arguments.architecture_file));
  if (role.name == "meta" && architecture.has_meta()) architecture = storage::MetaOf(architecture);
  architecture.clear_meta();
  if (arguments.module.has_value()) architecture.set_module_index(*arguments.module);
  if (arguments.image_size.has_value()) architecture.set_image_size(*arguments.image_size);
  DISTILL_RETURN_IF_ERROR(
      Annotate(storage::ResolveArchitecture(&architecture), arguments.architecture_file));
  if (role.is_module && !architecture.has_module_index()) {
    return Invalid("--module", absl::StrCat("is required for a ", std::string(role.name),
                                            ", unless the architecture names one"));
  }
  if (!role.is_module && architecture.has_module_index()) {
    return Invalid("--as",
                   absl::StrCat("a ", std::string(role.name),
                                " is a whole network, and the architecture names a module"));
  }
  if (role.is_vit && !architecture.has_vit()) {
    return Invalid("--as", absl::StrCat("a ", std::string(role.name), " is a ViT"));
  }
  return architecture;
}

// Prints the files that were written: a line each, or {"files": [...]}.
void PrintFiles(Session& session, const std::vector<std::string>& files) {
  if (session.json()) {
    session.PrintJson(nlohmann::json({{"files", files}}).dump());
    return;
  }
  for (const std::string& file : files) session.out() << file << "\n";
}

absl::StatusOr<ExitCode> Import(Session& session, const ImportArguments& arguments) {
  const Role* role = nullptr;
  for (const Role& known : kRoles) {
    if (known.name == arguments.role) role = &known;
  }
  if (role == nullptr) return Invalid("--as", "unknown role");  // The parser lets none through.
  DISTILL_ASSIGN_OR_RETURN(const v1::ArchitectureDescription architecture,
                           WantedArchitecture(arguments, *role));
  storage::ImportOptions options;
  if (arguments.place.has_value()) options.place = storage::ParsePlace(*arguments.place);
  options.resize_positions = arguments.image_size.has_value();
  options.new_classifier = arguments.new_classifier;
  options.codes_seed = arguments.codes_seed;
  DISTILL_ASSIGN_OR_RETURN(const storage::Checkpoint checkpoint,
                           storage::Checkpoint::Open(arguments.file));
  DISTILL_ASSIGN_OR_RETURN(const storage::ImportedWeights weights,
                           storage::ImportWeights(checkpoint, architecture, options));
  for (const std::string& note : weights.notes) session.Note(note);
  if (!arguments.to.empty()) {
    DISTILL_RETURN_IF_ERROR(storage::WriteWeights(weights.tensors, architecture, arguments.to));
    PrintFiles(session, {arguments.to});
    return ExitCode::kOk;
  }
  DISTILL_ASSIGN_OR_RETURN(const ScratchDirectory scratch,
                           ScratchDirectory::Create(ScratchParent(session)));
  const std::string file = scratch.Join("weights.safetensors");
  DISTILL_RETURN_IF_ERROR(storage::WriteWeights(weights.tensors, architecture, file));
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(
      const std::string digest,
      client->UploadFile(file, role->is_module ? v1::ARTIFACT_TYPE_MODULE : v1::ARTIFACT_TYPE_MODEL,
                         session.DefaultProject()));
  if (!role->given.empty()) {
    session.Note(absl::StrCat("in a job file, put it under ", std::string(role->given)));
  }
  if (session.json()) {
    DISTILL_ASSIGN_OR_RETURN(const v1::Artifact artifact, client->GetArtifact(digest));
    session.PrintJson(artifact);
  } else {
    session.out() << digest << "\n";
  }
  return ExitCode::kOk;
}

// Puts an artifact or a file where it can be read: its path, downloaded into `scratch` if need be.
absl::StatusOr<std::string> Fetch(Session& session, const std::string& source,
                                  const ScratchDirectory& scratch) {
  if (!IsDigest(source)) return source;
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::Artifact artifact, client->GetArtifact(source));
  const std::vector<v1::ArtifactType> weights = {v1::ARTIFACT_TYPE_UNSPECIFIED,
                                                 v1::ARTIFACT_TYPE_MODEL, v1::ARTIFACT_TYPE_MODULE,
                                                 v1::ARTIFACT_TYPE_CHECKPOINT};
  if (std::find(weights.begin(), weights.end(), artifact.type()) == weights.end()) {
    return Invalid(source, absl::StrCat("holds ", ArtifactTypeName(artifact.type()),
                                        ", no weights; `distill artifact get` fetches it"));
  }
  const std::string file = scratch.Join("artifact.safetensors");
  DISTILL_RETURN_IF_ERROR(client->DownloadToFile(source, file));
  return file;
}

// What network `source` is of: as said, as its file says, or as the task that made it says.
absl::StatusOr<v1::ArchitectureDescription> FindArchitecture(Session& session,
                                                             const std::string& source,
                                                             const std::string& architecture_file,
                                                             const storage::SafetensorsFile& file) {
  if (!architecture_file.empty()) return storage::ReadArchitecture(architecture_file);
  const auto described = file.metadata().find("architecture");
  if (described != file.metadata().end() &&
      absl::StrContains(described->second, storage::kArchitectureFormat)) {
    return storage::ParseArchitecture(described->second, file.label());
  }
  absl::Status unknown =
      Invalid("--arch", "is required: neither the file nor a task says what network it is of");
  if (!IsDigest(source)) return unknown;
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::Artifact artifact, client->GetArtifact(source));
  // Several tasks may have made the same bytes. One that only chose among modules does not know the
  // network, and one of a deleted job is gone.
  for (const v1::Lineage& lineage : artifact.lineage()) {
    const absl::StatusOr<v1::Task> task = client->GetTask(lineage.job(), lineage.task());
    if (absl::IsNotFound(task.status())) continue;
    DISTILL_RETURN_IF_ERROR(task.status());
    absl::StatusOr<v1::ArchitectureDescription> made =
        storage::ArchitectureOfOutput(task->spec(), lineage.output());
    if (made.ok()) return made;
    unknown = made.status();
  }
  return unknown;
}

storage::WeightNaming NamingOf(absl::string_view name) {
  if (name == "flat") return storage::WeightNaming::kFlat;
  if (name == "reference") return storage::WeightNaming::kReference;
  if (name == "modules") return storage::WeightNaming::kModules;
  return storage::WeightNaming::kStaged;
}

// Writes the meta model of a hybrid beside its module, and into its architecture.
// Returns the file.
absl::StatusOr<std::string> AddMeta(Session& session, const ExportArguments& arguments,
                                    v1::ArchitectureDescription* architecture) {
  if (!architecture->has_module_index()) {
    return Invalid("--meta", "only a module makes a hybrid with a meta model");
  }
  DISTILL_ASSIGN_OR_RETURN(const ScratchDirectory scratch,
                           ScratchDirectory::Create(ScratchParent(session)));
  DISTILL_ASSIGN_OR_RETURN(const std::string path, Fetch(session, arguments.meta, scratch));
  DISTILL_ASSIGN_OR_RETURN(const storage::SafetensorsFile file,
                           storage::SafetensorsFile::Open(path));
  if (!architecture->has_meta()) {
    DISTILL_ASSIGN_OR_RETURN(const v1::ArchitectureDescription meta,
                             FindArchitecture(session, arguments.meta, "", file));
    *architecture->mutable_meta() = meta.vit();
    if (architecture->patch_size() == 0) architecture->set_patch_size(meta.patch_size());
    DISTILL_RETURN_IF_ERROR(Annotate(storage::ResolveArchitecture(architecture), "--meta"));
  }
  std::map<std::string, storage::TensorView> tensors;
  for (const std::string& name : file.names()) {
    DISTILL_ASSIGN_OR_RETURN(tensors[name], file.Find(name));
  }
  const v1::ArchitectureDescription meta = storage::MetaOf(*architecture);
  DISTILL_RETURN_IF_ERROR(storage::CheckFits(tensors, meta, arguments.meta));
  DISTILL_RETURN_IF_ERROR(CreateDirectories(arguments.to));
  const std::string to = JoinPath(arguments.to, "meta.safetensors");
  DISTILL_RETURN_IF_ERROR(storage::WriteWeights(tensors, meta, to));
  return to;
}

absl::StatusOr<ExitCode> Export(Session& session, const ExportArguments& arguments) {
  DISTILL_ASSIGN_OR_RETURN(const ScratchDirectory scratch,
                           ScratchDirectory::Create(ScratchParent(session)));
  DISTILL_ASSIGN_OR_RETURN(const std::string path, Fetch(session, arguments.source, scratch));
  DISTILL_ASSIGN_OR_RETURN(const storage::SafetensorsFile file,
                           storage::SafetensorsFile::Open(path));
  DISTILL_ASSIGN_OR_RETURN(
      v1::ArchitectureDescription architecture,
      FindArchitecture(session, arguments.source, arguments.architecture_file, file));
  std::vector<std::string> files;
  if (!arguments.meta.empty()) {
    DISTILL_ASSIGN_OR_RETURN(files.emplace_back(), AddMeta(session, arguments, &architecture));
  }
  DISTILL_ASSIGN_OR_RETURN(
      const std::vector<std::string> exported,
      storage::ExportWeights(file, architecture, NamingOf(arguments.naming), arguments.to));
  files.insert(files.end(), exported.begin(), exported.end());
  PrintFiles(session, files);
  return ExitCode::kOk;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

int64_t CountElements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

// One tensor as inspect tells it. `index`: of the first value that is not finite.
struct Inspected {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::optional<uint64_t> non_finite;
};

nlohmann::json ToJson(const storage::Checkpoint& checkpoint, const std::vector<Inspected>& tensors,
                      int64_t parameters) {
  nlohmann::json json = {{"file", checkpoint.label()},
                         {"metadata", checkpoint.metadata()},
                         {"parameters", parameters},
                         {"tensors", nlohmann::json::array()}};
  for (const Inspected& tensor : tensors) {
    nlohmann::json entry = {
        {"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}};
    if (tensor.non_finite.has_value()) entry["not_finite_at"] = *tensor.non_finite;
    json["tensors"].push_back(std::move(entry));
  }
  return json;
}

// What stands at a place that holds more than tensors, an entry a line.
void PrintPlaces(const storage::Checkpoint& checkpoint, const storage::Checkpoint::Place& place,
                 std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& key : checkpoint.Keys(place)) {
    storage::Checkpoint::Place inner = place;
    inner.push_back(key);
    std::string value = checkpoint.TextAt(inner).value_or("");
    if (const auto number = checkpoint.IntegerAt(inner)) value = absl::StrCat(*number);
    const size_t entries = checkpoint.Keys(inner).size();
    if (entries > 0) value = absl::StrCat(entries, " entries");
    rows.push_back(
        {storage::FormatPlace(inner), std::string(checkpoint.KindAt(inner).value_or("-")), value});
  }
  PrintTable({"PLACE", "KIND", "VALUE"}, rows, out);
}

// Where inspect looks when it is not told: the root if it is all tensors, else "model".
absl::StatusOr<std::map<std::string, storage::StridedTensor>> TensorsToInspect(
    const storage::Checkpoint& checkpoint, const std::optional<std::string>& place) {
  if (place.has_value()) return checkpoint.Tensors(storage::ParsePlace(*place));
  if (checkpoint.KindAt({"model"}) == "dict") return checkpoint.Tensors({"model"});
  return checkpoint.Tensors({});
}

absl::Status PrintLineage(Session& session, const std::string& digest) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::Artifact artifact, client->GetArtifact(digest));
  for (const v1::Lineage& lineage : artifact.lineage()) {
    session.out() << "made by  " << lineage.job() << "/" << lineage.task() << " attempt "
                  << lineage.attempt() << " (" << lineage.output() << ")\n";
    for (const std::string& input : lineage.input_digests()) {
      session.out() << "  from   " << input << "\n";
    }
  }
  return absl::OkStatus();
}

void PrintTensors(const storage::Checkpoint& checkpoint, const std::vector<Inspected>& tensors,
                  int64_t parameters, std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  size_t not_finite = 0;
  for (const Inspected& tensor : tensors) {
    not_finite += tensor.non_finite.has_value() ? 1 : 0;
    rows.push_back({tensor.name, tensor.dtype, ShapeText(tensor.shape),
                    tensor.non_finite.has_value()
                        ? absl::StrCat("NaN or infinity at ", *tensor.non_finite)
                        : "finite"});
  }
  PrintTable({"TENSOR", "DTYPE", "SHAPE", "VALUES"}, rows, out);
  out << "\n";
  PrintFields({{"tensors", absl::StrCat(tensors.size())},
               {"parameters", absl::StrCat(parameters)},
               {"not finite", not_finite == 0 ? "" : absl::StrCat(not_finite, " tensors")}},
              out);
  for (const auto& [key, value] : checkpoint.metadata()) out << key << "  " << value << "\n";
}

absl::StatusOr<ExitCode> Inspect(Session& session, const std::string& source,
                                 const std::optional<std::string>& place) {
  DISTILL_ASSIGN_OR_RETURN(const ScratchDirectory scratch,
                           ScratchDirectory::Create(ScratchParent(session)));
  DISTILL_ASSIGN_OR_RETURN(const std::string path, Fetch(session, source, scratch));
  DISTILL_ASSIGN_OR_RETURN(const storage::Checkpoint checkpoint, storage::Checkpoint::Open(path));
  const auto found = TensorsToInspect(checkpoint, place);
  if (!found.ok()) {
    // A place with other things than tensors is listed, so that the right one can be named.
    const storage::Checkpoint::Place asked = storage::ParsePlace(place.value_or(""));
    if (session.json() || checkpoint.Keys(asked).empty()) return found.status();
    PrintPlaces(checkpoint, asked, session.out());
    session.Note("give the place of tensors with --key");
    return ExitCode::kOk;
  }
  std::vector<Inspected> tensors;
  int64_t parameters = 0;
  for (const auto& [name, tensor] : *found) {
    std::string copy;
    const storage::TensorView view = tensor.Dense(&copy);
    parameters += CountElements(view.shape);
    tensors.push_back({name, std::string(storage::DTypeName(view.dtype)), view.shape,
                       storage::FindNonFinite(view)});
  }
  if (session.json()) {
    session.PrintJson(ToJson(checkpoint, tensors, parameters).dump());
    return ExitCode::kOk;
  }
  PrintTensors(checkpoint, tensors, parameters, session.out());
  if (IsDigest(source)) DISTILL_RETURN_IF_ERROR(PrintLineage(session, source));
  return ExitCode::kOk;
}

void AddImport(CLI::App& artifact, Command& chosen) {
  CLI::App* const importing =
      artifact.add_subcommand("import", "Convert weights of timm, DeiT or m2mKD, and upload them");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto arguments = std::make_shared<ImportArguments>();
  importing->add_option("file", arguments->file, ".pth or .safetensors")->required();
  importing->add_option("--as", arguments->role, "What they are for")
      ->required()
      ->check(CLI::IsMember({"meta", "teacher", "student", "teacher-stage", "student-module"}))
      ->type_name("");
  importing->add_option("--arch", arguments->architecture_file, "Architecture file, JSON")
      ->required();
  importing->add_option("--module", arguments->module, "Which module, from 0");
  importing->add_option("--key", arguments->place,
                        "Where in the file, such as model or model_stages/2; default: found");
  importing->add_option("--image-size", arguments->image_size,
                        "Resize the position embedding for images of this side");
  importing->add_flag("--new-classifier", arguments->new_classifier,
                      "Leave the classifier out; zeros take its place");
  importing->add_option("--draw-codes", arguments->codes_seed,
                        "Seed of the code and state of a NAC module whose file has neither");
  importing->add_option("--to", arguments->to, "Write to this file instead of uploading");
  importing->footer(
      "Example:\n  distill artifact import deit_base.pth --as teacher --arch teacher.json\n");
  importing->callback([arguments, &chosen] {
    chosen = [arguments](Session& session) { return Import(session, *arguments); };
  });
}

void AddExport(CLI::App& artifact, Command& chosen) {
  CLI::App* const exporting = artifact.add_subcommand(
      "export", "Write weights under the reference's names, with their architecture");
  const auto arguments = std::make_shared<ExportArguments>();
  exporting->add_option("source", arguments->source, "sha256:... or a file")->required();
  exporting->add_option("--to", arguments->to, "Folder to write to")->required();
  exporting->add_option("--names", arguments->naming, "Names to give; default staged")
      ->check(CLI::IsMember({"staged", "flat", "reference", "modules"}))
      ->type_name("");
  exporting->add_option("--arch", arguments->architecture_file,
                        "Architecture file; default: as the artifact or its task says");
  exporting->add_option("--meta", arguments->meta,
                        "Meta model, sha256:... or a file: makes a module a hybrid");
  exporting->footer(
      "Example:\n  distill artifact export sha256:9f86d0... --to teacher --names flat\n");
  exporting->callback([arguments, &chosen] {
    chosen = [arguments](Session& session) { return Export(session, *arguments); };
  });
}

void AddInspect(CLI::App& artifact, Command& chosen) {
  CLI::App* const inspect =
      artifact.add_subcommand("inspect", "List the tensors of weights, and check their values");
  const auto source = std::make_shared<std::string>();
  const auto place = std::make_shared<std::optional<std::string>>();
  inspect->add_option("source", *source, "sha256:... or a file")->required();
  inspect->add_option("--key", *place, "Where in a .pth file, such as model_stages/2");
  inspect->footer("Example:\n  distill artifact inspect checkpoint.pth --key model\n");
  inspect->callback([source, place, &chosen] {
    chosen = [source, place](Session& session) { return Inspect(session, *source, *place); };
  });
}

}  // namespace

void AddWeightCommands(CLI::App& artifact, Command& chosen) {
  AddImport(artifact, chosen);
  AddExport(artifact, chosen);
  AddInspect(artifact, chosen);
}

}  // namespace distill::client
