// artifact import, export and inspect, against a scripted server and on files alone.
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "storage/tensor/safetensors_file.h"
#include "storage/weights/architecture.h"
#include "tests/integration/cli/command_runner.h"
#include "tests/integration/cli/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Fixture(const std::string& path) {
  return absl::StrCat(std::getenv("DISTILL_SOURCE_DIR"), "/tests/unit/storage/", path);
}

class WeightCommandsTest : public ::testing::Test {
 protected:
  WeightCommandsTest() {
    runner_.variables["DISTILL_SERVER"] = server_.address();
    runner_.variables["TMPDIR"] = directory_.path();
    EXPECT_THAT(
        WriteFileAtomically(arch_, R"({"format": "distillery-architecture-1", "image_size": 4,
            "channels": 1, "patch_size": 2, "classes": 3,
            "vit": {"embed_dim": 4, "heads": 2, "mlp_ratio": 2, "stage_depths": [1, 2]}})"),
        IsOk());
  }

  CommandResult Run(const std::vector<std::string>& arguments) { return runner_.Run(arguments); }

  ScriptedServer server_;
  CommandRunner runner_;
  const TempDir directory_;
  const std::string arch_ = directory_.Join("arch.json");
  const std::string full_ = Fixture("weights/fixtures/full.pth");
};

TEST_F(WeightCommandsTest, ImportUploadsAndExportGivesBack) {
  const CommandResult imported =
      Run({"artifact", "import", full_, "--as", "teacher", "--arch", arch_});
  ASSERT_EQ(imported.code, 0) << imported.err;
  ASSERT_THAT(imported.out, StartsWith("sha256:"));
  EXPECT_THAT(imported.err, AllOf(HasSubstr("weights taken from model"),
                                  HasSubstr("put it under given.teacher")));
  const std::string digest = imported.out.substr(0, imported.out.size() - 1);

  const std::string out = directory_.Join("out");
  const CommandResult exported =
      Run({"artifact", "export", digest, "--to", out, "--names", "flat"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  const auto file = storage::SafetensorsFile::Open(JoinPath(out, "weights.safetensors"));
  ASSERT_THAT(file, IsOk());
  EXPECT_TRUE(file->Contains("blocks.2.mlp.fc2.bias"));
  EXPECT_THAT(storage::ReadArchitecture(JoinPath(out, "architecture.json")), IsOk());

  const CommandResult inspected = Run({"artifact", "inspect", digest});
  EXPECT_THAT(inspected.out, AllOf(HasSubstr("stages.1.blocks.1.mlp.fc2.bias"),
                                   HasSubstr("[1, 5, 4]"), HasSubstr("parameters  583")));
}

TEST_F(WeightCommandsTest, ModulesAndFilesAlone) {
  const std::string to = directory_.Join("module.safetensors");
  EXPECT_THAT(Run({"artifact", "import", full_, "--as", "teacher-stage", "--arch", arch_}).err,
              HasSubstr("--module: is required for a teacher-stage"));
  runner_.variables.erase("DISTILL_SERVER");
  ASSERT_EQ(Run({"artifact", "import", full_, "--as", "teacher-stage", "--arch", arch_, "--module",
                 "1", "--to", to})
                .out,
            to + "\n");
  const json inspected = json::parse(Run({"artifact", "inspect", to, "-o", "json"}).out);
  EXPECT_EQ(inspected["metadata"]["stage"], "1");
  EXPECT_EQ(inspected["tensors"][0]["name"], "blocks.0.attn.proj.bias");
}

TEST_F(WeightCommandsTest, ExportFindsTheArchitectureInTheTaskThatMadeTheArtifact) {
  const std::string weights = directory_.Join("teacher.safetensors");
  ASSERT_EQ(
      Run({"artifact", "import", full_, "--as", "teacher", "--arch", arch_, "--to", weights}).code,
      0);
  // An artifact of a task, which does not say what network it is of.
  const auto described = storage::SafetensorsFile::Open(weights);
  ASSERT_THAT(described, IsOk());
  std::string bytes = *ReadFile(weights);
  const size_t at = bytes.find("distillery-architecture-1");
  bytes[at] = 'D';
  ASSERT_THAT(WriteFileAtomically(weights, bytes), IsOk());
  const CommandResult put = Run({"artifact", "put", weights});
  const std::string digest = put.out.substr(0, put.out.size() - 1);
  const std::string out = directory_.Join("out");
  EXPECT_THAT(Run({"artifact", "export", digest, "--to", out}).err,
              HasSubstr("--arch: is required"));

  server_.Edit([&](Script& script) {
    v1::Lineage& forgotten = *script.artifacts[digest].add_lineage();
    forgotten.set_job("job-0");
    forgotten.set_task("finetune-teacher");
    forgotten.set_output("model");
    v1::Lineage& lineage = *script.artifacts[digest].add_lineage();
    lineage.set_job("job-1");
    lineage.set_task("finetune-teacher");
    lineage.set_output("model");
    v1::Task& task = script.tasks.emplace_back();
    task.set_id("finetune-teacher");
    task.set_job("job-1");
    v1::TaskSpec& spec = *task.mutable_spec();
    spec.set_kind(v1::TASK_KIND_FINETUNE_TEACHER);
    spec.set_modules(2);
    spec.set_patch_size(2);
    spec.mutable_dataset()->set_image_size(4);
    spec.mutable_dataset()->set_channels(1);
    spec.mutable_dataset()->set_classes(3);
    spec.mutable_teacher()->set_embed_dim(4);
    spec.mutable_teacher()->set_heads(2);
    spec.mutable_teacher()->set_mlp_ratio(2);
    spec.mutable_teacher()->add_stage_depths(1);
    spec.mutable_teacher()->add_stage_depths(2);
  });
  const CommandResult exported =
      Run({"artifact", "export", digest, "--to", out, "--names", "modules"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  const auto module = storage::ReadArchitecture(JoinPath(out, "module_1.json"));
  ASSERT_THAT(module, IsOk());
  EXPECT_EQ(module->module_index(), 1);
}

TEST_F(WeightCommandsTest, ExportMakesHybrids) {
  const std::string meta = directory_.Join("meta.safetensors");
  const std::string module = directory_.Join("module.safetensors");
  ASSERT_EQ(Run({"artifact", "import", full_, "--as", "meta", "--arch", arch_, "--to", meta}).code,
            0);
  ASSERT_EQ(Run({"artifact", "import", full_, "--as", "teacher-stage", "--arch", arch_, "--module",
                 "1", "--to", module})
                .code,
            0);
  const std::string out = directory_.Join("out");
  const CommandResult exported = Run({"artifact", "export", module, "--to", out, "--meta", meta});
  ASSERT_EQ(exported.code, 0) << exported.err;
  const auto hybrid = storage::ReadArchitecture(JoinPath(out, "architecture.json"));
  ASSERT_THAT(hybrid, IsOk());
  EXPECT_EQ(hybrid->meta().embed_dim(), 4);
  EXPECT_THAT(storage::SafetensorsFile::Open(JoinPath(out, "meta.safetensors")), IsOk());
  EXPECT_THAT(Run({"artifact", "export", meta, "--to", out, "--meta", meta}).err,
              HasSubstr("--meta: only a module makes a hybrid"));
}

TEST_F(WeightCommandsTest, InspectListsPlaces) {
  const CommandResult places = Run({"artifact", "inspect", full_, "--key", ""});
  EXPECT_THAT(places.out, AllOf(HasSubstr("model_stages  list  2 entries"),
                                HasSubstr("epoch         int   99")));
  EXPECT_THAT(Run({"artifact", "inspect", full_, "--key", "model_stages/1"}).out,
              HasSubstr("blocks.1.norm2.bias"));
}

TEST_F(WeightCommandsTest, RefusalsNameFileEntryAndReason) {
  const CommandResult hostile = Run({"artifact", "import", Fixture("tensor/fixtures/runs_code.pth"),
                                     "--as", "teacher", "--arch", arch_});
  EXPECT_EQ(hostile.code, 5);
  EXPECT_THAT(hostile.err, AllOf(HasSubstr("runs_code.pth"), HasSubstr("pickle names posix.system"),
                                 HasSubstr("runs_code/data.pkl")));
  EXPECT_THAT(Run({"artifact", "import", full_, "--as", "teacher", "--arch", full_}).err,
              HasSubstr("cannot read architecture"));
  EXPECT_EQ(Run({"artifact", "inspect", directory_.Join("absent")}).code, 3);
}

}  // namespace
}  // namespace distill::client
