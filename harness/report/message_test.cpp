#include "harness/report/message.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "harness/report/bytes.h"

namespace twincheck {
namespace {

Report wrong_weight() {
  Report r;
  r.verdict = Verdict::kFailed;
  r.law = "appended_weights";
  r.mismatches.push_back({true, 1, 8, 0, "0x4020 (2.5)", "0x401f (2.484375)"});
  r.ids_compared = r.weights_compared = 20;
  r.weights_wrong = 1;
  return r;
}

Context context() {
  Context c;
  c.candidate = "cuda.fused";
  c.origin = "corpus/regressions/0007-bf16-halfway.case";
  c.replay = "twincheck replay 'append source=weights tokens=2 top_k=8 shared=2'";
  return c;
}

TEST(FailureMessage, HasTheDesignsForm) {
  EXPECT_EQ(
      failure_message(wrong_weight(), context(), {}),
      "FAIL cuda.fused   law=appended_weights   corpus/regressions/0007-bf16-halfway.case\n"
      "  out_weights[token=1][slot=8, shared 0]  expected 0x4020 (2.5)  got 0x401f (2.484375)    1 of 20 weights, 0 of "
      "20 ids\n"
      "  guards intact, inputs unchanged, all slots written\n"
      "  replay: twincheck replay 'append source=weights tokens=2 top_k=8 shared=2'\n");
}

TEST(FailureMessage, ShowsTenMismatchesAndCountsTheRest) {
  Report r = wrong_weight();
  r.mismatches.assign(12, r.mismatches[0]);
  r.weights_wrong = 15;
  const std::string text = failure_message(r, context(), {});
  std::size_t shown = 0;
  for (std::size_t at = text.find("out_weights["); at != std::string::npos; at = text.find("out_weights[", at + 1)) ++shown;
  EXPECT_EQ(shown, 10u);
  EXPECT_NE(text.find("and 5 more"), std::string::npos) << text;
}

TEST(FailureMessage, SaysNothingOfGuardsAfterADeath) {
  Report r;
  r.verdict = Verdict::kCrashed;
  r.law = "no_crash";
  r.detail = "SIGSEGV in the call";
  const std::string text = failure_message(r, context(), {});
  EXPECT_EQ(text.rfind("CRASH cuda.fused   law=no_crash", 0), 0u) << text;
  EXPECT_NE(text.find("SIGSEGV in the call"), std::string::npos);
  EXPECT_EQ(text.find("guards"), std::string::npos) << text;
}

TEST(FailureMessage, DisarmsWhatACandidatePrints) {
  Context c = context();
  c.output = "\x1b[2Jhidden\r\nnext";
  const std::string text = failure_message(wrong_weight(), c, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_NE(text.find("    | next\n"), std::string::npos) << text;
}

TEST(FailureMessage, HasTheSameWordsInColour) {
  std::string colored = failure_message(wrong_weight(), context(), {.color = true});
  EXPECT_NE(colored, failure_message(wrong_weight(), context(), {}));
  for (std::size_t at = colored.find('\x1b'); at != std::string::npos; at = colored.find('\x1b'))
    colored.erase(at, colored.find('m', at) - at + 1);
  EXPECT_EQ(colored, failure_message(wrong_weight(), context(), {}));
}

TEST(Style, IsPlainWhereTheOutputIsNoTerminalOrColoursAreUnwanted) {
  EXPECT_FALSE(style_for(/*descriptor=*/-1, /*no_color=*/false).color);
  EXPECT_FALSE(style_for(1, /*no_color=*/true).color);
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(style_for(1, false).color);
  unsetenv("NO_COLOR");
}

TEST(ShellWord, SurvivesAShell) {
  EXPECT_EQ(shell_word("./libmine.so"), "./libmine.so");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(RateLine, HasPlainDigits) {
  Totals t;
  t.cases = 1234567;
  t.seconds = 10.04;
  EXPECT_EQ(rate_line(t), "1234567 cases in 10.0 s, 122965 cases/s");
}

TEST(RateLine, OfNothingIsZero) { EXPECT_EQ(rate_line({}), "0 cases in 0.0 s, 0 cases/s"); }

TEST(DistributionLine, HasTheMeanAndEverySource) {
  Totals t;
  t.cases = 4;
  t.sources = {1, 1, 2, 0};
  t.ids_compared = 300;
  t.weights_compared = 301;
  EXPECT_EQ(distribution_line(t),
            "mean 150.2 output elements a case; sources: constant 25.0 %, weights 25.0 %, logits 50.0 %, gate 0.0 %");
}

TEST(ReportBytes, GiveTheReportBack) {
  Report r = wrong_weight();
  r.detail = "byte 3 after out_ids";
  r.guards_intact = false;
  r.expected_status = Status::kOverlap;
  r.got_status = -7;
  const Report back = report_from(to_bytes(r));
  EXPECT_EQ(failure_message(back, context(), {}), failure_message(r, context(), {}));
  EXPECT_EQ(back.verdict, r.verdict);
  EXPECT_EQ(back.expected_status, r.expected_status);
  EXPECT_EQ(back.got_status, r.got_status);
  EXPECT_EQ(back.mismatches[0].token, 1);
}

TEST(ReportBytes, StayWithinTheirBound) {
  Report r = wrong_weight();
  const std::string endless(1 << 20, 'x');
  r.law = r.detail = r.mismatches[0].expected = r.mismatches[0].got = endless;
  r.mismatches.assign(100, r.mismatches[0]);
  const std::string bytes = to_bytes(r);
  EXPECT_LE(bytes.size(), kReportBytes);
  EXPECT_EQ(report_from(bytes).mismatches.size(), 10u);
}

TEST(ReportBytes, ThatWereScribbledOverAreACrash) {
  const std::string bytes = to_bytes(wrong_weight());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const Report r = report_from(bytes.substr(0, length));
    EXPECT_EQ(r.verdict, Verdict::kCrashed) << length;
    EXPECT_EQ(r.law, "no_crash");
  }
  EXPECT_EQ(report_from(std::string(100, '\xff')).verdict, Verdict::kCrashed);
}

}  // namespace
}  // namespace twincheck
