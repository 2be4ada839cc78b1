// The program at a terminal: colours, the live line, completion.
#include <gtest/gtest.h>
#include <pty.h>

#include <cerrno>
#include <regex>

#include "harness/cli/cli_test_support.h"

namespace {

namespace fs = std::filesystem;
using namespace twincheck::test;

class Terminal : public Cli {
 protected:
  // What a shell command prints to a terminal of 80 columns.
  std::string on_terminal(const std::string& command) {
    winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    int master = -1;
    const pid_t child = forkpty(&master, nullptr, nullptr, &size);
    EXPECT_GE(child, 0);
    if (child == 0) {
      const std::string line = "cd '" + folder_.string() + "' && unset NO_COLOR && export TERM=xterm && " + command;
      execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
      _exit(99);
    }
    std::string out;
    char buffer[4096];
    while (true) {
      const ssize_t n = read(master, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      out.append(buffer, static_cast<std::size_t>(n));
    }
    int status = 0;
    waitpid(child, &status, 0);
    close(master);
    return out;
  }
  std::string verify(const std::string& more, const std::string& environment = "") {
    return on_terminal(environment + " '" + kProgram + "' verify --no-corpus --law equals_reference --seed 5eed --save '' " +
                       more);
  }
};

const std::string kColor = "\x1b[1;3";

TEST_F(Terminal, ColoursAreForTerminalsAndCarryNothingAlone) {
  const std::string wrong = "--cases 300 --jobs 1 --max-failures 1 --candidate " + kTampering;
  const std::string broken = "TAMPER=flip_appended_weight";
  const std::string colored = verify(wrong, broken);
  EXPECT_TRUE(has(colored, kColor + "1mFAILED\x1b[0m")) << colored;
  for (const std::string& plain :
       {verify(wrong, broken + " NO_COLOR=1"), verify(wrong + " --no-color", broken), verify(wrong, broken + " TERM=dumb"),
        run("verify --no-corpus --save '' " + wrong, broken).out}) {
    EXPECT_FALSE(has(plain, kColor)) << plain;
    EXPECT_TRUE(has(plain, "FAILED: tampering.flip_appended_weight is wrong")) << "the words are the same";
  }
  EXPECT_TRUE(has(verify(wrong, broken + " NO_COLOR="), kColor)) << "set to nothing, it forbids nothing";
}

TEST_F(Terminal, ProgressIsALiveLineWithRateAndTimeLeft) {
  const std::string right = "--seconds 1.5 --candidate " + kIndependent;
  const std::string live = verify(right);
  EXPECT_TRUE(std::regex_search(
      live, std::regex("\r\x1b\\[Kindependent.plain generated: [0-9]+ cases, [0-9]+ s left, [0-9]+ cases/s")))
      << live;
  EXPECT_FALSE(has(verify(right + " --quiet"), "left"));
  EXPECT_FALSE(has(run("verify --no-corpus --save '' " + right).out, "\r")) << "a log has no live line";
}

// What bash would put in place of the last word.
std::string offered(const std::string& words) {
  const std::string script = "source '" TWINCHECK_SOURCE
                             "/harness/cli/completion/twincheck.bash'; "
                             "COMP_WORDS=(" +
                             words +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
                             "_twincheck '" +
                             kProgram +
                             "' \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; "
                             "echo \"${COMPREPLY[*]}\"";
  const fs::path out = fs::temp_directory_path() / ("twincheck_completion." + std::to_string(getpid()));
  std::ofstream(out.string() + ".sh") << script;
  const std::string command = "bash '" + out.string() + ".sh' >'" + out.string() + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::string text = contents(out);
  fs::remove(out);
  fs::remove(out.string() + ".sh");
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

TEST(Completion, OfBashOffersVerbsOptionsAndValues) {
  EXPECT_EQ(offered("twincheck ver"), "verify");
  EXPECT_EQ(offered("twincheck ''"), "gate verify replay shrink sweep golden mutants bench merge list --help --version");
  EXPECT_EQ(offered("twincheck verify --ti"), "--tier --timeout");
  EXPECT_EQ(offered("twincheck verify --platform ''"), "cpu hip cuda");
  EXPECT_EQ(offered("twincheck verify --quiet --tier s"), "smoke") << "a flag takes no value";
  EXPECT_EQ(offered("twincheck verify --cases ''"), "");
  EXPECT_EQ(offered("twincheck verify --law routed"), "routed_prefix_preserved");
  EXPECT_EQ(offered("twincheck sweep bf16-s"), "bf16-sigmoid");
}

TEST(Completion, OfZshOffersVerbsAndValues) {
  if (std::system("command -v zsh >/dev/null") != 0) GTEST_SKIP() << "not here: package zsh";
  const fs::path script = fs::temp_directory_path() / ("twincheck_completion." + std::to_string(getpid()) + ".zsh");
  std::ofstream(script) << R"zsh(zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; PATH=$2:\$PATH; bindkey '^I' complete-word; print READY-\$((1+1))"
zpty -r -m z out '*READY-2*'
zpty -w -n z "$3"$'\t'
zpty -r -m z out "*$4*" && print -r -- OFFERED
zpty -d z
)zsh";
  const auto offers = [&](const std::string& line, const std::string& words) {
    const std::string command =
        "timeout 30 zsh -f '" + script.string() + "' '" TWINCHECK_SOURCE "/harness/cli/completion' '" +
        fs::path(kProgram).parent_path().string() + "' '" + line + "' '" + words + "' 2>&1 | grep -q OFFERED";
    return std::system(command.c_str()) == 0;
  };
  EXPECT_TRUE(offers("twincheck ve", "rify"));
  EXPECT_TRUE(offers("twincheck verify --platform ", "cuda"));
  EXPECT_TRUE(offers("twincheck verify --law rout", "ed_prefix_preserved"));
  fs::remove(script);
}

}  // namespace
