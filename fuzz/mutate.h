// Mutations that know the fields of a case: what a fuzzer changes where plain bytes would mostly break what follows.
#pragma once

#include <string>

#include "fuzz/program.h"
#include "harness/case/case.h"
#include "harness/case/choices.h"

namespace twincheck::fuzz {

// Changes one thing, or seldom a few: a size to a boundary, a dtype, the source, a stride, an offset, an element; with
// `defects` also one rule of the refusal table is broken.
void mutate(Case& c, Choices& choices, bool defects);

// Takes some fields of the other, and rows of both; without `defects` the case is a valid one afterwards.
void cross(Case& c, const Case& other, Choices& choices, bool defects);

// Changes the first case or a step, adds or drops steps.
void mutate(Program& program, Choices& choices);

// Another number, or none, in place of one of a text: of a line, a file or a golden record.
void mutate_number(std::string& text, Choices& choices);

// How libFuzzer's inputs read: each fuzzer defines it.
enum class Format : uint8_t { kCase, kProgram, kCaseOrText };
extern const Format format;
extern const bool defects;

}  // namespace twincheck::fuzz
