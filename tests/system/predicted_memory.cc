// Prints what the planner expects a task to need: reads TaskSpecs as JSON, one a line, and writes
// one number of bytes a line. For memory_prediction_test.py.
#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <string>

#include "distill/v1/task.pb.h"
#include "server/planner/memory_prediction.h"

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    distill::v1::TaskSpec spec;
    const auto status = google::protobuf::util::JsonStringToMessage(line, &spec);
    if (!status.ok()) {
      std::cerr << "cannot read a task: " << status.ToString() << "\n";
      return 1;
    }
    std::cout << distill::server::PredictMemoryBytes(spec) << "\n";
  }
  return 0;
}
