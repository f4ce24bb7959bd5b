// The tables themselves, printed: this is the copy that documents may quote.
#include "server/scheduler/transitions.h"

#include "gtest/gtest.h"

namespace distill::server {
namespace {

using storage::TaskState;

TEST(TransitionsTest, PrintsTheTables) {
  EXPECT_EQ(PrintTransitions(),
            "task\n"
            "  BLOCKED --inputs ready--> QUEUED\n"
            "  BLOCKED --reused--> SUCCEEDED\n"
            "  BLOCKED --budget spent--> FAILED\n"
            "  BLOCKED --cancelled--> CANCELLED\n"
            "  QUEUED --reused--> SUCCEEDED\n"
            "  QUEUED --granted--> RUNNING\n"
            "  QUEUED --salvaged--> SUCCEEDED\n"
            "  QUEUED --revived--> RUNNING\n"
            "  QUEUED --input lost--> BLOCKED\n"
            "  QUEUED --cancelled--> CANCELLED\n"
            "  RUNNING --completed--> SUCCEEDED\n"
            "  RUNNING --attempt ended--> QUEUED\n"
            "  RUNNING --input lost--> BLOCKED\n"
            "  RUNNING --budget spent--> FAILED\n"
            "  RUNNING --cancelled--> CANCELLED\n"
            "  SUCCEEDED --result lost--> BLOCKED\n"
            "attempt\n"
            "  RUNNING --> SUCCEEDED\n"
            "  RUNNING --> FAILED\n"
            "  RUNNING --> EXPIRED\n"
            "  RUNNING --> RELEASED\n"
            "  RUNNING --> CANCELLED\n"
            "  EXPIRED --> SUCCEEDED\n"
            "  EXPIRED --> RUNNING\n"
            "job\n"
            "  RUNNING --> SUCCEEDED\n"
            "  RUNNING --> FAILED\n"
            "  RUNNING --> CANCELLING\n"
            "  RUNNING --> PAUSED\n"
            "  PAUSED --> RUNNING\n"
            "  PAUSED --> SUCCEEDED\n"
            "  PAUSED --> FAILED\n"
            "  PAUSED --> CANCELLING\n"
            "  CANCELLING --> CANCELLED\n");
}

TEST(TransitionsTest, FailedAndCancelledAreFinal) {
  for (const TaskTransition& transition : TaskTransitions()) {
    EXPECT_NE(transition.from, TaskState::kFailed);
    EXPECT_NE(transition.from, TaskState::kCancelled);
  }
}

}  // namespace
}  // namespace distill::server
