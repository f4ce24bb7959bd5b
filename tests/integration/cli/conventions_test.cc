// What all commands have in common: forms of output, exit codes, contexts, and answers to mistakes.
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "client/cli/context_file.h"
#include "client/cli/exit_code.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "tests/integration/cli/command_runner.h"
#include "tests/integration/cli/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

using Arguments = std::vector<std::string>;

class ConventionsTest : public ::testing::Test {
 protected:
  ConventionsTest() {
    runner_.variables["DISTILL_SERVER"] = server_.address();
    runner_.variables["DISTILL_CONFIG"] = directory_.Join("config.yaml");
    job_file_ = directory_.Join("job.yaml");
    EXPECT_THAT(WriteFileAtomically(job_file_, "dataset: {path: /data}\nmodules: 4\n"), IsOk());
    server_.Edit([](Script& script) {
      v1::Job& job = script.jobs.emplace_back();
      job.set_id("job-1");
      job.set_state(v1::JOB_STATE_SUCCEEDED);
      job.mutable_spec()->set_project("default");
      v1::JobEvent& ended = script.events.emplace_back();
      ended.set_revision(3);
      *ended.mutable_job() = job;
      v1::Task& task = script.tasks.emplace_back();
      task.set_id("pretrain-meta");
      task.set_job("job-1");
      task.set_state(v1::TASK_STATE_SUCCEEDED);
      script.series["pretrain-meta"].add_points()->set_step(7);
      script.workers.emplace_back().mutable_info()->set_worker_id("w1");
      script.artifacts["sha256:ab"].set_digest("sha256:ab");
      v1::PlannedTask& planned = *script.plan.add_tasks();
      planned.set_id("pretrain-meta");
      planned.set_key("sha256:0123456789abcdef");
      planned.set_execution(v1::PLANNED_EXECUTION_RUNS);
    });
  }

  CommandResult Run(const Arguments& arguments) { return runner_.Run(arguments); }

  CommandResult RunAs(Arguments arguments, const std::string& format) {
    arguments.insert(arguments.end(), {"-o", format});
    return Run(arguments);
  }

  ScriptedServer server_;
  CommandRunner runner_;
  const TempDir directory_;
  std::string job_file_;
};

std::string ReadDocument(const std::string& name) {
  const char* const source = std::getenv("DISTILL_SOURCE_DIR");
  if (source == nullptr) return "";
  return ReadFile(absl::StrCat(source, "/docs/", name)).value_or("");
}

// The rows "| `job get`, ... | `Job` |" of the page: message by command.
std::map<std::string, std::string> DocumentedMessages() {
  std::map<std::string, std::string> messages;
  const std::string page = ReadDocument("cli.md");
  const size_t start = page.find("| command | message |");
  const std::string table = page.substr(start, page.find("\n\n", start) - start);
  for (const absl::string_view line : absl::StrSplit(table, '\n')) {
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    if (cells.size() < 4 || !absl::StrContains(cells[1], '`')) continue;
    const std::vector<std::string> message = absl::StrSplit(cells[2], '`');
    const std::vector<std::string> commands = absl::StrSplit(cells[1], '`');
    for (size_t i = 1; i < commands.size(); i += 2) messages[commands[i]] = message[1];
  }
  return messages;
}

// Reads `json` as the message, in which every key must be a field.
absl::Status ReadAs(const std::string& message, const std::string& json) {
  const auto* const type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          absl::StrCat("distill.v1.", message));
  if (type == nullptr) return absl::NotFoundError(message);
  const std::unique_ptr<google::protobuf::Message> parsed(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  const auto status = google::protobuf::util::JsonStringToMessage(json, parsed.get());
  return status.ok() ? absl::OkStatus() : absl::InvalidArgumentError(status.ToString());
}

TEST_F(ConventionsTest, JsonIsTheMessageThatTheManualNames) {
  const std::map<std::string, Arguments> calls = {
      {"job submit", {"job", "submit", job_file_}},
      {"job submit --sweep", {"job", "submit", job_file_, "--sweep", "seed=1"}},
      {"job get", {"job", "get", "job-1"}},
      {"job cancel", {"job", "cancel", "job-1"}},
      {"job list", {"job", "list"}},
      {"job render", {"job", "render", job_file_}},
      {"job watch", {"job", "watch", "job-1"}},
      {"job report", {"job", "report", "job-1"}},
      {"job series --task", {"job", "series", "job-1", "--task", "pretrain-meta"}},
      {"task list", {"task", "list", "job-1"}},
      {"task get", {"task", "get", "job-1", "pretrain-meta"}},
      {"task explain", {"task", "explain", "job-1", "pretrain-meta"}},
      {"artifact list", {"artifact", "list"}},
      {"artifact get", {"artifact", "get", "sha256:ab"}},
      {"worker list", {"worker", "list"}},
      {"worker drain", {"worker", "drain", "w1"}},
      {"worker resume", {"worker", "resume", "w1"}},
  };
  const std::map<std::string, std::string> documented = DocumentedMessages();
  for (const auto& [command, arguments] : calls) {
    ASSERT_EQ(documented.count(command), 1u) << command;
    const CommandResult result = RunAs(arguments, "json");
    EXPECT_EQ(result.code, 0) << command << result.err;
    EXPECT_THAT(ReadAs(documented.at(command), result.out), IsOk()) << command << result.out;
  }
  for (const auto& [command, message] : documented) {
    EXPECT_NE(google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
                  absl::StrCat("distill.v1.", message)),
              nullptr)
        << command;
  }
}

TEST_F(ConventionsTest, YamlHasTheKeysOfTheJson) {
  EXPECT_THAT(RunAs({"job", "get", "job-1"}, "yaml").out, HasSubstr("\nid: job-1\n"));
  EXPECT_THAT(RunAs({"job", "list"}, "yaml").out,
              StartsWith("jobs:\n  - name: \"\"\n    id: job-1\n"));
  EXPECT_THAT(RunAs({"job", "watch", "job-1"}, "yaml").out, StartsWith("---\nrevision: \"3\"\n"));
  EXPECT_THAT(RunAs({"version"}, "yaml").out, StartsWith("version: "));
}

TEST_F(ConventionsTest, NamesAreOneALine) {
  EXPECT_EQ(RunAs({"job", "list"}, "name").out, "job-1\n");
  EXPECT_EQ(RunAs({"job", "get", "latest"}, "name").out, "job-1\n");
  EXPECT_EQ(RunAs({"task", "list", "job-1"}, "name").out, "pretrain-meta\n");
  EXPECT_EQ(RunAs({"worker", "list"}, "name").out, "w1\n");
  EXPECT_EQ(RunAs({"artifact", "list"}, "name").out, "sha256:ab\n");
  EXPECT_EQ(RunAs({"job", "render", job_file_}, "name").out, "pretrain-meta\n");
  EXPECT_EQ(RunAs({"job", "submit", job_file_, "--sweep", "seed=1,2"}, "name").out,
            "job-1\njob-2\n");
  const CommandResult none = RunAs({"task", "explain", "job-1", "pretrain-meta"}, "name");
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("`distill task explain` has no names to print"));
}

TEST_F(ConventionsTest, RenderShowsThePlanAndSubmitsNothing) {
  const CommandResult result =
      Run({"job", "render", job_file_, "--override", "modules=2", "--project", "vision"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("pretrain-meta  sha256:0123456789ab"));
  EXPECT_THAT(server_.created(), IsEmpty());
  const CommandResult spec =
      Run({"job", "render", job_file_, "--override", "modules=2", "--project", "vision", "--spec"});
  EXPECT_THAT(spec.out, HasSubstr("project: vision"));
  EXPECT_THAT(spec.out, HasSubstr("modules: 2"));
}

TEST_F(ConventionsTest, TopPrintsPlainTextWhereThereIsNoTerminal) {
  const CommandResult result = Run({"top", "--once"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("workers  1 live"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(nlohmann::json::parse(RunAs({"top", "--once"}, "json").out)["jobs"][0]["id"], "job-1");
}

TEST_F(ConventionsTest, ExitCodesAreThoseOfTheManual) {
  const std::string page = ReadDocument("cli.md");
  for (const ExitCodeInfo& code : ExitCodes()) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("\n| ", static_cast<int>(code.code), " | ",
                                             code.meaning, " |\n")));
  }
}

TEST_F(ConventionsTest, ContextsAreMadeUsedShownAndDeleted) {
  runner_.variables.erase("DISTILL_SERVER");
  EXPECT_EQ(
      Run({"context", "set", "lab", "--server", server_.address(), "--project", "vision"}).code, 0);
  EXPECT_EQ(RunAs({"context", "list"}, "name").out, "lab\n");
  EXPECT_THAT(Run({"context", "list"}).out, HasSubstr("*  lab      " + server_.address()));
  EXPECT_EQ(Run({"job", "get", "job-1"}).code, 0);
  // The context's project is that of a job that names none.
  EXPECT_EQ(Run({"job", "submit", job_file_}).code, 0);
  EXPECT_EQ(server_.created().back().spec().project(), "vision");
  runner_.variables["DISTILL_PROJECT"] = "audio";
  EXPECT_EQ(Run({"job", "submit", job_file_}).code, 0);
  EXPECT_EQ(server_.created().back().spec().project(), "audio");
  EXPECT_EQ(Run({"job", "submit", job_file_, "--project", "text"}).code, 0);
  EXPECT_EQ(server_.created().back().spec().project(), "text");
  EXPECT_THAT(Run({"context", "show"}).out,
              HasSubstr("project                   audio            DISTILL_PROJECT\n"));
  EXPECT_THAT(Run({"context", "show", "lab"}).out, HasSubstr("vision"));
  // Another server, which is not there.
  EXPECT_EQ(Run({"context", "set", "gone", "--server", "127.0.0.1:1"}).code, 0);
  EXPECT_EQ(Run({"--context", "lab", "job", "get", "job-1"}).code, 0);
  EXPECT_EQ(Run({"context", "use", "gone"}).code, 0);
  EXPECT_THAT(Run({"context", "show"}).out, HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(Run({"context", "use", "lba"}).err, HasSubstr("did you mean \"lab\"?"));
  EXPECT_EQ(Run({"context", "delete", "gone"}).code, 0);
  EXPECT_EQ(Run({"context", "delete", "gone"}).code, 3);
  EXPECT_EQ(Run({"--context", "gone", "job", "list"}).code, 3);
}

TEST_F(ConventionsTest, CompletesNamesThatTheServerKnows) {
  const auto complete = [this](const std::string& line) {
    return Run({"__complete", "--line", line}).out;
  };
  EXPECT_EQ(complete("distill job get "), "latest\tthe newest job\njob-1\tsucceeded \n");
  EXPECT_EQ(complete("distill job get job"), "job-1\tsucceeded \n");
  EXPECT_EQ(complete("distill task get job-1 "), "pretrain-meta\tsucceeded\n");
  EXPECT_EQ(complete("distill artifact get sha256:"), "sha256:ab\t- 0 B\n");
  EXPECT_EQ(complete("distill artifact list --job=la"), "--job=latest\tthe newest job\n");
  EXPECT_EQ(complete("distill job submit "), ":files\n");
  EXPECT_THAT(complete("distill --con"), StartsWith("--context\t"));
  // Nobody answers: nothing is offered, and nothing is said.
  runner_.variables["DISTILL_SERVER"] = "127.0.0.1:1";
  const CommandResult silent = Run({"__complete", "--line", "distill job get "});
  EXPECT_EQ(silent.code, 0);
  EXPECT_THAT(silent.out + silent.err, IsEmpty());
}

struct Mistake {
  Arguments arguments;
  int code;
  const char* answer;
};

TEST_F(ConventionsTest, MistakesAreAnsweredWithWhatToDo) {
  const std::vector<Mistake> mistakes = {
      {{}, 2, "error: `distill` needs a command: demo, dev, job,"},
      {{"jbo"}, 2, "error: unknown command \"jbo\"; did you mean \"job\"?"},
      {{"job"}, 2, "error: `distill job` needs a command: submit, list,"},
      {{"job", "lst"}, 2, "error: unknown command \"lst\"; did you mean \"list\"?"},
      {{"--server", "h:1", "job", "lst"}, 2, "unknown command \"lst\""},
      {{"job", "get"}, 2, "error: JOB is missing: Job id, or latest\nusage: distill job get JOB"},
      {{"job", "get", "a", "b"}, 2, "error: `distill job get` takes no further argument; got=b"},
      {{"job", "list", "--limt", "3"}, 2, "has no option --limt; did you mean --limit?"},
      {{"job", "list", "--limit", "many"},
       2,
       "error: --limit: want a number, 1 to 1000000; got=many"},
      {{"job", "list", "--limit", "0"}, 2, "error: --limit: want a number, 1 to 1000000; got=0"},
      {{"job", "list", "--limit"}, 2, "error: --limit needs a value: Most jobs to list"},
      {{"job", "list", "-o", "jsn"}, 2, "-o"},
      {{"job", "submit"}, 2, "error: FILE is missing: Job file: .yaml, .json or .textproto"},
      {{"job", "submit", "/none.yaml"}, 3, "/none.yaml"},
      {{"job", "submit", "job.yaml", "--override", "modules"}, 3, "job.yaml"},
      {{"completion", "powershell"},
       2,
       "powershell: unknown value; the values are bash, zsh, fish"},
      {{"help", "job", "sumbit"}, 3, "unknown command \"sumbit\"; did you mean \"submit\"?"},
      {{"--server", "gpu-head", "job", "list"}, 5, "--server gpu-head: want host:port"},
      {{"context", "use", "lab"}, 3, "distill context set lab --server host:port"},
      {{"context", "set", "lab"}, 5, "it needs a server; give --server host:port"},
      {{"context", "set", "a/b", "--server", "h:1"}, 5, "want a name of 1 to 64 letters"},
      {{"context", "set", "dev", "--server", "h:1"}, 5, "the name is taken"},
      {{"task", "get", "job-1"}, 2, "error: TASK is missing"},
      {{"top", "--interval", "0"}, 2, "--interval: want a number, 0.5 to 3600"},
      {{"artifact", "put", "x", "--type", "modle"}, 5, "did you mean \"model\"?"},
      {{"worker", "drain"}, 2, "error: WORKER is missing"},
  };
  for (const Mistake& mistake : mistakes) {
    const CommandResult result = Run(mistake.arguments);
    EXPECT_EQ(result.code, mistake.code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(mistake.answer));
    EXPECT_THAT(result.err, StartsWith("error: "));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

}  // namespace
}  // namespace distill::client
