#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <limits>

#include "harness/case/case.h"
#include "harness/case/case_test_support.h"
#include "harness/case/generate.h"

namespace twincheck {
namespace {

constexpr std::string_view kHead = "append source=constant tokens=1 top_k=2 shared=1";

Case with(std::string_view fields) {
  std::string line(kHead);
  line += ' ';
  line += fields;
  return parse(line);
}

TEST(Text, IsReadBackAsTheSameCase) {
  Choices choices = Choices::random(1);
  for (uint64_t seed = 0; seed < 100000; ++seed) {
    choices.reseed(seed);
    const Case c = draw_case(choices);
    ASSERT_EQ(parse(text(c)), c) << text(c);
  }
}

TEST(Text, IsReadBackAsTheSameCaseWhateverItsFields) {
  Choices choices = Choices::random(1);
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    choices.reseed(seed);
    const Case c = any_case(choices);
    ASSERT_EQ(parse(text(c)), c) << text(c);
  }
}

TEST(Text, PrintsWhatDiffersFromTheDefault) {
  Case c;
  EXPECT_EQ(text(c), "append source=constant tokens=0 top_k=0 shared=0");
  c.source = TWINCHECK_WEIGHTS;
  c.tokens = 2;
  c.top_k = 8;
  c.shared = 2;
  c.scale_bits = 0x3f000000;
  c.in_place = InPlace::kBoth;
  c.of(Operand::kTopkIds).row_stride = 16;
  c.of(Operand::kTopkIds).offset = 3;
  c.of(Operand::kOutIds).place = Place::kEnd;
  c.of(Operand::kShared).cols = 9;
  c.of(Operand::kShared).dtype = 77;
  c.of(Operand::kGate).pointer = Pointer::kNull;
  c.of(Operand::kHidden).pointer = Pointer::kSkewed;
  c.of(Operand::kHidden).pointer_bytes = 1;
  c.of(Operand::kShared).pointer = Pointer::kInto;
  c.of(Operand::kShared).pointer_operand = Operand::kTopkWeights;
  c.literal[0] = {1, 0xffffffff};
  EXPECT_EQ(text(c),
            "append source=weights tokens=2 top_k=8 shared=2 in_place=both scale=0x3f000000 topk_ids.row_stride=16 "
            "topk_ids.offset=3 topk_ids.bits=[0x1,0xffffffff] shared.cols=9 shared.dtype=77 shared.pointer=topk_weights+0 "
            "hidden.pointer=skewed+1 gate.pointer=null out_ids.place=end");
}

TEST(Text, TakesFieldsInAnyOrderAndIntegersInEitherBase) {
  const Case c = parse("  append\tshared=0x2 top_k=8 tokens=-2 gate.pointer=own source=2 topk_ids.bits=[ 1, -1 ,0xff ] ");
  EXPECT_EQ(c.source, TWINCHECK_LOGITS);
  EXPECT_EQ(c.tokens, -2);
  EXPECT_EQ(c.shared, 2);
  EXPECT_EQ(c.literal[0], (std::vector<uint64_t>{1, ~uint64_t{0}, 0xff}));
  EXPECT_EQ(with("base_id=-0x8000000000000000").base_id, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(with("topk_ids.bits=[]").literal[0].size(), 0u);
}

TEST(Text, TakesAScaleAsBitsOrAsTheNearestF32) {
  EXPECT_EQ(with("scale=0x3f000000").scale_bits, 0x3f000000u);
  EXPECT_EQ(with("scale=0.5").scale_bits, 0x3f000000u);
  EXPECT_EQ(with("scale=0.1").scale_bits, 0x3dcccccdu);
  EXPECT_EQ(with("scale=-0").scale_bits, 0x80000000u);
  EXPECT_EQ(with("scale=1e-30").scale_bits, 0x0da24260u);
  EXPECT_EQ(with("scale=1e-45").scale_bits, 0x00000001u);
  EXPECT_EQ(with("scale=-inf").scale_bits, 0xff800000u);
}

struct Malformed {
  std::string line;
  std::size_t column;
  std::string found, expected;
};

TEST(Text, NamesTheColumnWhatWasFoundAndWhatWasExpected) {
  const std::string head(kHead);
  const std::size_t next = head.size() + 2;
  const std::vector<Malformed> lines{
      {"", 1, "found nothing", "\"append\""},
      {"  apend tokens=1", 3, "\"apend\"", "\"append\""},
      {"append source=constant tokens=1 top_k=2", 40, "the end of the line", "shared=..."},
      {"append tokens", 8, "\"tokens\"", "\"tokens=VALUE\""},
      {"append source=konstant", 15, "\"konstant\"", "did you mean \"constant\"?"},
      {"append source=99999999999", 15, "\"99999999999\"", "32-bit integer"},
      {"append tokns=1", 8, "\"tokns\"", "did you mean \"tokens\"?"},
      {"append top-k=1", 8, "\"top-k\"", "did you mean \"top_k\"?"},
      {"append zebra=1", 8, "\"zebra\"", "a field: source, tokens"},
      {"append tokens=", 15, "nothing", "an integer"},
      {"append tokens=1x", 15, "\"1x\"", "an integer"},
      {"append tokens=9223372036854775808", 15, "\"9223372036854775808\"", "an integer in [-9223372036854775808"},
      {"append tokens=0x", 15, "\"0x\"", "an integer"},
      {head + " tokens=1", next, "\"tokens\" a second time", "each field once"},
      {head + " broadcast=2", next + 10, "\"2\"", "an integer in [0, 1]"},
      {head + " ids_dtype=i46", next + 10, "\"i46\"", "did you mean \"i64\"?"},
      {head + " scale=one", next + 6, "\"one\"", "a number that f32 can hold"},
      {head + " scale=1e99", next + 6, "\"1e99\"", "a number that f32 can hold"},
      {head + " scale=0x123456789", next + 6, "\"0x123456789\"", "0x3f000000"},
      {head + " seed=-1", next + 5, "\"-1\"", "[0, 2^64)"},
      {head + " weights=routr", next + 8, "\"routr\"", "did you mean \"router\"?"},
      {head + " topk_id.offset=1", next, "\"topk_id\"", "did you mean \"topk_ids\"?"},
      {head + " topk_ids.stride=1", next + 9, "\"stride\"", "a field of a matrix: row_stride"},
      {head + " topk_ids.ofset=1", next + 9, "\"ofset\"", "did you mean \"offset\"?"},
      {head + " topk_ids.offset=-1", next + 16, "\"-1\"", "an integer in [0, 4294967295]"},
      {head + " gate.place=edge", next + 11, "\"edge\"", "one of middle, end, begin"},
      {head + " gate.pointer=nul", next + 13, "\"nul\"", "own, null, skewed+BYTES"},
      {head + " gate.pointer=skewed", next + 19, "nothing", "a sign and a number of bytes"},
      {head + " gate.pointer=hidden+-1", next + 19, "\"+-1\"", "a sign and a number of bytes"},
      {head + " gate.pointer=skewed+1 gate.pointer_bytes=2", next + 22, "a second time", "each field once"},
      {head + " out_ids.bits=[1]", next, "\"out_ids.bits\"", "bits of an input"},
      {head + " topk_ids.bits=1", next + 14, "\"1\"", "a list such as [0x1,0x2]"},
      {head + " topk_ids.bits=[1,,2]", next + 17, "nothing", "an element's bits"},
      {head + " topk_ids.bits=[1,0xg]", next + 17, "\"0xg\"", "an element's bits"},
      {head + " topk_ids.bits=[1,2", next + 18, "the end of the line", "\"]\""},
      {head + " topk_ids.bits=[1]x", next + 17, "\"x\"", "a blank"},
  };
  for (const Malformed& m : lines) {
    try {
      parse(m.line);
      ADD_FAILURE() << "accepted: " << m.line;
    } catch (const ParseError& e) {
      EXPECT_EQ(e.column, m.column) << m.line << "\n" << e.what();
      EXPECT_NE(std::string(e.what()).find(m.found), std::string::npos) << m.line << "\n" << e.what();
      EXPECT_NE(std::string(e.what()).find(m.expected), std::string::npos) << m.line << "\n" << e.what();
    }
  }
}

TEST(Text, IsACaseOrAParseErrorAfterAnyDamage) {
  Choices choices = Choices::random(1);
  int accepted = 0, refused = 0;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    choices.reseed(seed);
    std::string line = text(any_case(choices));
    for (uint64_t edits = choices.below(3) + 1; edits > 0; --edits) {
      const std::size_t at = choices.below(line.size());
      if (choices.chance(1, 2)) {
        line[at] = static_cast<char>(choices.below(256));
      } else {
        line.erase(at, choices.below(4));
      }
    }
    try {
      const Case c = parse(line);
      ASSERT_EQ(parse(text(c)), c) << line;
      ++accepted;
    } catch (const ParseError& e) {
      EXPECT_GE(e.column, 1u);
      EXPECT_LE(e.column, line.size() + 1) << line;
      ++refused;
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 100);
}

TEST(CaseFile, HoldsACaseALineWithCommentsAndALaw) {
  const CaseFile file = parse_file(
      "# A swapped row shows.\n"
      "# law: rows_are_independent\n"
      "\n"
      "append source=constant tokens=1 top_k=2 shared=1  # first\r\n"
      "   \t\n"
      "append source=gate tokens=0 top_k=2 shared=1",
      "edges/x.case");
  ASSERT_EQ(file.cases.size(), 2u);
  EXPECT_EQ(file.cases[1].source, TWINCHECK_GATE);
  EXPECT_EQ(file.lines, (std::vector<std::size_t>{4, 6}));
  EXPECT_EQ(file.law, "rows_are_independent");
  EXPECT_EQ(parse_file("", "x").cases.size(), 0u);
}

TEST(CaseFile, NamesFileLineAndColumnOfAnError) {
  try {
    parse_file("# fine\nappend source=constant tokens=1 top_k=2 sharde=1\n", "edges/x.case");
    FAIL();
  } catch (const FileError& e) {
    EXPECT_EQ(std::string(e.what()).rfind("edges/x.case:2:41: found \"sharde\", expected a field", 0), 0u) << e.what();
  }
}

TEST(CaseFile, ThatCannotBeReadIsAnErrorWithTheReason) {
  try {
    read_file("/nonexistent/x.case");
    FAIL();
  } catch (const FileError& e) {
    EXPECT_EQ(std::string(e.what()), "/nonexistent/x.case: cannot be read: No such file or directory");
  }
  EXPECT_THROW(read_file("/"), FileError);
}

TEST(CaseFile, IsReadFromDisk) {
  const std::string path = testing::TempDir() + "twincheck_case_file_test.case";
  std::ofstream(path) << kHead << "\n";
  EXPECT_EQ(read_file(path).cases.size(), 1u);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace twincheck
