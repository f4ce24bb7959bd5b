// distill-trainer: trains what its worker leases, in a process of its own. Without arguments it
// speaks over the descriptors that the worker opened; `run` serves people.
#include <fcntl.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/pipe/trainer_contract.h"
#include "worker/trainer/numeric_runtime.h"
#include "worker/trainer/pipe_session.h"
#include "worker/trainer/predict_command.h"
#include "worker/trainer/stand_alone.h"

namespace distill::worker {
namespace {

constexpr int kExitFailed = 1;

struct Arguments {
  PipeDescriptors pipe{kTrainerCommandDescriptor, kTrainerEventDescriptor};
  std::string stamp_directory;
  bool is_run = false;
  std::string lease_set_file;
  StandAloneTask task;
  std::vector<std::string> inputs;  // "name=path"
  torch::DeviceType device = torch::kCPU;
};

// A step frees and takes the same megabytes again and again. Kept from the kernel, they need not be
// mapped and cleared each time: 13 % less CPU time for the demo's student (median of 6 pairs).
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // The most that glibc allows.
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
}

bool IsOpen(int descriptor) { return fcntl(descriptor, F_GETFD) != -1; }

int RunByHand(Arguments arguments, const Clock& clock) {
  for (const std::string& input : arguments.inputs) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(input, absl::MaxSplits('=', 1));
    arguments.task.inputs.insert(parts);
  }
  const absl::StatusOr<v1::StartLeaseSet> set = arguments.lease_set_file.empty()
                                                    ? ReadTask(arguments.task)
                                                    : ReadLeaseSet(arguments.lease_set_file);
  const absl::Status status =
      set.ok() ? RunStandAlone(*set, clock, arguments.device) : set.status();
  if (status.ok()) return kTrainerExitOk;
  std::cerr << "distill-trainer: " << status.message() << "\n";
  return set.ok() ? kExitFailed : kTrainerExitUsage;
}

int RunPrediction(const training::PredictionRequest& request) {
  const absl::Status status = training::Predict(request);
  if (status.ok()) return kTrainerExitOk;
  std::cerr << "distill-trainer: " << status.message() << "\n";
  return status.code() == absl::StatusCode::kInvalidArgument ? kTrainerExitUsage : kExitFailed;
}

int RunForWorker(const Arguments& arguments, const Clock& clock) {
  if (!IsOpen(arguments.pipe.commands) || !IsOpen(arguments.pipe.events)) {
    std::cerr << "distill-trainer: is started by distill-worker; to run a task by hand, see "
                 "distill-trainer run --help\n";
    return kTrainerExitUsage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  return RunPipeSession(arguments.pipe, clock, arguments.stamp_directory);
}

void AddDeviceOption(CLI::App& command, torch::DeviceType& device) {
  command
      .add_option_function<std::string>(
          "--device",
          [&device](const std::string& name) {
            device = name == "cuda" ? torch::kCUDA : torch::kCPU;
          },
          "Where to compute; default cpu")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->type_name("");
}

int Run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Trains the tasks that a distill-worker leases.", "distill-trainer");
  app.set_version_flag("--version",
                       "distill-trainer " DISTILL_VERSION " LibTorch " + LibTorchVersion());
  app.add_option("--pipe-in", arguments.pipe.commands, "Descriptor to read commands from")
      ->capture_default_str();
  app.add_option("--pipe-out", arguments.pipe.events, "Descriptor to write events to")
      ->capture_default_str();
  app.add_option("--digest-stamps", arguments.stamp_directory,
                 "Folder that keeps the digests of data sets whose files do not change");
  CLI::App* const run = app.add_subcommand("run", "Run a task without a worker");
  run->add_option("--task", arguments.task.task_file, "TaskSpec, JSON or text format");
  run->add_option("--input", arguments.inputs, "Input as name=path; may be repeated");
  run->add_option("--checkpoint", arguments.task.checkpoint_file, "Checkpoint to go on from");
  run->add_option("--output-dir", arguments.task.output_directory, "Folder for results");
  run->add_option("--lease-set", arguments.lease_set_file,
                  "StartLeaseSet, JSON or text format, instead of the other options");
  run->callback([&] {
    arguments.is_run = true;
    if (!arguments.lease_set_file.empty()) return;
    if (arguments.task.task_file.empty() || arguments.task.output_directory.empty()) {
      throw CLI::ValidationError("give --task and --output-dir, or --lease-set");
    }
  });
  training::PredictionRequest prediction;
  CLI::App* const predict = AddPredictCommand(app, prediction);
  for (CLI::App* const command : {run, predict}) AddDeviceOption(*command, arguments.device);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kTrainerExitOk : kTrainerExitUsage;
  }
  // Read by people, as the log of an attempt, unless the worker writes JSON itself.
  const char* const format = std::getenv(kTrainerLogFormatVariable);
  const bool json = format != nullptr && std::string(format) == "json";
  ConfigureLog(LogSeverity::kInfo, json ? LogFormat::kJson : LogFormat::kText);
  KeepFreedMemory();
  ConfigureNumericRuntime();
  if (!IsAvailable(arguments.device)) {
    std::cerr << "distill-trainer: --device cuda: LibTorch " << LibTorchVersion()
              << " finds no GPU that it can use; is it a build with CUDA, and the driver loaded?\n";
    return kExitFailed;
  }
  if (predict->parsed()) {
    prediction.device = arguments.device;
    return RunPrediction(prediction);
  }
  const SystemClock clock;
  return arguments.is_run ? RunByHand(std::move(arguments), clock) : RunForWorker(arguments, clock);
}

}  // namespace
}  // namespace distill::worker

int main(int argc, char** argv) {
  try {
    return distill::worker::Run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("distill-trainer: out of memory\n", stderr);
    return distill::worker::kTrainerExitOutOfMemory;
  }
}
