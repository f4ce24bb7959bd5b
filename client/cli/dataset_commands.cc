// dataset add, list, get, verify, remove.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

constexpr absl::Duration kFollowInterval = absl::Milliseconds(300);
constexpr int kMostNamesShown = 10;

std::string EnumName(const google::protobuf::EnumDescriptor& type, int value) {
  const auto* const found = type.FindValueByNumber(value);
  return found == nullptr || value == 0 ? "-" : ShortEnumName(*found);
}

std::string FormatName(v1::DatasetFormat format) {
  return EnumName(*v1::DatasetFormat_descriptor(),
                  format == v1::DATASET_FORMAT_UNSPECIFIED ? v1::DATASET_FORMAT_IDX : format);
}

std::string StateOf(const v1::Dataset& dataset) {
  return EnumName(*v1::DatasetState_descriptor(), dataset.state());
}

const v1::DatasetSplit* SplitNamed(const v1::Dataset& dataset, absl::string_view name) {
  for (const v1::DatasetSplit& split : dataset.facts().splits()) {
    if (split.name() == name) return &split;
  }
  return nullptr;
}

std::string Images(const v1::Dataset& dataset, absl::string_view name) {
  const v1::DatasetSplit* const split = SplitNamed(dataset, name);
  return split == nullptr ? "-" : absl::StrCat(split->images());
}

// "28 x 28", or "20 to 500 x 31 to 480".
std::string Sizes(const v1::DatasetFacts& facts) {
  const auto range = [](int smallest, int largest) {
    return smallest == largest ? absl::StrCat(smallest) : absl::StrCat(smallest, " to ", largest);
  };
  return absl::StrCat(range(facts.smallest_width(), facts.largest_width()), " x ",
                      range(facts.smallest_height(), facts.largest_height()));
}

std::string Numbers(const google::protobuf::RepeatedField<double>& values) {
  return absl::StrJoin(values, " ", [](std::string* out, double value) {
    absl::StrAppendFormat(out, "%.6f", value);
  });
}

// "reading 45000 of 110000".
std::string ScanText(const v1::DatasetScan& scan) {
  if (scan.total() == 0) return scan.phase();
  if (scan.phase() == "packing") {
    return absl::StrCat(scan.phase(), " ", FormatBytes(scan.done()), " of ",
                        FormatBytes(scan.total()));
  }
  return absl::StrCat(scan.phase(), " ", scan.done(), " of ", scan.total());
}

// The least and the most images of a class.
std::string PerClass(const v1::DatasetSplit& split) {
  if (split.images_per_class().empty()) return "";
  int64_t least = split.images_per_class(0);
  int64_t most = least;
  for (const int64_t images : split.images_per_class()) {
    least = std::min(least, images);
    most = std::max(most, images);
  }
  return least == most ? absl::StrCat(" (", least, " of each class)")
                       : absl::StrCat(" (", least, " to ", most, " of each class)");
}

void PrintCorrupt(Session& session, const v1::Dataset& dataset) {
  for (const v1::DatasetSplit& split : dataset.facts().splits()) {
    for (int i = 0; i < std::min(split.corrupt_images_size(), kMostNamesShown); ++i) {
      session.out() << "corrupt  " << split.corrupt_images(i) << "\n";
    }
    const int64_t more = split.corrupt_images_total() - kMostNamesShown;
    if (more > 0) {
      session.out() << "corrupt  and " << more << " more " << split.name()
                    << " images (--output json names up to 1000)\n";
    }
  }
}

void PrintVerification(Session& session, const v1::DatasetVerification& verification) {
  for (const std::string& line : verification.differences()) {
    session.out() << "differs  " << line << "\n";
  }
}

void PrintDataset(Session& session, const v1::Dataset& dataset) {
  if (session.json()) return session.PrintJson(dataset);
  if (session.names_only()) return session.PrintNames({dataset.name()});
  const v1::DatasetFacts& facts = dataset.facts();
  std::vector<std::pair<std::string, std::string>> fields = {
      {"data set", dataset.name()},
      {"state", StateOf(dataset)},
      {"failure", dataset.failure_message()},
      {"path", dataset.source().path()},
      {"format", FormatName(dataset.source().format())},
      {"created", FormatTime(dataset.create_time())}};
  if (dataset.has_scan()) fields.emplace_back("now", ScanText(dataset.scan()));
  if (dataset.has_facts()) {
    fields.emplace_back("digest", facts.digest());
    fields.emplace_back("classes", absl::StrCat(facts.classes()));
    for (const v1::DatasetSplit& split : facts.splits()) {
      fields.emplace_back(absl::StrCat(split.name(), " images"),
                          absl::StrCat(split.images(), PerClass(split)));
    }
    fields.emplace_back("channels", absl::StrCat(facts.channels()));
    fields.emplace_back("size", absl::StrCat(Sizes(facts), " pixels"));
    fields.emplace_back("mean", Numbers(facts.mean()));
    fields.emplace_back("deviation", Numbers(facts.deviation()));
  }
  if (!dataset.manifest_digest().empty()) {
    fields.emplace_back("stored copy", absl::StrCat(FormatBytes(dataset.stored_bytes()), ", ",
                                                    dataset.manifest_digest()));
  }
  if (dataset.has_verification()) {
    fields.emplace_back("verified",
                        absl::StrCat(FormatTime(dataset.verification().finish_time()), ", ",
                                     EnumName(*v1::DatasetVerification::State_descriptor(),
                                              dataset.verification().state())));
  }
  PrintFields(fields, session.out());
  PrintCorrupt(session, dataset);
  PrintVerification(session, dataset.verification());
}

// Notes how far the reading is, on one line that is written over, until it is at its end.
absl::StatusOr<v1::Dataset> Follow(Session& session, Client& client, v1::Dataset dataset) {
  const Stream& notes = session.environment().notes;
  const bool live = notes.is_terminal && !session.options().quiet;
  std::string shown;
  while (dataset.has_scan() || dataset.state() == v1::DATASET_STATE_READING) {
    const std::string text = ScanText(dataset.scan());
    if (live && text != shown) *notes.out << "\r\x1b[K" << text << std::flush;
    shown = text;
    if (session.environment().interrupt->WaitFor(kFollowInterval)) {
      if (live) *notes.out << "\n";
      session.Note(
          absl::StrCat("the server goes on; follow with: distill dataset get ", dataset.name()));
      return absl::CancelledError("interrupted");
    }
    DISTILL_ASSIGN_OR_RETURN(dataset, client.GetDataset(dataset.name()));
  }
  if (live && !shown.empty()) *notes.out << "\r\x1b[K" << std::flush;
  return dataset;
}

struct AddOptions {
  std::string name;
  std::string path;
  std::string format = "idx";
  std::string corrupt_images = "fail";
  std::string request_id;
  std::string project;
  int classes = 0;
  bool upload = false;
  bool detach = false;
};

template <typename Enum>
absl::StatusOr<Enum> ParseEnum(absl::string_view flag, const std::string& text,
                               const google::protobuf::EnumDescriptor& type) {
  const auto* const value = FindEnumValue(type, text);
  if (value != nullptr) return static_cast<Enum>(value->number());
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", text, ": unknown value",
                                                 Suggestion(text, ShortEnumNames(type), "values")));
}

absl::StatusOr<ExitCode> Add(Session& session, const AddOptions& options) {
  v1::CreateDatasetRequest request;
  request.set_name(options.name);
  request.set_request_id(options.request_id.empty() ? session.environment().ids->RandomHex(16)
                                                    : options.request_id);
  request.set_project(options.project.empty() ? session.DefaultProject() : options.project);
  v1::DatasetSource& source = *request.mutable_source();
  source.set_path(options.path);
  source.set_classes(options.classes);
  source.set_upload(options.upload);
  DISTILL_ASSIGN_OR_RETURN(
      const v1::DatasetFormat format,
      ParseEnum<v1::DatasetFormat>("--format", options.format, *v1::DatasetFormat_descriptor()));
  source.set_format(format);
  DISTILL_ASSIGN_OR_RETURN(
      const v1::CorruptImagePolicy policy,
      ParseEnum<v1::CorruptImagePolicy>("--corrupt-images", options.corrupt_images,
                                        *v1::CorruptImagePolicy_descriptor()));
  source.set_corrupt_images(policy);
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(v1::Dataset dataset, client->CreateDataset(request));
  if (options.detach) {
    session.Note(absl::StrCat("follow with: distill dataset get ", dataset.name()));
    PrintDataset(session, dataset);
    return ExitCode::kOk;
  }
  DISTILL_ASSIGN_OR_RETURN(dataset, Follow(session, *client, std::move(dataset)));
  if (dataset.state() == v1::DATASET_STATE_FAILED) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot add data set ", dataset.name(), ": ", dataset.failure_message()));
  }
  PrintDataset(session, dataset);
  session.Note(absl::StrCat("name it in job files: dataset: {name: ", dataset.name(), "}"));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> List(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Dataset> datasets, client->ListDatasets());
  v1::ListDatasetsResponse response;
  std::vector<std::vector<std::string>> rows;
  for (const v1::Dataset& dataset : datasets) {
    *response.add_datasets() = dataset;
    const bool known = dataset.has_facts();
    rows.push_back({dataset.name(), StateOf(dataset), FormatName(dataset.source().format()),
                    known ? absl::StrCat(dataset.facts().classes()) : "-", Images(dataset, "train"),
                    Images(dataset, "test"), known ? Sizes(dataset.facts()) : "-",
                    dataset.manifest_digest().empty() ? "-" : FormatBytes(dataset.stored_bytes()),
                    dataset.source().path()});
  }
  if (session.json()) {
    session.PrintJson(response);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Dataset& dataset : datasets) names.push_back(dataset.name());
    session.PrintNames(names);
    return ExitCode::kOk;
  }
  PrintTable({"DATA SET", "STATE", "FORMAT", "CLASSES", "TRAIN", "TEST", "SIZE", "COPY", "PATH"},
             rows, session.out());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Get(Session& session, const std::string& name) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::Dataset dataset, client->GetDataset(name));
  PrintDataset(session, dataset);
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Verify(Session& session, const std::string& name) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  const std::string request_id = session.environment().ids->RandomHex(16);
  DISTILL_ASSIGN_OR_RETURN(v1::Dataset dataset, client->VerifyDataset(name, request_id));
  const std::string awaited = dataset.verification().request_id();
  DISTILL_ASSIGN_OR_RETURN(dataset, Follow(session, *client, std::move(dataset)));
  const v1::DatasetVerification& verification = dataset.verification();
  if (verification.request_id() != awaited) {
    return absl::UnavailableError(
        absl::StrCat("cannot verify data set ", name,
                     ": the server was restarted meanwhile; run the command again"));
  }
  if (session.json()) {
    session.PrintJson(dataset);
  } else if (verification.state() == v1::DatasetVerification::STATE_SAME) {
    session.out() << name << " is as it was: " << dataset.facts().digest() << "\n";
  } else {
    session.out() << name << " is not as it was\n";
    PrintVerification(session, verification);
  }
  return verification.state() == v1::DatasetVerification::STATE_SAME ? ExitCode::kOk
                                                                     : ExitCode::kFailed;
}

absl::StatusOr<ExitCode> Remove(Session& session, const std::string& name) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  // A name that was never there is a slip; one that goes missing now was a lost reply.
  DISTILL_RETURN_IF_ERROR(client->GetDataset(name).status());
  DISTILL_RETURN_IF_ERROR(client->DeleteDataset(name));
  session.Note(absl::StrCat("forgot ", name, "; its files are untouched"));
  return ExitCode::kOk;
}

void AddAdd(CLI::App& dataset, Command& chosen) {
  CLI::App* const add =
      dataset.add_subcommand("add", "Register a data set: the server reads every image of it once");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<AddOptions>();
  add->add_option("name", options->name, "What jobs call it: letters, digits, . _ and -")
      ->required();
  add->add_option("--path", options->path, "Folder on the server's machine, absolute")->required();
  add->add_option(
         "--format", options->format,
         absl::StrCat("One of ",
                      absl::StrJoin(ShortEnumNames(*v1::DatasetFormat_descriptor()), ", ")))
      ->capture_default_str();
  add->add_option("--classes", options->classes, "Classes that it must have; 0: as the files say")
      ->capture_default_str();
  add->add_option("--corrupt-images", options->corrupt_images,
                  "fail, or skip: leave images out that cannot be decoded")
      ->capture_default_str();
  add->add_flag("--upload", options->upload,
                "The server also keeps a copy of its folder, for workers without the path; nothing "
                "is sent from here");
  add->add_flag("--detach", options->detach, "Do not wait until it has been read");
  add->add_option("--project", options->project,
                  "Whose it is; default DISTILL_PROJECT, or \"default\"; *: everybody's");
  add->add_option("--request-id", options->request_id,
                  "The same id adds it once, however often the command runs");
  add->footer(
      "Example:\n  distill dataset add fashion --path /usr/share/datasets/fashion-mnist\n"
      "  distill dataset add tin --path /data/tiny-imagenet-200 --format tiny_imagenet --upload\n");
  add->callback([options, &chosen] {
    chosen = [options](Session& session) { return Add(session, *options); };
  });
}

}  // namespace

void AddDatasetCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const dataset = parent.add_subcommand("dataset", "Data sets that jobs name");
  dataset->require_subcommand(1);
  dataset->footer("Example:\n  distill dataset list\n");
  AddAdd(*dataset, chosen);

  CLI::App* const list = dataset->add_subcommand("list", "List data sets");
  list->footer("Example:\n  distill dataset list\n");
  list->callback([&chosen] { chosen = [](Session& session) { return List(session); }; });

  using Action = absl::StatusOr<ExitCode> (*)(Session&, const std::string&);
  const auto add_single = [&](const char* name, const char* description, const char* example,
                              Action action) {
    CLI::App* const command = dataset->add_subcommand(name, description);
    // Co-owned by the callback, which outlives this function.
    const auto which = std::make_shared<std::string>();
    command->add_option("name", *which, "Data set")->required()->type_name("DATASET");
    command->footer(example);
    command->callback([which, action, &chosen] {
      chosen = [which, action](Session& session) { return action(session, *which); };
    });
  };
  add_single("get", "Show what a data set holds, or how far its reading is",
             "Example:\n  distill dataset get fashion\n", &Get);
  add_single("verify", "Read it again and say what differs; exit code 1 when something does",
             "Example:\n  distill dataset verify fashion\n", &Verify);
  add_single("remove", "Forget a data set; its files stay",
             "Example:\n  distill dataset remove fashion\n", &Remove);
}

}  // namespace distill::client
