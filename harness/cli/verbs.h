// The verbs of the command line. A new one is a line in kVerbs and a file that defines its function.
#pragma once

#include <array>

#include "harness/cli/options.h"

namespace CLI {
class App;
}

namespace twincheck {

int gate(const Options& options);
int verify(const Options& options);
int replay(const Options& options);
int shrink_verb(const Options& options);
int sweep(const Options& options);
int golden(const Options& options);
int mutants(const Options& options);
int bench_verb(const Options& options);
int merge(const Options& options);
int list(const Options& options);

void add_bench_options(CLI::App& app, Options& options);

struct Verb {
  const char* name;
  const char* help;
  const char* argument;       // of the verb itself, as the usage shows it; null where it takes none
  const char* argument_help;  // what it is
  bool needs_argument;
  int (*run)(const Options&);                // the exit status; throws UsageError
  void (*add_options)(CLI::App&, Options&);  // the verb's own options; null where it has none
  const char* examples;                      // lines, shown below the options
};

inline constexpr std::array kVerbs{
    Verb{"gate", "the whole gate on this machine's platforms", nullptr, nullptr, false, gate, nullptr,
         "twincheck gate\ntwincheck gate --platform cpu --tier smoke"},
    Verb{"verify", "saved failures, the corpus, then generated cases against each candidate", nullptr, nullptr, false,
         verify, nullptr,
         "twincheck verify --candidate ./libmine.so\ntwincheck verify --platform cpu --cases 100000 --seed 0x5eed"},
    Verb{"replay", "one case, shown in full: what was expected, what came, where", "CASE|FILE",
         "a case's text (one argument or words), or *.case files", true, replay, nullptr,
         "twincheck replay 'append source=constant tokens=2 top_k=8 shared=1'\n"
         "twincheck replay --candidate ./libmine.so twincheck-failures/*.case"},
    Verb{"shrink", "the smallest case that still breaks the same law", "CASE|FILE",
         "a case's text (one argument or words), or a *.case file", true, shrink_verb, nullptr,
         "twincheck shrink --candidate ./libmine.so 'append source=constant tokens=64 top_k=8 shared=1'"},
    Verb{"sweep", "exhaustive: every value of a dtype through a conversion or the sigmoid", "NAME",
         "FROM-TO for a conversion (f32-bf16, f16-f32, ...) or DTYPE-sigmoid", true, sweep, nullptr,
         "twincheck sweep f16-bf16 bf16-sigmoid\ntwincheck sweep --candidate ./libmine.so f32-sigmoid"},
    Verb{"golden", "recorded outputs of other implementations against the reference", "FILE.jsonl",
         "one JSON object a line; with --candidate or --platform the inputs run through candidates too", true, golden,
         nullptr, "twincheck golden corpus/golden/append.jsonl\ntwincheck golden dump.jsonl --candidate ./libmine.so"},
    Verb{"mutants", "kernels that are wrong on purpose against every law: the kill matrix", nullptr, nullptr, false, mutants,
         nullptr, "twincheck mutants\ntwincheck mutants --mutants build/dev/lib/mutants"},
    Verb{"bench", "time, bytes a second and share of the copy rate, candidates side by side", nullptr, nullptr, false,
         bench_verb, add_bench_options,
         "twincheck bench\n"
         "twincheck bench --candidate ./libmine.so --tokens 1..1048576*4 --plot curves.svg\n"
         "twincheck bench --source gate --hidden 2048,7168 --tokens 1,64,8192\n"
         "twincheck bench --json today.json && twincheck bench --baseline today.json --max-slowdown 1.05"},
    Verb{"merge", "reports of shards, or of several machines, put together into one", "REPORT",
         "a folder that --report has written, or its results.json", true, merge, nullptr,
         "twincheck merge shards/* --report report"},
    Verb{"list", "platforms, candidates, laws, sweeps, and which of them can run here", nullptr, nullptr, false, list,
         nullptr, "twincheck list"},
};

}  // namespace twincheck
