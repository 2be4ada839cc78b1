// What candidate_tampering does wrong, one behaviour at a time, and what the judge must say to it. Everything else about
// it is right. Its data is read by the candidate and by the tests.
//
// The behaviour is chosen when the library is loaded, by the environment: TAMPER=name (none: "right"; a name that is not in
// the table makes the library answer ABI version 0). Its calls misbehave
//   always                          unless told otherwise;
//   with base_id B only             TAMPER_BASE_ID=B, so that a test can mark a case in the middle of a batch;
//   on the N-th such call only      TAMPER_AT=N, counted from 1 since loading.
// The behaviours at the end of the table, from cached_by_pointer on, have their own reasons and obey neither.
// TAMPER_EXACT=0 makes it a third-party candidate, held to no status (exact_status 0).
// In-process: twincheck_set with the keys behaviour (index in the table), base_id (-1: any), at (0: always) and exact_status
// does the same; each set forgets all state and counts calls from 1 again. Set it between calls, not during one.
//
// A behaviour that a case has no place for (a gap where rows are tight, an operand that is in place or empty) does nothing
// wrong with that case. A byte next to an input that lies inside another matrix's memory belongs to that matrix, and one at
// an inaccessible page is a death by SIGSEGV.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace tampering {

enum class Target { kTopkIds, kTopkWeights, kShared, kHidden, kGate, kOutIds, kOutWeights, kNone };

enum class Act {
  kRight,
  kGuardBefore,
  kGuardAfter,
  kGap,
  kInput,
  kReadBefore,
  kReadAfter,
  kUnwrittenRouted,
  kUnwrittenAppended,
  kUnwrittenHighWord,
  kNothing,
  kWrongRouted,
  kWrongAppended,
  kWrongHighWord,
  kNanRouted,
  kNanAppended,
  kNumberForNan,
  kOtherBits,
  kOtherId,
  kOtherStatus,
  kAcceptRefused,
  kRefuseValid,
  kOtherRefusal,
  kUnknownStatus,
  kRuntimeError,
  kRuntimeErrorForRefusal,
  kRefusalWrites,
  kUnsupportedWrites,
  kUnsupported,
  kUnsupportedGate,
  kUnsupportedF16,
  kUnsupportedStrided,
  kSigsegv,
  kSigfpe,
  kSigbus,
  kSigill,
  kSigkill,
  kAbort,
  kOverflowStack,
  kExitAtOnce,
  kExit,
  kExit3,
  kCatchAndExit,
  kThrow,
  kThrowInt,
  kLoop,
  kSleep,
  kIgnoreAndLoop,
  kGrow,
  kLeak,
  kPrint,
  kCloseDescriptors,
  kChangeSignals,
  kCachedByPointer,
  kCachedByShape,
  kStaleRows,
  kOneIn500,
  kSecondCall,
  kSharedColumnsCached,
  kSharedColumnsWrittenOnce,
};

struct Behaviour {
  std::string_view name;
  Act act;
  Target target;
  // Verdict and broken promise (harness/report/verdict.h, harness/judge/check.h) of a case that it misbehaves on; words
  // joined by | are alternatives. No promise: none is named, or it depends on the case.
  std::string_view verdict, law;
  std::string_view reason;    // of a death: a word that the report's detail must hold
  std::string_view sentence;  // what it does
};

inline constexpr std::array<Behaviour, 95> kBehaviours{{
    {"right", Act::kRight, Target::kNone, "passed", "", "", "does nothing wrong"},
    // One byte where it may not be written.
    {"guard_before_topk_ids", Act::kGuardBefore, Target::kTopkIds, "failed", "guards", "",
     "changes the byte before the first of topk_ids"},
    {"guard_before_topk_weights", Act::kGuardBefore, Target::kTopkWeights, "failed", "guards", "",
     "changes the byte before the first of topk_weights"},
    {"guard_before_shared", Act::kGuardBefore, Target::kShared, "failed", "guards", "",
     "changes the byte before the first of shared"},
    {"guard_before_hidden", Act::kGuardBefore, Target::kHidden, "failed", "guards", "",
     "changes the byte before the first of hidden"},
    {"guard_before_gate", Act::kGuardBefore, Target::kGate, "failed", "guards", "",
     "changes the byte before the first of gate"},
    {"guard_before_out_ids", Act::kGuardBefore, Target::kOutIds, "failed", "guards", "",
     "changes the byte before the first of out_ids"},
    {"guard_before_out_weights", Act::kGuardBefore, Target::kOutWeights, "failed", "guards", "",
     "changes the byte before the first of out_weights"},
    {"guard_after_topk_ids", Act::kGuardAfter, Target::kTopkIds, "failed", "guards", "",
     "changes the byte after the last of topk_ids"},
    {"guard_after_topk_weights", Act::kGuardAfter, Target::kTopkWeights, "failed", "guards", "",
     "changes the byte after the last of topk_weights"},
    {"guard_after_shared", Act::kGuardAfter, Target::kShared, "failed", "guards", "",
     "changes the byte after the last of shared"},
    {"guard_after_hidden", Act::kGuardAfter, Target::kHidden, "failed", "guards", "",
     "changes the byte after the last of hidden"},
    {"guard_after_gate", Act::kGuardAfter, Target::kGate, "failed", "guards", "", "changes the byte after the last of gate"},
    {"guard_after_out_ids", Act::kGuardAfter, Target::kOutIds, "failed", "guards", "",
     "changes the byte after the last of out_ids"},
    {"guard_after_out_weights", Act::kGuardAfter, Target::kOutWeights, "failed", "guards", "",
     "changes the byte after the last of out_weights"},
    {"gap_topk_ids", Act::kGap, Target::kTopkIds, "failed", "gaps", "",
     "changes the first byte between two rows of topk_ids"},
    {"gap_topk_weights", Act::kGap, Target::kTopkWeights, "failed", "gaps", "",
     "changes the first byte between two rows of topk_weights"},
    {"gap_shared", Act::kGap, Target::kShared, "failed", "gaps", "", "changes the first byte between two rows of shared"},
    {"gap_hidden", Act::kGap, Target::kHidden, "failed", "gaps", "", "changes the first byte between two rows of hidden"},
    {"gap_out_ids", Act::kGap, Target::kOutIds, "failed", "gaps", "", "changes the first byte between two rows of out_ids"},
    {"gap_out_weights", Act::kGap, Target::kOutWeights, "failed", "gaps", "",
     "changes the first byte between two rows of out_weights"},
    {"input_topk_ids", Act::kInput, Target::kTopkIds, "failed", "inputs_unchanged", "",
     "changes the last byte of topk_ids after it was used"},
    {"input_topk_weights", Act::kInput, Target::kTopkWeights, "failed", "inputs_unchanged", "",
     "changes the last byte of topk_weights after it was used"},
    {"input_shared", Act::kInput, Target::kShared, "failed", "inputs_unchanged", "",
     "changes the last byte of shared after it was used"},
    {"input_hidden", Act::kInput, Target::kHidden, "failed", "inputs_unchanged", "",
     "changes the last byte of hidden after it was used"},
    {"input_gate", Act::kInput, Target::kGate, "failed", "inputs_unchanged", "",
     "changes the last byte of gate after it was used"},
    // A byte outside an input is read: seen where it lies on an inaccessible page.
    {"read_before_topk_ids", Act::kReadBefore, Target::kTopkIds, "crashed", "no_crash", "SIGSEGV",
     "reads the byte before the first of topk_ids"},
    {"read_before_topk_weights", Act::kReadBefore, Target::kTopkWeights, "crashed", "no_crash", "SIGSEGV",
     "reads the byte before the first of topk_weights"},
    {"read_before_shared", Act::kReadBefore, Target::kShared, "crashed", "no_crash", "SIGSEGV",
     "reads the byte before the first of shared"},
    {"read_before_hidden", Act::kReadBefore, Target::kHidden, "crashed", "no_crash", "SIGSEGV",
     "reads the byte before the first of hidden"},
    {"read_before_gate", Act::kReadBefore, Target::kGate, "crashed", "no_crash", "SIGSEGV",
     "reads the byte before the first of gate"},
    {"read_after_topk_ids", Act::kReadAfter, Target::kTopkIds, "crashed", "no_crash", "SIGSEGV",
     "reads the byte after the last of topk_ids"},
    {"read_after_topk_weights", Act::kReadAfter, Target::kTopkWeights, "crashed", "no_crash", "SIGSEGV",
     "reads the byte after the last of topk_weights"},
    {"read_after_shared", Act::kReadAfter, Target::kShared, "crashed", "no_crash", "SIGSEGV",
     "reads the byte after the last of shared"},
    {"read_after_hidden", Act::kReadAfter, Target::kHidden, "crashed", "no_crash", "SIGSEGV",
     "reads the byte after the last of hidden"},
    {"read_after_gate", Act::kReadAfter, Target::kGate, "crashed", "no_crash", "SIGSEGV",
     "reads the byte after the last of gate"},
    // Elements never written.
    {"unwritten_routed_id", Act::kUnwrittenRouted, Target::kOutIds, "failed", "all_written", "",
     "leaves the last routed id of the last token unwritten"},
    {"unwritten_appended_id", Act::kUnwrittenAppended, Target::kOutIds, "failed", "all_written", "",
     "leaves the last appended id of the last token unwritten"},
    {"unwritten_routed_weight", Act::kUnwrittenRouted, Target::kOutWeights, "failed", "all_written", "",
     "leaves the last routed weight of the last token unwritten"},
    {"unwritten_appended_weight", Act::kUnwrittenAppended, Target::kOutWeights, "failed", "all_written", "",
     "leaves the last appended weight of the last token unwritten"},
    {"unwritten_high_word", Act::kUnwrittenHighWord, Target::kOutIds, "failed", "all_written", "",
     "leaves the high word of the last appended i64 id unwritten"},
    {"does_nothing", Act::kNothing, Target::kNone, "failed", "all_written", "", "answers ok without writing anything"},
    // One wrong element: the last routed or the last appended one of the last token.
    {"wrong_routed_id", Act::kWrongRouted, Target::kOutIds, "failed", "routed_ids", "",
     "answers one routed id too large by one"},
    {"wrong_appended_id", Act::kWrongAppended, Target::kOutIds, "failed", "appended_ids", "",
     "answers one appended id too large by one"},
    {"wrong_high_word", Act::kWrongHighWord, Target::kOutIds, "failed", "appended_ids", "",
     "answers one appended i64 id with the high word too large by one"},
    {"flip_routed_weight", Act::kWrongRouted, Target::kOutWeights, "failed", "routed_weights", "",
     "flips the lowest bit of one routed weight"},
    {"flip_appended_weight", Act::kWrongAppended, Target::kOutWeights, "failed", "appended_weights", "",
     "flips the lowest bit of one appended weight, the highest exponent bit of a sigmoid"},
    {"nan_routed_weight", Act::kNanRouted, Target::kOutWeights, "failed", "routed_weights", "",
     "answers NaN where a routed weight is a number"},
    {"nan_appended_weight", Act::kNanAppended, Target::kOutWeights, "failed", "appended_weights", "",
     "answers NaN where an appended weight is a number"},
    {"number_for_nan", Act::kNumberForNan, Target::kOutWeights, "failed", "appended_weights", "",
     "answers 1 where an appended weight is NaN"},
    // Other answers to the same question; right or not, the odd calls are the first ones.
    {"second_run_other_bits", Act::kOtherBits, Target::kOutWeights, "failed", "repeats", "",
     "on even calls answers other right bits: a f32 sigmoid one unit smaller, or a converted NaN of the other sign"},
    {"second_run_other_id", Act::kOtherId, Target::kOutIds, "failed", "repeats|appended_ids", "",
     "on even calls answers one appended id too large by one"},
    {"second_run_refuses", Act::kOtherStatus, Target::kNone, "failed", "repeats|refusal", "",
     "on even calls refuses a valid case"},
    // Answers against the table, and writes where nothing may be written.
    {"accepts_refused", Act::kAcceptRefused, Target::kNone, "failed", "refusal", "",
     "answers ok where the table refuses, and touches nothing"},
    {"refuses_valid", Act::kRefuseValid, Target::kNone, "failed", "refusal", "",
     "answers bad_parameter to a valid case, and touches nothing"},
    {"other_status", Act::kOtherRefusal, Target::kNone, "failed", "refusal_status", "",
     "refuses what the table refuses with another status of the table"},
    {"unknown_status", Act::kUnknownStatus, Target::kNone, "failed", "refusal", "", "answers 99 to a valid case"},
    {"runtime_error", Act::kRuntimeError, Target::kNone, "failed", "runtime_error", "",
     "answers runtime_error to a valid case"},
    {"runtime_error_for_refusal", Act::kRuntimeErrorForRefusal, Target::kNone, "failed", "refusal", "",
     "answers runtime_error where the table refuses"},
    {"refusal_writes_out_ids", Act::kRefusalWrites, Target::kOutIds, "failed", "refusal_touches_nothing", "",
     "changes the first byte of out_ids, then refuses as the table does"},
    {"refusal_writes_out_weights", Act::kRefusalWrites, Target::kOutWeights, "failed", "refusal_touches_nothing", "",
     "changes the first byte of out_weights, then refuses as the table does"},
    {"unsupported_writes_out_ids", Act::kUnsupportedWrites, Target::kOutIds, "failed", "unsupported_touches_nothing", "",
     "changes the first byte of out_ids of a valid case, then answers unsupported"},
    {"unsupported_writes_out_weights", Act::kUnsupportedWrites, Target::kOutWeights, "failed", "unsupported_touches_nothing",
     "", "changes the first byte of out_weights of a valid case, then answers unsupported"},
    {"unsupported", Act::kUnsupported, Target::kNone, "unsupported", "", "", "answers unsupported to everything"},
    {"unsupported_gate", Act::kUnsupportedGate, Target::kNone, "unsupported", "", "",
     "answers unsupported to the source gate"},
    {"unsupported_f16", Act::kUnsupportedF16, Target::kNone, "unsupported", "", "", "answers unsupported to f16 weights"},
    {"unsupported_strided", Act::kUnsupportedStrided, Target::kNone, "unsupported", "", "",
     "answers unsupported to padded outputs"},
    // Deaths.
    {"sigsegv", Act::kSigsegv, Target::kNone, "crashed", "no_crash", "SIGSEGV", "writes to an inaccessible page"},
    {"sigfpe", Act::kSigfpe, Target::kNone, "crashed", "no_crash", "SIGFPE", "divides an integer by zero"},
    {"sigbus", Act::kSigbus, Target::kNone, "crashed", "no_crash", "SIGBUS",
     "touches a mapped page past the end of its file"},
    {"sigill", Act::kSigill, Target::kNone, "crashed", "no_crash", "SIGILL", "executes an illegal instruction"},
    {"sigkill", Act::kSigkill, Target::kNone, "crashed", "no_crash", "SIGKILL", "kills its own process"},
    {"aborts", Act::kAbort, Target::kNone, "crashed", "no_crash", "SIGABRT", "calls abort()"},
    {"overflows_stack", Act::kOverflowStack, Target::kNone, "crashed", "no_crash", "SIGSEGV", "recurses without end"},
    {"exits_at_once", Act::kExitAtOnce, Target::kNone, "crashed", "no_crash", "exit status 0", "calls _exit(0)"},
    {"exits", Act::kExit, Target::kNone, "crashed", "no_crash", "exit status 0", "calls exit(0)"},
    {"exits_3", Act::kExit3, Target::kNone, "crashed", "no_crash", "exit status 3", "calls exit(3)"},
    {"catches_sigsegv_and_exits", Act::kCatchAndExit, Target::kNone, "crashed", "no_crash", "exit status 0",
     "handles SIGSEGV with _exit(0), then writes to an inaccessible page"},
    {"throws", Act::kThrow, Target::kNone, "crashed", "no_crash", "exception",
     "throws a std::runtime_error through the C boundary"},
    {"throws_int", Act::kThrowInt, Target::kNone, "crashed", "no_crash", "exception",
     "throws an int through the C boundary"},
    {"loops", Act::kLoop, Target::kNone, "hung", "", "", "computes without end"},
    {"sleeps", Act::kSleep, Target::kNone, "hung", "", "", "waits without end"},
    {"ignores_signals_and_loops", Act::kIgnoreAndLoop, Target::kNone, "hung", "", "",
     "ignores and blocks every signal it can, then computes without end"},
    {"grows", Act::kGrow, Target::kNone, "crashed", "no_crash", "memory",
     "touches memory in steps of 16 MiB, up to 8 GiB, then gives it back and answers rightly"},
    {"leaks", Act::kLeak, Target::kNone, "crashed", "no_crash", "memory",
     "answers rightly and keeps another 16 MiB of touched memory a call, up to 8 GiB"},
    // Bad manners with right answers: the other cases are none the worse.
    {"prints", Act::kPrint, Target::kNone, "passed", "", "", "prints 1 MiB to standard output"},
    {"closes_descriptors", Act::kCloseDescriptors, Target::kNone, "passed|crashed", "no_crash", "",
     "closes every file descriptor"},
    {"changes_signals", Act::kChangeSignals, Target::kNone, "passed", "", "", "ignores and blocks every signal it can"},
    // Wrong only by what went before. The promise that breaks is that of the stale result.
    {"cached_by_pointer", Act::kCachedByPointer, Target::kNone, "failed|flaky", "", "",
     "answers as it did to the last call with these pointers, sizes and dtypes"},
    {"cached_by_shape", Act::kCachedByShape, Target::kNone, "failed|flaky", "", "",
     "answers as it did to the last call with this source and these sizes and dtypes"},
    {"stale_rows", Act::kStaleRows, Target::kNone, "failed|flaky", "appended_weights", "",
     "where tokens are fewer than once before with these num_shared and dtype, answers that batch's appended weights in the "
     "last row"},
    {"one_in_500", Act::kOneIn500, Target::kNone, "failed|flaky", "", "",
     "answers one id too large by one on every 500th call"},
    {"second_call_same_pointers", Act::kSecondCall, Target::kNone, "failed|flaky", "", "",
     "answers one id too large by one on the second of consecutive calls with the same pointers"},
    {"shared_columns_cached", Act::kSharedColumnsCached, Target::kNone, "failed|flaky", "appended_weights", "",
     "keeps the appended weights by output pointer, top_k, num_shared and dtype, and computes only rows beyond those it "
     "has"},
    {"shared_columns_written_once", Act::kSharedColumnsWrittenOnce, Target::kNone, "failed|flaky", "all_written|repeats", "",
     "writes the appended weights of a row of an output buffer once and never again"},
}};

// The index in kBehaviours; -1 where there is none of that name.
constexpr int find(std::string_view name) {
  for (std::size_t i = 0; i < kBehaviours.size(); ++i) {
    if (kBehaviours[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

// Whether `word` is one of the alternatives, "a|b|c".
constexpr bool allows(std::string_view alternatives, std::string_view word) {
  while (true) {
    const std::size_t bar = alternatives.find('|');
    if (alternatives.substr(0, bar) == word) return true;
    if (bar == std::string_view::npos) return false;
    alternatives.remove_prefix(bar + 1);
  }
}

}  // namespace tampering
