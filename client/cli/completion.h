// What fits at the end of a half-typed command line. The shells' scripts know nothing: they ask
// `distill __complete`, so that they are right for every version of it.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/command_tree.h"
#include "client/cli/settings.h"

namespace distill::client {

struct Candidate {
  std::string text;
  // One line; may be empty.
  std::string description;
};

// What stands where the cursor is.
struct CompletionRequest {
  enum class Kind {
    // Only `candidates`.
    kWords,
    kFile,
    kDirectory,
    // These are known to the server or the machine, not to the command tree.
    kJob,
    kTask,
    kWorker,
    kDataset,
    kDigest,
    kProject,
    kPreset,
    kContext,
    kToken,
    // "distillation.tau=2": a field of a job.
    kJobField,
  };
  Kind kind = Kind::kWords;
  std::vector<Candidate> candidates;
  // What is typed of the word; candidates must begin with it.
  std::string typed;
  // What stands before it in the same word, such as "--job=".
  std::string prefix;
  // Settings and the job that stand before the cursor.
  SettingValues flags;
  std::string context;
  std::string job;
};

// Splits a line as shells do: at blanks outside quotes. The last word is the one at the cursor, and
// may be empty.
std::vector<std::string> SplitLine(absl::string_view line);

// `words` without the program's name.
CompletionRequest WhatFits(const CommandInfo& root, const std::vector<std::string>& words);

// Fields of JobSpec, and values of those that have names, that begin with `typed`:
// "distillation.", "distillation.tau=", "student.kind=vmoe".
std::vector<Candidate> JobFieldCandidates(const std::string& typed);

// The script that a shell is to source. `shell`: "bash", "zsh" or "fish".
std::string CompletionScript(absl::string_view shell);

}  // namespace distill::client
