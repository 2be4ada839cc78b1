// Mutants: the production kernel, wrong on purpose, one library each. They put the judge on trial: a mutant that survives is
// a hole in the laws or in the generators, and a law that kills none proves little.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/candidate/worker.h"

namespace twincheck {

// What the header of a mutant's patch says.
struct Mutant {
  std::string id;        // "017", unique
  std::string name;      // "short-name"
  std::string sentence;  // what is wrong
  std::string bug;       // the public bug it stems from, "project#number"; may be empty
  std::string law;       // what is expected to kill it: a law, or a promise of check()
  std::string library;   // path; empty where the patch alone was read
};

// Reads a patch's header: lines "id:", "sentence:", "bug:" (may be missing) and "law:" before the first "--- ". `path` is
// NNN-short-name.patch, or libmutant_NNN_short_name.patch beside its library. Throws FileError, naming the file and the line
// that would have been right.
Mutant read_mutant(const std::string& path);

// A folder's patches, or where `libraries` its libraries libmutant_*.so, each with its patch beside it; by id. Throws
// FileError: also for an id that is there twice, and for a library without a patch.
std::vector<Mutant> mutants_in(const std::string& folder, bool libraries);

// What one source of cases did to a mutant.
struct Kills {
  uint64_t cases = 0;
  uint64_t kills = 0;
  uint64_t first = 0;  // the case of the first kill, from 1; 0: none
  bool by_itself =
      false;  // the law's own statement was broken: not only what check() sees without the reference, or a death
};

struct MutantResult {
  Mutant mutant;
  Kills generated;                    // default cases through equals_reference
  Kills corpus;                       // the corpus' edges
  std::vector<Kills> laws;            // beside laws(); that of equals_reference is `generated` and `corpus` together
  std::vector<std::string> promises;  // that were broken, as Report::law names them
  uint64_t first = 0;                 // cases judged up to the first kill: generated, then the corpus', then the laws'
  bool reference_only = false;        // nothing but a comparison with the reference kills it
  bool killed() const { return first > 0; }
  double share() const;  // of the default cases, those on which it is wrong
  // Its law is among the killers; where the mutants are built with sanitizers, which end the process before the law can
  // speak, a death does as well.
  bool as_expected() const;
};

struct KillMatrix {
  uint64_t seed = 0;
  double seconds = 0;
  bool interrupted = false;
  std::vector<MutantResult> mutants;

  std::vector<std::string_view> idle_laws() const;  // laws that kill nothing
  uint64_t median_first() const;                    // of the killed
  uint64_t rare() const;                            // killed, and wrong on fewer than 1 % of default cases
  bool good() const;                                // all killed, each by the law that its header names
};

struct MatrixOptions {
  uint64_t seed = 0x7c1;
  uint64_t default_cases = 2000;    // at most; fewer once a mutant is often wrong
  uint64_t law_cases = 24;          // of each other law, up to the first that breaks the law's own statement
  uint64_t named_law_cases = 3000;  // of the law that the mutant's header names, and of refuses_like_reference, the same
  std::string corpus;               // folder of *.case files; empty: none
  int jobs = 1;
  Limits limits;
  const volatile int* interrupt = nullptr;
  std::function<void(uint64_t done, const MutantResult&)> on_mutant;  // as soon as one is through
  std::function<void()> on_tick;                                      // now and then
};

// Tries every mutant, isolated. What a law says under a blindfold counts: check()'s comparison with the reference is heard
// in equals_reference and refuses_like_reference alone, so that the matrix shows what each law sees by itself. Throws
// LoadError where a mutant cannot be loaded.
KillMatrix run_mutants(const std::vector<Mutant>& mutants, const MatrixOptions& options);

// What is wrong with a mutant's result: it survived, or its law is not among the killers. Empty where nothing is.
std::string complaint(const MutantResult& result);

// The matrix, mutants by laws, for people; and what it comes to, in two lines.
std::string matrix_text(const KillMatrix& matrix);
std::string matrix_summary(const KillMatrix& matrix);

}  // namespace twincheck
