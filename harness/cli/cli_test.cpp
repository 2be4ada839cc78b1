// The program as people meet it: its words, its files, its exit statuses.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "harness/cli/cli_test_support.h"

namespace {

namespace fs = std::filesystem;
using namespace twincheck::test;

std::string replay_line(const std::string& out) {
  std::smatch match;
  return std::regex_search(out, match, std::regex("replay: twincheck (replay .*)")) ? match[1].str() : "";
}

const std::string kQuick = "--no-corpus --law equals_reference --seed 5eed --cases 2000 ";

TEST_F(Cli, HelpIsThereForEveryVerb) {
  const Ran all = run("--help");
  EXPECT_EQ(all.status, 0);
  for (const std::string verb : {"gate", "verify", "replay", "shrink", "sweep", "golden", "mutants", "list"}) {
    EXPECT_TRUE(has(all.out, verb));
    const Ran r = run(verb + " --help");
    EXPECT_EQ(r.status, 0) << verb;
    EXPECT_TRUE(has(r.out, "Examples:")) << verb;
    EXPECT_TRUE(has(r.out, "--candidate")) << verb;
  }
  EXPECT_EQ(run("--version").status, 0);
}

TEST_F(Cli, WrongUsageEndsInTwo) {
  expect_unusable("", "no verb given, expected gate, verify,");
  expect_unusable("frobnicate", "'frobnicate' is no verb, expected gate, verify,");
  expect_unusable("verify --frobnicate", "--frobnicate");
  expect_unusable("verify --cases many", "--cases: found 'many'");
  expect_unusable("verify --cases -1", "--cases: found '-1'");
  expect_unusable("verify --seed xyz", "--seed: found 'xyz'");
  expect_unusable("verify --seconds 0", "--seconds: found '0'");
  expect_unusable("verify --jobs 0", "--jobs: found '0'");
  expect_unusable("verify --shard 3", "--shard: found '3'");
  expect_unusable("verify --shard 4/3", "--shard: found '4/3'");
  expect_unusable("verify --timeout nan", "--timeout: found 'nan'");
  expect_unusable("verify --platform tpu", "tpu");
  expect_unusable("verify --tier huge", "huge");
  expect_unusable("verify --memory-limit 0", "--memory-limit: found '0'");
  expect_unusable("verify --max-unsupported 101", "--max-unsupported: found '101'");
  expect_unusable("verify --law nonsense", "there is no law 'nonsense'");
  expect_unusable("verify --corpus /nowhere", "/nowhere is not a folder");
  expect_unusable("replay", "required");
}

TEST_F(Cli, AnAbsentLibraryOrPlatformEndsInTwo) {
  expect_unusable("verify --candidate ./nothing.so", "./nothing.so: no such file");
  expect_unusable("verify --candidate libnothing.so", "TWINCHECK_PATH");
  expect_unusable("verify --candidate " + kLibraries + "/libcandidate_bad_no_symbols.so", "exports no twincheck_abi");
  expect_unusable("verify --candidate " + kLibraries + "/libcandidate_bad_version.so", "version 2 of the ABI");
  expect_unusable("verify --candidate " + kLibraries + "/libcandidate_bad_dies_at_load.so", "SIGABRT");
  if (!has(run("list").out, "hip    here"))
    expect_unusable("verify --platform hip", "needs the platform hip, which is not here");
  if (!has(run("list").out, "cuda   here"))
    expect_unusable("gate --platform cuda", "needs the platform cuda, which is not here");
}

TEST_F(Cli, MalformedCasesAreShownWithLineAndColumn) {
  expect_unusable("replay 'append source=nonsense'", "column ");
  expect_unusable("replay nonsense", "'nonsense' is neither a file nor a case");
  write("bad.case", "# a comment\nappend source=constant tokens=1 top_k=1 shared=1\nappend source=constant tokens=x\n");
  expect_unusable("replay bad.case", "bad.case:3:");
  expect_unusable("shrink bad.case", "bad.case:3:");
  write("corpus/edges/bad.case", "append tokens\n");
  expect_unusable("verify --corpus corpus --candidate " + kIndependent, "bad.case:1:");
  write("empty.case", "# nothing\n");
  expect_unusable("replay empty.case", "no case in the files given");
}

TEST_F(Cli, ListSaysWhatIsHere) {
  const Ran r = run("list --candidate " + kIndependent);
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(has(r.out, "cpu    here"));
  EXPECT_TRUE(has(r.out, "equals_reference"));
  EXPECT_TRUE(has(r.out, "independent.plain"));
  for (const std::string platform : {"hip", "cuda"})
    EXPECT_TRUE(std::regex_search(r.out, std::regex(platform + " +(here|not here: [^\n]+)"))) << r.out;
}

TEST_F(Cli, ARightCandidatePasses) {
  const Ran r = run("verify " + kQuick + "--candidate " + kIndependent);
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "seed 0x5eed"));
  EXPECT_TRUE(has(r.out, kIndependent));
  EXPECT_TRUE(std::regex_search(r.out, std::regex("\n2000 cases in [0-9.]+ s, [0-9]+ cases/s\n"))) << r.out;
  EXPECT_TRUE(std::regex_search(r.out, std::regex("mean [0-9.]+ output elements a case; sources: constant [0-9.]+ %")));
  EXPECT_TRUE(has(r.out, "PASSED: independent.plain is right in 2000 cases"));
  EXPECT_FALSE(has(r.out, "\x1b")) << "no colours in a file";
}

TEST_F(Cli, TheSeedDecidesTheCases) {
  const std::string broken = "TAMPER=flip_appended_weight";
  const std::string common =
      "verify --no-corpus --law equals_reference --jobs 1 --cases 300 --save '' --candidate " + kTampering;
  const std::string first = replay_line(run(common + " --seed 0x12", broken).out);
  EXPECT_NE(first, "");
  EXPECT_EQ(first, replay_line(run(common + " --seed 12", broken).out));
  EXPECT_NE(first, replay_line(run(common + " --seed 13", broken).out));
  // Where none is given, verify takes another each time and prints it.
  const std::string a = run(common, broken).out, b = run(common, broken).out;
  EXPECT_NE(a.substr(0, a.find('\n')), b.substr(0, b.find('\n')));
}

TEST_F(Cli, AFailureEndsInACommandThatReplaysIt) {
  const std::string broken = "TAMPER=flip_appended_weight";
  const Ran r = run("verify " + kQuick + "--candidate " + kTampering, broken);
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(
      std::regex_search(r.out, std::regex("FAIL tampering.flip_appended_weight   law=appended_weights   generated case"
                                          " [0-9]+ of seed 0x5eed\n  out_weights\\[token=[0-9]+\\]\\[slot=[0-9]+, "
                                          "shared [0-9]+\\]  expected .*  got .*    [0-9]+ of [0-9]+ weights, 0 of")))
      << r.out;
  EXPECT_TRUE(has(r.out, "FAILED: tampering.flip_appended_weight is wrong"));
  const std::string line = replay_line(r.out);
  ASSERT_NE(line, "");
  const Ran again = run(line, broken);
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(has(again.out, "law=appended_weights")) << again.out;
  const Ran right = run(line);
  EXPECT_EQ(right.status, 0) << right.out;
}

TEST_F(Cli, FailuresAreSavedSmallAndTriedFirstNextTime) {
  const std::string broken = "TAMPER=wrong_routed_id";
  EXPECT_EQ(run("verify " + kQuick + "--candidate " + kTampering, broken).status, 1);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_ / "twincheck-failures")) files.push_back(entry.path());
  ASSERT_EQ(files.size(), 1u);
  const std::string text = contents(files[0]);
  EXPECT_TRUE(has(text, "# law: equals_reference\n")) << text;
  EXPECT_TRUE(has(text, "law=routed_ids"));
  EXPECT_TRUE(has(text, "\nappend source=constant tokens=1 top_k=1 shared=0\n")) << "shrunk: " << text;
  const Ran next =
      run("verify --cases 8 --law equals_reference --corpus twincheck-failures --candidate " + kTampering, broken);
  EXPECT_EQ(next.status, 1);
  EXPECT_TRUE(has(next.out, "1 saved failures")) << next.out;
  EXPECT_TRUE(has(next.out, "law=routed_ids   twincheck-failures/")) << next.out;
  EXPECT_EQ(run("replay --candidate " + kTampering + " twincheck-failures/*.case", broken).status, 1);
  EXPECT_EQ(run("replay --candidate " + kTampering + " twincheck-failures/*.case").status, 0);
}

TEST_F(Cli, ASavedSequenceLeadsToAFlakyFailureAgain) {
  for (const std::string name : {"cached_by_shape", "one_in_500", "stale_rows", "cached_by_pointer"}) {
    const std::string broken = "TAMPER=" + name;
    const Ran r = run("verify " + kQuick + "--jobs 1 --save saved --candidate " + kTampering, broken);
    EXPECT_EQ(r.status, 1) << name;
    EXPECT_TRUE(has(r.out, "FLAKY tampering." + name)) << r.out;
    EXPECT_TRUE(has(r.out, "did not repeat alone in a fresh process, but after others"));
    for (const auto& entry : fs::directory_iterator(folder_ / "saved")) {
      const std::string saved = contents(entry.path());
      EXPECT_EQ(has(saved, "replay: "), !has(saved, "# FLAKY")) << "the case alone does not show it: " << saved;
    }
    const Ran again = run(replay_line(r.out), broken);
    EXPECT_EQ(again.status, 1) << name << "\n" << again.out;
    EXPECT_TRUE(has(again.out, "failed 1")) << again.out;
    fs::remove_all(folder_ / "saved");
  }
}

TEST_F(Cli, ShrinkMakesASequenceShorterAndItsCasesSmaller) {
  const std::string stale = "TAMPER=stale_rows";
  write("sequence.case",
        "# law: equals_reference\n"
        "append source=constant tokens=40 top_k=6 shared=2\n"
        "append source=constant tokens=31 top_k=6 shared=3 scale=0.25\n"
        "append source=logits tokens=9 top_k=4 shared=1 seed=0x5\n"
        "append source=constant tokens=12 top_k=6 shared=3 scale=2\n");
  const Ran r = run("shrink --seconds 5 --save saved --candidate " + kTampering + " sequence.case", stale);
  EXPECT_EQ(r.status, 1) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "the last of 2 cases")) << r.out;
  const Ran again = run(replay_line(r.out), stale);
  EXPECT_EQ(again.status, 1) << again.out;
  EXPECT_TRUE(has(again.out, "2 of 2 cases: passed 1, failed 1")) << again.out;
  EXPECT_EQ(run(replay_line(r.out)).status, 0) << "nothing but stale rows is wrong";
  const std::string saved = contents(fs::directory_iterator(folder_ / "saved")->path());
  EXPECT_TRUE(std::regex_search(saved, std::regex("\n[^#\n]*tokens=2 top_k=[01] shared=[01]\\b[^\n]*"
                                                  "\n[^#\n]*tokens=1 top_k=[01] shared=[01]\\b[^\n]*\n$")))
      << saved;
}

TEST_F(Cli, ShrinkKeepsTheBrokenLaw) {
  const std::string large =
      "'append source=weights tokens=4096 top_k=9 shared=3 weights_dtype=bf16 base_id=300 seed=0x77 topk_ids.row_stride=20 "
      "out_ids.offset=3'";
  for (const auto& [name, law] : {std::pair{"flip_appended_weight", "appended_weights"},
                                  {"gap_topk_ids", "gaps"},
                                  {"guard_after_out_ids", "guards"},
                                  {"sigsegv", "no_crash"}}) {
    const auto start = std::chrono::steady_clock::now();
    const Ran r = run("shrink --seconds 2 --candidate " + kTampering + " " + large, std::string("TAMPER=") + name);
    EXPECT_EQ(r.status, 1) << r.out << r.err;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    EXPECT_TRUE(has(r.out, std::string("law=") + law)) << r.out;
    std::smatch match;
    const std::string line = replay_line(r.out);
    ASSERT_TRUE(std::regex_search(line, match, std::regex("tokens=([0-9]+) top_k=([0-9]+) shared=([0-9]+)"))) << r.out;
    EXPECT_LE(std::stoi(match[1]), 4) << line;
    EXPECT_LE(std::stoi(match[2]) + std::stoi(match[3]), 12) << line;
    EXPECT_EQ(run(line, std::string("TAMPER=") + name).status, 1) << line;
  }
  const Ran right = run("shrink --candidate " + kTampering + " " + large);
  EXPECT_EQ(right.status, 0);
  EXPECT_TRUE(has(right.out, "nothing to shrink")) << right.out;
}

// The recorded outputs, one a line.
std::vector<std::string> recorded_lines() {
  std::istringstream file(contents(TWINCHECK_CORPUS "/golden/append.jsonl"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The record with the first element of its array `field` replaced.
std::string with_first(const std::string& record, const std::string& field, const std::string& value) {
  const std::size_t at = record.find('[', record.find("\"" + field + "\"")) + 1;
  return record.substr(0, at) + value + record.substr(record.find_first_of(",]", at));
}

TEST_F(Cli, GoldenCountsWhatItComparedAndNamesLineCaseAndValue) {
  const std::vector<std::string> lines = recorded_lines();
  ASSERT_GT(lines.size(), 100u);
  const auto record = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return std::regex_search(line, std::regex("\"out_weights\": *\\[\"3[0-9a-f]{3}\"")) && has(line, "\"f16\"") &&
           std::regex_search(line, std::regex("\"out_ids\": *\\[[0-9]"));
  });
  ASSERT_NE(record, lines.end()) << "a record whose first weight is a number of 16 bits";
  write("right.jsonl", lines[0] + "\n\n" + *record + "\n");
  const Ran right = run("golden right.jsonl");
  EXPECT_EQ(right.status, 0) << right.out << right.err;
  EXPECT_TRUE(std::regex_search(
      right.out, std::regex("PASSED: right.jsonl: 2 records, [0-9]+ ids and [0-9]+ weights compared, 0 records wrong, 0 "
                            "skipped")))
      << right.out;
  for (const auto& [field, value, law] :
       {std::array{"out_ids", "999999", "routed_ids"}, std::array{"out_weights", "\"7e00\"", "routed_weights"}}) {
    write("wrong.jsonl", lines[0] + "\n\n" + with_first(*record, field, value) + "\n");
    const Ran wrong = run("golden wrong.jsonl");
    EXPECT_EQ(wrong.status, 1) << wrong.out << wrong.err;
    EXPECT_TRUE(has(wrong.out, std::string("law=") + law + "   wrong.jsonl:3\n")) << wrong.out;
    EXPECT_TRUE(has(wrong.out, std::string(field) + "[token=0][slot=0]  expected ")) << wrong.out;
    EXPECT_TRUE(has(wrong.out, "  case: append source=")) << wrong.out;
    EXPECT_TRUE(has(wrong.out, "FAILED: wrong.jsonl: 2 records")) << wrong.out;
  }
}

TEST_F(Cli, GoldenRunsTheRecordsInputsThroughACandidateToo) {
  write("few.jsonl", recorded_lines()[0] + "\n" + recorded_lines()[1] + "\n");
  const Ran right = run("golden few.jsonl --candidate " + kIndependent);
  EXPECT_EQ(right.status, 0) << right.out << right.err;
  EXPECT_TRUE(has(right.out, "PASSED: independent.plain is right in 2 cases")) << right.out;
  const Ran wrong = run("golden few.jsonl --candidate " + kTampering, "TAMPER=wrong_appended_id");
  EXPECT_EQ(wrong.status, 1) << wrong.out;
  EXPECT_TRUE(has(wrong.out, "law=appended_ids   few.jsonl:")) << wrong.out;
}

TEST_F(Cli, GoldenRefusesMalformedLinesByLineAndField) {
  const std::string good = recorded_lines()[0];
  const auto refused = [&](const std::string& line, const std::string& words) {
    write("bad.jsonl", good + "\n" + line + "\n");
    expect_unusable("golden bad.jsonl", "bad.jsonl:2: " + words);
  };
  refused(good.substr(0, good.size() / 2), "byte ");
  refused("[1, 2]", "not a JSON object, expected one object a line");
  refused(with_first(good, "out_ids", "1, 1"), "field out_ids: found ");
  refused(with_first(good, "out_weights", "\"zz\""), "field out_weights: found \"zz\", expected 4 hexadecimal digits");
  refused("{}", "field mode: found nothing, expected constant, weights, logits or gate");
  expect_unusable("golden nothing.jsonl", "nothing.jsonl: cannot be read");
  write("empty.jsonl", "\n");
  EXPECT_EQ(run("golden empty.jsonl").status, 2) << "nothing compared";
}

TEST_F(Cli, SweepsMeetEveryValueAndShowTheErrorsOfASigmoid) {
  const Ran r = run("sweep f16-bf16 bf16-sigmoid --candidate " + kIndependent);
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "twincheck sweep: f16-bf16, 65536 values: independent.plain"));
  EXPECT_TRUE(std::regex_search(r.out, std::regex("independent.plain f16-bf16: (65536|131072) values in"))) << r.out;
  EXPECT_TRUE(std::regex_search(r.out, std::regex("at most [0-9]+ ulp of f32 from the correctly rounded value, first at "
                                                  "0x[0-9a-f]+\n    0 ulp +[0-9]+\n")))
      << r.out;
  const Ran wrong = run("sweep f16-bf16 --candidate " + kTampering, "TAMPER=number_for_nan");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(std::regex_search(wrong.out, std::regex("law=appended_weights   sweep f16-bf16, from 0x0 on, (vector|scalar) "
                                                      "path")))
      << wrong.out;
  // Both paths, the last NaN of each wrong, all 2046 of each counted.
  EXPECT_TRUE(std::regex_search(wrong.out, std::regex("f16-bf16: 131072 values in [0-9.]+ s, not all right, 2 wrong, first "
                                                      "at 0xffff; at most 0 ulp of bf16 from the correctly rounded value\n"
                                                      "    0 ulp +126980\n    NaN +4090\n    NaN or not +2\n")))
      << wrong.out;
  EXPECT_TRUE(has(wrong.out, "the smallest case found"));
  EXPECT_TRUE(has(wrong.out, "'append source=weights tokens=1 top_k=0 shared=1 shared_dtype=f16 shared.bits=[0x"))
      << wrong.out;
  EXPECT_NE(replay_line(wrong.out), "");
  expect_unusable("sweep f64-f32", "there is no sweep 'f64-f32', expected one of: f32-bf16, ");
}

TEST_F(Cli, ClassesShowHowARunsCasesAreDistributed) {
  const Ran r = run("verify " + kQuick + "--classes --candidate " + kIndependent);
  EXPECT_EQ(r.status, 0) << r.out;
  for (const std::string line : {"source \\(of 2000 all\\)  constant [0-9.]+ %", "in_place \\(of [0-9]+ valid\\)  none ",
                                 "overlap \\(of [0-9]+ invalid\\)  outputs "})
    EXPECT_TRUE(std::regex_search(r.out, std::regex("\n" + line))) << line << "\n" << r.out;
  EXPECT_FALSE(has(run("verify " + kQuick + "--candidate " + kIndependent).out, "(of 2000 all)"));
}

TEST_F(Cli, MemoryIsLimitedByWhatIsResident) {
  const Ran r =
      run("verify --no-corpus --law equals_reference --seed 5eed --cases 64 --jobs 1 --memory-limit 256M --save '' "
          "--candidate " +
              kTampering,
          "TAMPER=grows");
  EXPECT_EQ(r.status, 1) << r.out;
  EXPECT_TRUE(std::regex_search(r.out, std::regex("resident memory [0-9.]+ [MG]iB, past the limit of 256"))) << r.out;
}

TEST_F(Cli, ReplayShowsBothMatricesAndMarksTheDifference) {
  const std::string arguments =
      "replay --candidate " + kTampering + " append source=constant tokens=2 top_k=1 shared=2 base_id=7";
  const Ran wrong = run(arguments, "TAMPER=wrong_appended_id");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(has(wrong.out, "out_ids expected\n")) << wrong.out;
  EXPECT_TRUE(has(wrong.out, "!9!")) << wrong.out;
  EXPECT_TRUE(has(wrong.out, "0x3f800000 (1)")) << wrong.out;
  const Ran right = run(arguments);
  EXPECT_EQ(right.status, 0);
  EXPECT_TRUE(has(right.out, "passed tampering.right")) << right.out;
}

TEST_F(Cli, NothingComparedIsNotGreen) {
  const Ran unsupported = run("verify " + kQuick + "--candidate " + kTampering, "TAMPER=unsupported");
  EXPECT_EQ(unsupported.status, 2) << unsupported.out;
  EXPECT_TRUE(has(unsupported.out, "no output element of a valid case was compared"));
  EXPECT_TRUE(std::regex_search(unsupported.out, std::regex("unsupported (2000|19[0-9][0-9])\n"))) << unsupported.out;
  const Ran refused = run("replay --candidate " + kIndependent + " append source=constant tokens=-1 top_k=1 shared=1");
  EXPECT_EQ(refused.status, 2) << refused.out;
  EXPECT_EQ(run("verify --no-corpus --cases 0 --candidate " + kIndependent).status, 2);
}

TEST_F(Cli, TooMuchUnsupportedFails) {
  const std::string some = "TAMPER=unsupported_gate";
  const Ran r = run("verify " + kQuick + "--candidate " + kTampering, some);
  EXPECT_EQ(r.status, 0) << r.out;
  EXPECT_TRUE(has(r.out, "source: gate (")) << r.out;
  EXPECT_EQ(run("verify " + kQuick + "--max-unsupported 60 --candidate " + kTampering, some).status, 0);
  const Ran strict = run("verify " + kQuick + "--max-unsupported 1 --candidate " + kTampering, some);
  EXPECT_EQ(strict.status, 1);
  EXPECT_TRUE(has(strict.out, "--max-unsupported")) << strict.out;
}

TEST_F(Cli, ShardsAreDisjointAndComplete) {
  uint64_t cases = 0;
  for (int shard = 1; shard <= 3; ++shard) {
    const Ran r = run("verify --no-corpus --law equals_reference --seed 1 --cases 1001 --shard " + std::to_string(shard) +
                      "/3 --candidate " + kIndependent);
    EXPECT_EQ(r.status, 0) << r.out;
    std::smatch match;
    ASSERT_TRUE(std::regex_search(r.out, match, std::regex("\n([0-9]+) cases in "))) << r.out;
    cases += std::stoull(match[1]);
  }
  EXPECT_EQ(cases, 1001u);
  const Ran empty = run("verify --no-corpus --cases 5 --shard 3/3 --candidate " + kIndependent);
  const Ran other = run("verify --no-corpus --cases 5 --shard 2/3 --candidate " + kIndependent);
  EXPECT_EQ(other.status, 0);
  EXPECT_TRUE(has(other.out, "is empty")) << other.out << empty.out;
}

TEST_F(Cli, QuietSaysLittle) {
  const Ran r = run("verify --quiet " + kQuick + "--candidate " + kIndependent);
  EXPECT_EQ(r.status, 0);
  EXPECT_LE(std::count(r.out.begin(), r.out.end(), '\n'), 6) << r.out;
  EXPECT_TRUE(has(r.out, "PASSED"));
  EXPECT_TRUE(has(r.out, "cases/s"));
}

TEST_F(Cli, SeveralCandidatesAreJudgedSideBySide) {
  const Ran r =
      run("verify " + kQuick + "--candidate " + kIndependent + " --candidate " + kTampering, "TAMPER=does_nothing");
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(has(r.out, "PASSED: independent.plain")) << r.out;
  EXPECT_TRUE(has(r.out, "FAILED: tampering.does_nothing")) << r.out;
}

// Processes that have the mark in their environment.
int marked_processes(const std::string& mark) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const bool zombie = line.find(") Z") != std::string::npos;
    if (!zombie && has(contents(entry.path() / "environ"), mark)) ++count;
  }
  return count;
}

TEST_F(Cli, CtrlCEndsARunAtOnceWithItsSummaryAndLeavesNothing) {
  struct Interrupted {
    const char *behaviour, *arguments;
    int status;
    const char *said, *not_said;
  };
  const std::string verify =
      "verify --seconds 600 --no-corpus --timeout 600 --law equals_reference --candidate " + kTampering;
  const std::string one = " --timeout 600 --candidate " + kTampering + " append source=constant tokens=4 top_k=2 shared=1";
  const std::string replay = "replay" + one, shrink = "shrink" + one;
  const std::string loading = "verify --candidate " TWINCHECK_TEST_LIBRARIES "/libcandidate_bad_sleeps_at_load.so";
  const std::string golden = "golden " TWINCHECK_CORPUS "/golden/append.jsonl --timeout 600 --candidate " + kTampering;
  std::string golden_alone = "golden";
  for (int i = 0; i < 200; ++i) golden_alone += " " TWINCHECK_CORPUS "/golden/append.jsonl";
  for (const Interrupted& run :
       {Interrupted{"right", verify.c_str(), 130, "cases/s", "FAIL"},
        Interrupted{"sleeps", verify.c_str(), 130, "", "CRASH"},
        Interrupted{"wrong_routed_id", verify.c_str(), 1, "cases/s", "CRASH"},
        Interrupted{"one_in_500", verify.c_str(), 1, "cases/s", "CRASH"},
        Interrupted{"sleeps", replay.c_str(), 130, "0 of 1 cases", "CRASH"},
        Interrupted{"sleeps", shrink.c_str(), 130, "", "CRASH"}, Interrupted{"sleeps", golden.c_str(), 130, "", "CRASH"},
        Interrupted{"right", golden_alone.c_str(), 130, "weights compared", "FAILED"},
        Interrupted{"right", loading.c_str(), 130, "", "ended its process"},
        Interrupted{"right", "sweep f32-bf16 --platform cpu", 130, "all right as far as it came", "PASSED"},
        Interrupted{"right", "gate --platform cpu --seconds 600", 130, "as far as it came", "FAIL"}}) {
    const std::string mark = "TWINCHECK_TEST_MARK=" + std::to_string(getpid()) + run.behaviour;
    const int status = interrupt(run.arguments, mark + " TAMPER=" + run.behaviour, std::chrono::milliseconds(1500));
    const std::string out = contents(folder_ / "out.txt");
    EXPECT_EQ(status, run.status) << run.behaviour << " " << run.arguments << "\n" << out;
    EXPECT_TRUE(has("\n" + out, "\ninterrupted\n")) << run.arguments << "\n" << out;
    EXPECT_TRUE(has(out, run.said)) << run.arguments << "\n" << out;
    EXPECT_FALSE(has(out, run.not_said)) << run.arguments << "\n" << out;
    EXPECT_EQ(marked_processes(mark), 0) << run.arguments;
  }
}

TEST_F(Cli, GateJudgesTheProjectsOwnCandidates) {
  write("corpus/models/one.case", "append source=constant tokens=2 top_k=8 shared=1 base_id=64\n");
  const Ran r = run("gate --platform cpu --tier smoke --seconds 0.5 --law equals_reference --corpus corpus");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  for (const std::string candidate : {"cpu.fused", "cpu.unfused"}) {
    EXPECT_TRUE(has(r.out, candidate + " corpus: 1 cases")) << r.out;
    EXPECT_TRUE(has(r.out, "PASSED: " + candidate)) << r.out;
  }
}

}  // namespace
