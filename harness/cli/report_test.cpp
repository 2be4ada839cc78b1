// --report with real runs: what the files say is what happened, however the run ends.
#include <gtest/gtest.h>

#include "harness/cli/cli_test_support.h"
#include "harness/report/formats_test_support.h"
#include "properties/law.h"

namespace {

namespace fs = std::filesystem;
using namespace twincheck::test;

class ReportFiles : public Cli {
 protected:
  // The report in DIR, which must be of the schema, with a junit.xml that says the same.
  Json report(const std::string& dir = "report") {
    const Json document = Json::parse(contents(folder_ / dir / "results.json"));
    const Schema schema(Json::parse(contents(TWINCHECK_RESULTS_SCHEMA)));
    EXPECT_EQ(schema.violations(document), std::vector<std::string>{});
    const Json sarif = Json::parse(contents(folder_ / dir / "results.sarif"));
    EXPECT_EQ(sarif["version"], "2.1.0");
    EXPECT_GE(sarif["runs"][0]["results"].size(), document["failures"].size());
    const Element junit = Xml::parse(contents(folder_ / dir / "junit.xml"));
    const bool wrong = junit.attribute("failures") != "0" || junit.attribute("errors") != "0";
    EXPECT_EQ(wrong, document["exit_status"] != 0) << contents(folder_ / dir / "junit.xml");
    for (const auto& entry : fs::directory_iterator(folder_ / dir))
      EXPECT_NE(entry.path().extension(), ".tmp") << "something unfinished stays behind";
    return document;
  }
};

uint64_t sum(const Json& numbers) {
  uint64_t total = 0;
  for (const Json& n : numbers) total += n.is_array() ? sum(n) : n.get<uint64_t>();
  return total;
}

const std::string kSome = "--no-corpus --seed 5eed --cases 2000 --report report ";

TEST_F(ReportFiles, AGreenRunHasEveryLawEveryPlaceAndEveryClass) {
  const Ran r = run("verify " + kSome + "--candidate " + kIndependent);
  ASSERT_EQ(r.status, 0) << r.out << r.err;
  const Json document = report();
  EXPECT_EQ(document["verdict"], "passed");
  EXPECT_EQ(document["seed"], "0x5eed");
  EXPECT_EQ(document["cases"], 2000);
  ASSERT_EQ(document["candidates"].size(), 1u);
  const Json& candidate = document["candidates"][0];
  EXPECT_EQ(candidate["name"], "independent.plain");
  EXPECT_EQ(candidate["verdict"], "passed");
  EXPECT_EQ(candidate["laws"].size(), twincheck::laws().size());  // of those about devices it has no cases
  EXPECT_EQ(document["laws"].size(), twincheck::laws().size() + twincheck::device_laws().size());
  uint64_t cases = 0;
  double seconds = 0;
  for (const Json& law : candidate["laws"]) {
    cases += law["cases"].get<uint64_t>();
    seconds += law["seconds"].get<double>();
    EXPECT_GT(law["cases"], 0) << law;
    EXPECT_GT(law["seconds"], 0) << law;
  }
  EXPECT_EQ(cases, 2000u);
  EXPECT_LT(seconds, candidate["seconds"].get<double>() * document["jobs"].get<double>());
  for (const Json& grid : candidate["grids"]) {
    EXPECT_LE(sum(grid["cases"]), 2000u);
    EXPECT_GE(sum(grid["cases"]), 1900u) << grid["name"];
    EXPECT_EQ(sum(grid["failures"]), 0u);
    EXPECT_EQ(grid["cases"].size(), grid["rows"].size());
    EXPECT_EQ(grid["cases"][0].size(), grid["columns"].size());
  }
  EXPECT_GT(candidate["classes"].size(), 100u);
  EXPECT_EQ(document["stages"][0]["complete"], true);
}

TEST_F(ReportFiles, ALawIsFoundAtItsLine) {
  ASSERT_EQ(run("list --report report").status, 0);
  const Json document = report();
  EXPECT_GT(document["laws"].size(), 15u);
  for (const Json& law : document["laws"]) {
    std::ifstream file(fs::path(TWINCHECK_SOURCE) / law["file"].get<std::string>());
    std::string before, line;
    for (int i = 0; i < law["line"]; ++i) {
      before = line;
      std::getline(file, line);
    }
    EXPECT_TRUE(has(before, ".name = \"" + law["name"].get<std::string>() + "\",")) << law << "\n" << before;
    EXPECT_TRUE(has(line, ".line = ")) << law << "\n" << line;
  }
}

TEST_F(ReportFiles, FiveFailuresAreFiveRecordsWithReplayLinesAndMatrices) {
  const Ran r = run("verify " + kSome + "--max-failures 5 --candidate " + kTampering, "TAMPER=flip_appended_weight");
  ASSERT_EQ(r.status, 1) << r.out << r.err;
  const Json document = report();
  EXPECT_EQ(document["verdict"], "failed");
  EXPECT_EQ(document["candidates"][0]["stopped"], true);
  ASSERT_EQ(document["failures"].size(), 5u);
  for (const Json& failure : document["failures"]) {
    EXPECT_EQ(failure["verdict"], "failed");
    EXPECT_GE(failure["count"], 1);
    EXPECT_FALSE(failure["mismatches"].empty()) << failure;
    EXPECT_FALSE(failure["found_as"].get<std::string>().empty()) << "a smaller case";
    const std::string replay = failure["replay"];
    ASSERT_EQ(replay.rfind("twincheck replay --candidate ", 0), 0u) << replay;
    EXPECT_EQ(run(replay.substr(std::string("twincheck ").size()), "TAMPER=flip_appended_weight").status, 1) << replay;
    EXPECT_TRUE(fs::exists(folder_ / failure["saved"].get<std::string>())) << failure["saved"];
    std::size_t marked = 0;
    for (const Json& matrix : failure["matrices"])
      for (const Json& cell : matrix["cells"]) marked += cell["wrong"] == true && cell["expected"] != cell["got"];
    // A law that changes the case to break it says with what.
    EXPECT_EQ(marked > 0, !has(failure["detail"], "with ")) << failure;
  }
  uint64_t in_grid = sum(document["candidates"][0]["grids"][0]["failures"]);
  EXPECT_EQ(in_grid, document["candidates"][0]["failures"]);
}

// The page as a browser draws it, after a script that a test adds. Empty where there is no browser.
std::string drawn(const fs::path& report, const std::string& script = "") {
  const fs::path page = report.parent_path() / "page.html";
  std::ofstream(page) << contents(report) << "<script>{" << script << "}</script>";
  const std::string out = (page.parent_path() / "dom.html").string(), log = (page.parent_path() / "log.txt").string();
  for (const std::string browser : {"chromium", "chromium-browser", "google-chrome"}) {
    if (std::system((browser + " --version >/dev/null 2>&1").c_str()) != 0) continue;
    const std::string command =
        browser + " --headless --no-sandbox --disable-gpu --enable-logging=stderr --user-data-dir='" +
        (page.parent_path() / "browser").string() + "' --virtual-time-budget=2000 --dump-dom 'file://" + page.string() +
        "' >'" + out + "' 2>'" + log + "'";
    if (std::system(command.c_str()) != 0) return "";
    return contents(out) + (has(contents(log), "CONSOLE") ? "CONSOLE: " + contents(log) : "");
  }
  return "";
}

std::size_t occurrences(const std::string& text, const std::string& words) {
  std::size_t n = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++n;
  return n;
}

TEST_F(ReportFiles, ABrowserDrawsThePageOfAGreenRunAndOfOneWithFiveFailures) {
  ASSERT_EQ(run("verify " + kSome + "--candidate " + kIndependent).status, 0);
  const std::string green = drawn(folder_ / "report" / "index.html");
  if (green.empty()) GTEST_SKIP() << "not here: package chromium";
  EXPECT_TRUE(has(green, ">PASSED</h1>")) << green;
  EXPECT_TRUE(has(green, "2,000 cases"));
  EXPECT_EQ(occurrences(green, "<article"), 0u);
  EXPECT_GT(occurrences(green, ">right</span>"), 15u) << "laws";
  ASSERT_EQ(run("verify " + kSome + "--max-failures 5 --candidate " + kTampering, "TAMPER=flip_appended_weight").status, 1);
  const std::string red = drawn(folder_ / "report" / "index.html");
  EXPECT_TRUE(has(red, ">FAILED</h1>")) << red;
  EXPECT_EQ(occurrences(red, "<article id=\"failure-"), 5u);
  EXPECT_EQ(occurrences(red, "Copy the command that replays it"), 5u);
  EXPECT_GE(occurrences(red, "<td class=\"differs\""), 4u);
  for (const std::string& page : {green, red}) EXPECT_FALSE(has(page, "CONSOLE: ")) << page;
}

// What the script of the test below notes, "key: value".
std::string noted(const std::string& page, const std::string& key) {
  const std::string mark = "data-" + key + "=\"";
  const std::size_t at = page.find(mark);
  return at == std::string::npos ? "" : page.substr(at + mark.size(), page.find('"', at + mark.size()) - at - mark.size());
}

TEST_F(ReportFiles, ThePageIsWalkedByKeyboardAndIsDarkOrLight) {
  ASSERT_EQ(run("verify " + kSome + "--max-failures 5 --candidate " + kTampering, "TAMPER=flip_appended_weight").status, 1);
  const std::string page = drawn(folder_ / "report" / "index.html", R"js(
    const note = (key, value) => document.body.setAttribute('data-' + key, value);
    const press = key => dispatchEvent(new KeyboardEvent('keydown', {key}));
    const walk = keys => [...keys].map(key => { press(key); return document.activeElement.id.replace('failure-', ''); }).join(' ');
    note('walk', walk('nnpp') + ' ' + walk('nn'));
    const contrast = (() => {
      const light = color => { const [r, g, b] = color.match(/\d+/g).map(n => { const c = n / 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
      const opaque = element => { for (let e = element; e; e = e.parentElement) { const back = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(back) && !/^rgba/.test(back)) return back; } return 'rgb(255, 255, 255)'; };
      return () => Math.min(...[...document.querySelectorAll('h1, h2, p, code, summary, .tag, .faint, td.differs, nav a, button')].filter(e => e.textContent.trim()).map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(opaque(e))].sort((x, y) => y - x);
        return (a + .05) / (b + .05);
      }));
    })();
    const theme = [...document.querySelectorAll('nav button')].find(b => /Dark/.test(b.textContent));
    const look = () => `${getComputedStyle(document.body).backgroundColor} ${contrast() >= 4.5 ? 'readable' : 'faint ' + contrast()}`;
    note('first', look());
    theme.click();
    note('second', look());
    const reachable = e => e.tabIndex >= 0;
    note('unreachable', [...document.querySelectorAll('a[href], button, select, summary, .scroll')].filter(e => !reachable(e)).length);
    note('nameless', [...document.querySelectorAll('button, select, .scroll, svg[role]')].filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).length);
    // A clipboard is for a person's click only.
    document.execCommand = () => { note('copied', document.activeElement.value); return true; };
    Object.defineProperty(navigator, 'clipboard', {value: undefined});
    document.querySelector('article .command button').click();
    setTimeout(() => note('told', document.querySelector('[role=status]').textContent), 200);
  )js");
  if (page.empty()) GTEST_SKIP() << "not here: package chromium";
  EXPECT_EQ(noted(page, "walk"), "0 1 0 4 0 1");
  EXPECT_EQ(noted(page, "first"), "rgb(255, 255, 255) readable");
  EXPECT_EQ(noted(page, "second"), "rgb(20, 23, 28) readable");
  EXPECT_EQ(noted(page, "unreachable"), "0");
  EXPECT_EQ(noted(page, "nameless"), "0");
  EXPECT_EQ(noted(page, "copied"), report()["failures"][0]["replay"]);
  EXPECT_EQ(noted(page, "told"), "Copied");
}

TEST_F(ReportFiles, CandidatesOfOneNameAreToldApart) {
  // The same library under two paths stands for two builds of one kernel.
  fs::copy_file(kTampering, folder_ / "other.so");
  const Ran r = run("verify " + kSome + "--max-failures 1 --candidate " + kTampering + " --candidate ./other.so",
                    "TAMPER=flip_appended_weight");
  ASSERT_EQ(r.status, 1) << r.out << r.err;
  const Json document = report();
  ASSERT_EQ(document["failures"].size(), 2u);
  EXPECT_EQ(document["failures"][0]["candidate"], "tampering.flip_appended_weight");
  EXPECT_EQ(document["failures"][1]["candidate"], "tampering.flip_appended_weight#2");
  EXPECT_TRUE(has(document["failures"][1]["replay"], "other.so"));
  EXPECT_EQ(document["candidates"][1]["name"], "tampering.flip_appended_weight#2");
}

TEST_F(ReportFiles, ACrashIsRecordedAndTheRunGoesOn) {
  // Few cases: with sanitizers each death is told at length.
  const Ran r = run(
      "verify --no-corpus --seed 5eed --cases 40 --report report --law equals_reference --jobs 1 --candidate " + kTampering,
      "TAMPER=sigsegv");
  ASSERT_EQ(r.status, 1) << r.out;
  const Json document = report();
  ASSERT_GE(document["failures"].size(), 1u);
  EXPECT_EQ(document["failures"][0]["verdict"], "crashed");
  EXPECT_TRUE(has(document["failures"][0]["detail"], "SEGV")) << document["failures"][0];
  EXPECT_TRUE(has(contents(folder_ / "report" / "junit.xml"), "<error type=\"no_crash\"")) << r.out;
  EXPECT_EQ(document["cases"], 40);
}

TEST_F(ReportFiles, AnInterruptedRunLeavesACompleteReportOfWhatWasDone) {
  for (const std::string arguments :
       {"verify --seconds 600 --no-corpus", "gate --tier smoke --seconds 600", "sweep f32-sigmoid"}) {
    fs::remove_all(folder_ / "report");
    const int status = interrupt(arguments + " --platform cpu --report report", "", std::chrono::milliseconds(2500), [this] {
      EXPECT_TRUE(fs::is_directory(folder_ / "report")) << "made before anything is run";
      EXPECT_TRUE(fs::is_empty(folder_ / "report"));
    });
    EXPECT_EQ(status, 130) << contents(folder_ / "out.txt");
    const Json document = report();
    EXPECT_EQ(document["verdict"], "interrupted") << arguments;
    EXPECT_EQ(document["interrupted"], true);
    EXPECT_EQ(document["exit_status"], 130);
    ASSERT_FALSE(document["candidates"].empty());
    if (arguments.rfind("sweep", 0) == 0) {
      EXPECT_EQ(document["sweeps"][0]["interrupted"], true);
      EXPECT_GT(document["sweeps"][0]["values"], 0);
      EXPECT_EQ(sum(document["sweeps"][0]["ulp"]), document["sweeps"][0]["values"]);
    } else {
      EXPECT_GT(document["cases"], 0) << arguments;
      EXPECT_EQ(document["stages"].back()["complete"], false);
    }
  }
}

TEST_F(ReportFiles, AFolderThatCannotBeWrittenEndsInTwoBeforeAnythingIsRun) {
  write("file", "x");
  for (const std::string folder : {"file", "file/below", "/proc/twincheck"}) {
    for (const std::string verb : {"verify", "gate", "sweep f16-f32", "golden x.jsonl", "list"}) {
      expect_unusable(verb + " --report " + folder, "--report: " + folder + ": ");
      EXPECT_EQ(contents(folder_ / "out.txt"), "");
    }
  }
}

TEST_F(ReportFiles, ARunThatCannotGoOnSaysWhy) {
  write("bad.jsonl", "{}\n");
  EXPECT_EQ(run("golden bad.jsonl --report report").status, 2);
  const Json document = report();
  EXPECT_EQ(document["verdict"], "error");
  EXPECT_TRUE(has(document["error"], "bad.jsonl:1: field mode"));
  EXPECT_EQ(run("verify --candidate ./nothing.so --report absent").status, 2);
  EXPECT_TRUE(has(report("absent")["error"], "./nothing.so: no such file"));
}

TEST_F(ReportFiles, InGitHubActionsFailuresAreAnnotationsAndTheJobHasASummary) {
  const std::string wrong = "verify " + kSome + "--law equals_reference --candidate " + kTampering;
  const std::string actions = "TAMPER=flip_appended_weight GITHUB_ACTIONS=true GITHUB_STEP_SUMMARY=summary.md";
  write("summary.md", "an earlier step\n");
  const Ran r = run(wrong, actions);
  EXPECT_TRUE(has(r.out,
                  "\n::error title=tampering.flip_appended_weight broke appended_weights (failed),"
                  "file=properties/equals_reference.cpp,line="))
      << r.out;
  const std::string summary = contents(folder_ / "summary.md");
  EXPECT_EQ(summary.rfind("an earlier step\n### twincheck verify: FAILED\n", 0), 0u) << summary;
  EXPECT_TRUE(has(summary, "twincheck replay --candidate "));
  EXPECT_FALSE(has(run(wrong, "TAMPER=flip_appended_weight").out, "::error")) << "nowhere else";
}

TEST_F(ReportFiles, EveryVerbWritesWhatItDid) {
  const std::string wrong = "TAMPER=wrong_appended_id", with = " --candidate " + kTampering + " --report report ";
  const std::string one = "append source=constant tokens=2 top_k=1 shared=2 base_id=7";
  EXPECT_EQ(run("replay" + with + one, wrong).status, 1);
  Json document = report();
  ASSERT_EQ(document["failures"].size(), 1u);
  EXPECT_EQ(document["failures"][0]["matrices"][0]["cells"].size(), 6u);
  EXPECT_EQ(document["candidates"][0]["cases"], 1);
  EXPECT_EQ(run("replay" + with + one).status, 0);
  EXPECT_EQ(report()["verdict"], "passed");

  EXPECT_EQ(run("shrink --seconds 1" + with + one, wrong).status, 1);
  EXPECT_EQ(report()["failures"].size(), 1u);

  EXPECT_EQ(run("sweep f16-bf16 bf16-sigmoid --candidate " + kIndependent + " --report report").status, 0);
  document = report();
  ASSERT_EQ(document["sweeps"].size(), 2u);
  for (const auto& sweep : document["sweeps"]) {
    EXPECT_EQ(sum(sweep["ulp"]), sweep["values"]);
    EXPECT_EQ(sweep["wrong"], 0);
  }
  EXPECT_EQ(run("sweep f16-bf16" + with, "TAMPER=number_for_nan").status, 1);
  EXPECT_GT(report()["sweeps"][0]["wrong"], 0);
  EXPECT_EQ(sum(report()["sweeps"][0]["ulp"]), report()["sweeps"][0]["values"]);
  EXPECT_EQ(report()["failures"][0]["stage"], "sweep f16-bf16");

  EXPECT_EQ(run("golden " TWINCHECK_CORPUS "/golden/append.jsonl --report report").status, 0);
  document = report();
  EXPECT_GT(document["golden"][0]["records"], 100);
  EXPECT_EQ(document["golden"][0]["wrong"], 0);

  write("corpus/models/one.case", "append source=constant tokens=2 top_k=8 shared=1 base_id=64\n");
  EXPECT_EQ(
      run("gate --save '' --platform cpu --tier smoke --seconds 0.5 --law equals_reference --corpus corpus --report report")
          .status,
      0);
  document = report();
  EXPECT_EQ(document["candidates"].size(), 2u);
  EXPECT_EQ(document["stages"][0]["name"], "corpus");

  EXPECT_EQ(run("verify --no-corpus --cases 5 --shard 2/3 --report report --candidate " + kIndependent).status, 0);
  EXPECT_EQ(report()["verdict"], "nothing_compared") << "an empty shard is no pass";
  EXPECT_EQ(run("list --report report").status, 0);
  EXPECT_EQ(report()["platforms"].size(), 3u);
}

}  // namespace
