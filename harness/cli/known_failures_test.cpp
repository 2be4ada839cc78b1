// --known-failures: what is expected does not fail a run, what is not does, and nothing is expected for ever.
#include "harness/cli/known_failures.h"

#include <gtest/gtest.h>

#include "harness/cli/cli_test_support.h"
#include "harness/cli/options.h"
#include "harness/report/formats_test_support.h"

namespace {

using namespace twincheck;
using namespace twincheck::test;

std::string entry(const std::string& law, const std::string& pattern, const std::string& on = "*",
                  const std::string& expires = "2999-12-31") {
  return "law: " + law + "\ncase: " + pattern + "\non: " + on +
         "\nreason: the rounding of a weight\nlink: https://example.org/1\nexpires: " + expires + "\n";
}

class KnownFailures : public Cli {
 protected:
  std::vector<KnownFailure> read(const std::string& text) {
    write("known.txt", text);
    return read_known_failures((folder_ / "known.txt").string());
  }
  Ran verify(const std::string& known, const std::string& candidate, const std::string& tamper,
             const std::string& more = "--law equals_reference --cases 400") {
    write("known.txt", known);
    return run("verify --no-corpus --seed 5eed --save '' --report report --known-failures known.txt " + more +
                   " --candidate " + candidate,
               "TAMPER=" + tamper);
  }
  Json report() {
    const Json document = Json::parse(contents(folder_ / "report" / "results.json"));
    EXPECT_EQ(Schema(Json::parse(contents(TWINCHECK_RESULTS_SCHEMA))).violations(document), std::vector<std::string>{});
    return document;
  }
  // The test case of the only known failure: "skipped", "failure", "system-out".
  std::string junit() {
    const Element root = Xml::parse(contents(folder_ / "report" / "junit.xml"));
    for (const Element* c : root.all("testcase"))
      if (c->attribute("classname") == "twincheck.known") return c->children.at(0).name;
    return "";
  }
};

TEST_F(KnownFailures, WhatIsExpectedIsKnownAndTheRunIsGreen) {
  const Ran r = verify(entry("appended_weights", "*"), kTampering, "flip_appended_weight");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_FALSE(has(r.out, "FAIL")) << r.out;
  const Json document = report();
  EXPECT_EQ(document["failures"].size(), 0u);
  const Json& known = document["known_failures"][0];
  EXPECT_EQ(known["state"], "fails");
  EXPECT_EQ(known["tried"], 400);
  EXPECT_GT(known["failed"], 200);
  EXPECT_EQ(known["failed"], document["verdicts"]["known"]);
  EXPECT_TRUE(has(known["replay"], "twincheck replay --candidate ")) << known;
  EXPECT_EQ(junit(), "skipped");
}

TEST_F(KnownFailures, ACaseThatIsNotAsTheyAreFails) {
  const Ran r = verify(entry("equals_reference", "source=constant weights_dtype=f32"), kTampering, "flip_appended_weight");
  EXPECT_EQ(r.status, 1) << r.out << r.err;
  const Json document = report();
  ASSERT_EQ(document["failures"].size(), 1u);
  EXPECT_FALSE(has(document["failures"][0]["found_as"], "source=constant") &&
               !has(document["failures"][0]["found_as"], "weights_dtype="))
      << document["failures"][0];
  EXPECT_EQ(document["known_failures"][0]["state"], "fails");
  EXPECT_GT(document["verdicts"]["failed"], 0);
  EXPECT_GT(document["verdicts"]["known"], 0);
}

TEST_F(KnownFailures, AnotherPromiseOrLawIsNoneOfIt) {
  EXPECT_EQ(verify(entry("guards", "*"), kTampering, "flip_appended_weight").status, 1);
  EXPECT_EQ(verify(entry("rows_permute", "*"), kTampering, "flip_appended_weight").status, 1);
  EXPECT_EQ(report()["known_failures"][0]["state"], "not_met") << "no case was tried by that law";
}

TEST_F(KnownFailures, ADeathIsKnownToo) {
  const Ran r = verify(entry("no_crash", "tokens=*"), kTampering, "sigsegv", "--law equals_reference --jobs 1 --cases 12");
  EXPECT_EQ(r.status, 2) << "and as every case dies, nothing was compared\n" << r.out << r.err;
  EXPECT_EQ(report()["verdicts"]["crashed"], 0);
  EXPECT_EQ(report()["known_failures"][0]["failed"], report()["verdicts"]["known"]);
}

TEST_F(KnownFailures, OneThatPassesIsTold) {
  const Ran r = verify(entry("appended_weights", "source=gate"), kIndependent, "");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "KNOWN FAILURE PASSES: known.txt:1: law appended_weights holds in all of ")) << r.out;
  EXPECT_EQ(report()["known_failures"][0]["state"], "passes");
  EXPECT_GT(report()["known_failures"][0]["tried"], 40);
  EXPECT_EQ(junit(), "system-out");
  EXPECT_TRUE(has(run("verify --no-corpus --cases 400 --save '' --known-failures known.txt --candidate " + kIndependent,
                      "GITHUB_ACTIONS=true")
                      .out,
                  "::warning title=known failure passes,file=known.txt,line=1::take it out"));
}

TEST_F(KnownFailures, OneThatHasExpiredFailsTheRun) {
  const Ran r = verify(entry("appended_weights", "*", "*", "2020-02-29"), kIndependent, "");
  EXPECT_EQ(r.status, 1) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "FAIL known.txt:1   the known failure of law appended_weights expired on 2020-02-29")) << r.out;
  EXPECT_EQ(report()["known_failures"][0]["state"], "expired");
  EXPECT_EQ(junit(), "failure");
  EXPECT_EQ(verify(entry("appended_weights", "*", "*", "2020-02-29"), kTampering, "flip_appended_weight").status, 1);
  EXPECT_EQ(report()["failures"].size(), 1u) << "it excuses nothing";
}

TEST_F(KnownFailures, OneOfAnotherDeviceOrCandidateIsLeftAlone) {
  EXPECT_EQ(verify(entry("appended_weights", "*", "gfx942"), kTampering, "flip_appended_weight").status, 1);
  EXPECT_EQ(report()["known_failures"][0]["state"], "elsewhere");
  EXPECT_EQ(verify(entry("appended_weights", "*", "gfx942", "2020-01-01"), kIndependent, "").status, 0);
  EXPECT_EQ(verify("candidate: other.fused\n" + entry("*", "*"), kTampering, "flip_appended_weight").status, 1);
  EXPECT_EQ(
      verify("candidate: tampering.flip_appended_weight\n" + entry("*", "*", "cpu"), kTampering, "flip_appended_weight")
          .status,
      0);
  EXPECT_EQ(junit(), "skipped");
}

TEST_F(KnownFailures, AnArchitectureIsTheDevicesOwn) {
  const KnownFailure k = read(entry("*", "*", "gfx90a"))[0];
  EXPECT_TRUE(k.applies("hip.fused", "hip", "gfx90a:sramecc+:xnack-"));
  EXPECT_FALSE(k.applies("hip.fused", "hip", "gfx908"));
  EXPECT_FALSE(k.applies("cpu.fused", "cpu", ""));
  const std::string out = run("list", "LD_LIBRARY_PATH=" + kLibraries + "/fake_hip").out;
  EXPECT_TRUE(has(out, "device 0: AMD Instinct MI300X (gfx942)   device 1: Radeon gfx (gfx1100)")) << out;
}

TEST_F(KnownFailures, AFileIsReadAsItIsWritten) {
  const auto all = read("# ours\n\n" + entry("*", "*") + "\n\n# two\n" + entry("guards", "tokens=1? source=gate", "hip"));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].line, 3);
  EXPECT_EQ(all[1].line, 12);
  EXPECT_EQ(all[1].pattern(), "tokens=1? source=gate");
  const auto meets = [&](const std::string& c) { return all[1].meets("rows_permute", full_text(parse("append " + c))); };
  EXPECT_TRUE(meets("source=gate tokens=12 top_k=8 shared=1 hidden=8"));
  EXPECT_FALSE(meets("source=gate tokens=1 top_k=8 shared=1 hidden=8"));
  EXPECT_FALSE(meets("source=constant tokens=12 top_k=8 shared=1"));
  const KnownFailure defaults = read(entry("*", "weights_dtype=f32 in_place=none out_ids.row_stride=1*"))[0];
  EXPECT_TRUE(defaults.meets("sequence",
                             full_text(parse("append source=constant tokens=2 top_k=8 shared=1 out_ids.row_stride=16"))));
  EXPECT_FALSE(defaults.meets("sequence", full_text(parse("append source=constant tokens=2 top_k=8 shared=1"))));
}

TEST_F(KnownFailures, WhatCannotBeReadIsNamedWithItsLine) {
  const auto says = [&](const std::string& text, const std::string& words) {
    write("known.txt", text);
    expect_unusable("verify --known-failures known.txt --candidate " + kIndependent, words);
  };
  says("law: nothing\n", "known.txt:1: found law: 'nothing', expected a law of");
  says("\n# x\nlwa: *\n", "known.txt:3: found 'lwa: *', expected one of law, case, on, candidate, reason, link, expires");
  says("law:\n", "known.txt:1: found law: without a value");
  says("law: *\nlaw: *\n", "known.txt:2: found law: a second time");
  says("law: *\ncase: token=1\n", "known.txt:2: found case: 'token=1', expected FIELD=VALUE");
  says(entry("*", "*", "*", "2023-02-29"), "known.txt:6: found expires: '2023-02-29', expected a date");
  says(entry("*", "*") + "\nlaw: *\ncase: *\n", "known.txt:8: found an entry without on:");
  expect_unusable("verify --known-failures absent.txt --candidate " + kIndependent, "absent.txt cannot be read");
}

}  // namespace
