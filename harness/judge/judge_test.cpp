// check() itself on trial: it names exactly what a tampering candidate did, accepts either end of an interval and nothing
// beyond, and takes no more memory than a case has.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "harness/candidate/test/behaviours.h"
#include "harness/case/generate.h"
#include "harness/judge/check.h"
#include "harness/judge/recorded.h"
#include "reference/oracle.h"
#include "reference/rounding.h"

namespace twincheck {
namespace {

Candidate load(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(library, nullptr) << dlerror();
  Candidate c;
  c.path = path;
  const auto find = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, symbol));
  };
  find(c.append, "twincheck_append");
  find(c.last_error, "twincheck_last_error");
  find(c.set, "twincheck_set");
  find(c.get, "twincheck_get");
  c.exact_status = c.get("exact_status") == 1;
  return c;
}

Candidate& tampering_candidate() {
  static Candidate candidate = load(TAMPERING_LIBRARY);
  return candidate;
}

Bench& bench() {
  static Bench b;
  return b;
}

// The first case of the default distribution that is neither passed nor refused.
Report first_finding(const Candidate& candidate, int cases, const Domain& domain, std::string& its_text) {
  Choices choices = Choices::random(0);
  for (int i = 0; i < cases; ++i) {
    choices.reseed(static_cast<uint64_t>(i) + 1);
    const Case c = draw_case(choices, domain);
    Report r = check(c, candidate, bench());
    if (r.verdict == Verdict::kPassed || r.verdict == Verdict::kRefused) continue;
    its_text = text(c);
    return r;
  }
  return {};
}

class Tampering : public testing::TestWithParam<std::size_t> {};

TEST_P(Tampering, IsNamedExactlySo) {
  const tampering::Behaviour& behaviour = tampering::kBehaviours[GetParam()];
  Candidate& candidate = tampering_candidate();
  ASSERT_EQ(candidate.set("behaviour", static_cast<int64_t>(GetParam())), 0);
  std::string its_text;
  const Report r = first_finding(candidate, 40000, {}, its_text);
  candidate.set("behaviour", 0);
  EXPECT_TRUE(tampering::allows(behaviour.verdict, name(r.verdict)))
      << behaviour.sentence << ": " << name(r.verdict) << " " << r.law << " " << r.detail << "\n"
      << its_text;
  if (!behaviour.law.empty()) {
    EXPECT_TRUE(tampering::allows(behaviour.law, r.law)) << r.law << ": " << r.detail << "\n" << its_text;
  }
  if (!behaviour.reason.empty()) {
    EXPECT_NE(r.detail.find(behaviour.reason), std::string::npos) << r.detail;
  }
}

// Those that neither end the process nor need an inaccessible page: worker_test has the others.
std::vector<std::size_t> survivable() {
  using tampering::Act;
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < tampering::kBehaviours.size(); ++i) {
    const Act act = tampering::kBehaviours[i].act;
    const bool deadly =
        act == Act::kReadBefore || act == Act::kReadAfter || (act >= Act::kSigsegv && act <= Act::kChangeSignals);
    if (!deadly || act == Act::kThrow || act == Act::kThrowInt) result.push_back(i);
  }
  return result;
}
INSTANTIATE_TEST_SUITE_P(Judge, Tampering, testing::ValuesIn(survivable()),
                         [](const auto& i) { return std::string(tampering::kBehaviours[i.param].name); });

// ---- a candidate that answers with the reference's own interval, or with what lies just beyond it

enum class Edge { kLow, kHigh, kBelow, kAbove };
Edge edge = Edge::kLow;
int64_t beyond = 0;  // weights answered that lie outside their interval

uint32_t at_edge(const reference::Weight& w, Dtype dtype) {
  using Kind = reference::Weight::Kind;
  const reference::Format format = reference::format_of(dtype);
  uint32_t bits = edge == Edge::kLow || edge == Edge::kBelow ? w.lo : w.hi;
  if (w.kind == Kind::kNan) bits = reference::quiet_nan(format);
  const bool number = !reference::is_nan(format, bits);
  if (edge == Edge::kLow || edge == Edge::kHigh || !number) return bits;
  const uint32_t other = edge == Edge::kBelow ? reference::next_down(format, bits) : reference::next_up(format, bits);
  beyond += reference::ordinal(format, other) != reference::ordinal(format, bits);
  return other;
}

int32_t append_at_edge(const AppendArgs* args) {
  if (const Status refused = reference::refusal(*args); refused != Status::kOk) return static_cast<int32_t>(refused);
  reference::Expected expected;
  reference::append(*args, 0, args->out_ids.rows, expected);
  const auto dtype = static_cast<Dtype>(args->out_weights.dtype);
  beyond = 0;
  for (int64_t r = 0; r < args->out_ids.rows; ++r)
    for (int64_t s = 0; s < args->out_ids.cols; ++s) {
      const auto i = static_cast<std::size_t>(r * args->out_ids.cols + s);
      const int64_t id = expected.ids[i].value;
      const std::size_t id_bytes = args->out_ids.dtype == TWINCHECK_I64 ? 8 : 4;
      std::memcpy(
          static_cast<char*>(args->out_ids.data) + static_cast<std::size_t>(r * args->out_ids.row_stride + s) * id_bytes,
          &id, id_bytes);
      // Routed weights too: their interval is one bit pattern.
      const uint32_t bits = at_edge(expected.weights[i], dtype);
      const std::size_t bytes = dtype == Dtype::kF32 ? 4 : 2;
      std::memcpy(static_cast<char*>(args->out_weights.data) +
                      static_cast<std::size_t>(r * args->out_weights.row_stride + s) * bytes,
                  &bits, bytes);
    }
  return TWINCHECK_OK;
}

class IntervalEnds : public testing::TestWithParam<std::tuple<Source, Dtype>> {};

TEST_P(IntervalEnds, PassAndOneValueBeyondFails) {
  const auto [source, dtype] = GetParam();
  Candidate candidate;
  candidate.append = append_at_edge;
  Domain domain;
  domain.validity = Validity::kValid;
  domain.source = source;
  domain.in_place = false;
  domain.sparse = false;
  for (const Edge e : {Edge::kLow, Edge::kHigh, Edge::kBelow, Edge::kAbove}) {
    edge = e;
    Choices choices = Choices::random(0);
    int64_t appended = 0, wrong = 0;
    for (uint64_t seed = 1; appended < 10000; ++seed) {
      choices.reseed(seed);
      Case c = draw_case(choices, domain);
      c.weights_dtype = dtype;
      for (Layout& layout : c.layout) layout = {};
      if (c.tokens == 0 || c.shared == 0) continue;
      const Report r = check(c, candidate, bench());
      ASSERT_EQ(r.weights_compared, c.tokens * (c.top_k + c.shared)) << text(c);
      appended += c.tokens * c.shared;
      wrong += r.weights_wrong;
      if (e == Edge::kLow || e == Edge::kHigh) {
        ASSERT_EQ(r.verdict, Verdict::kPassed) << r.law << " " << r.detail << "\n" << text(c);
      } else {
        ASSERT_EQ(r.weights_wrong, beyond) << text(c);
        ASSERT_EQ(r.verdict, beyond > 0 ? Verdict::kFailed : Verdict::kPassed) << text(c);
      }
    }
    if (e == Edge::kBelow || e == Edge::kAbove) {
      EXPECT_GT(wrong, 10000);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    Judge, IntervalEnds,
    testing::Combine(testing::Values(Source::kConstant, Source::kWeights, Source::kLogits, Source::kGate),
                     testing::Values(Dtype::kF32, Dtype::kBf16, Dtype::kF16)),
    [](const auto& i) { return std::string(name(std::get<0>(i.param))) + "_" + std::string(name(std::get<1>(i.param))); });

// ---- memory

int64_t peak_resident_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(Memory, OfASparseCaseIsThePagesItTouches) {
  Candidate& candidate = tampering_candidate();
  const Case warm = parse("append source=weights tokens=9 top_k=8 shared=2 base_id=64");
  ASSERT_EQ(check(warm, candidate, bench()).verdict, Verdict::kPassed);
  const Case sparse = parse(
      "append source=weights tokens=9 top_k=8 shared=2 ids_dtype=i64 base_id=64 topk_ids.row_stride=268435456 "
      "topk_weights.row_stride=268435457 shared.row_stride=268435456 out_ids.row_stride=268435459 "
      "out_weights.row_stride=268435456");
  const int64_t before = peak_resident_kib();
  const Report r = check(sparse, candidate, bench());
  EXPECT_EQ(r.verdict, Verdict::kPassed) << r.law << " " << r.detail;
  EXPECT_EQ(r.ids_compared, 90);
  EXPECT_LT(peak_resident_kib() - before, 1024);  // 45 rows on 45 to 90 pages, in 50 GB of addresses
}

TEST(Memory, BeyondTheLimitIsTooLargeAndNothingIsAllocated) {
  const Case c = parse("append source=constant tokens=4000000000 top_k=8 shared=2 base_id=64");
  const int64_t before = peak_resident_kib();
  EXPECT_EQ(check(c, tampering_candidate(), bench()).verdict, Verdict::kTooLarge);
  EXPECT_LT(peak_resident_kib() - before, 1024);
}

TEST(ArgumentStruct, EndsAtAnInaccessiblePageWhateverItsSize) {
  // A candidate that reads one byte past the size it was given dies; one that does not is fine with every size.
  Candidate candidate;
  candidate.exact_status = true;
  candidate.append = [](const AppendArgs* args) -> int32_t {
    unsigned sum = 0;
    for (uint32_t i = 0; i < std::min<uint32_t>(args->size, sizeof *args); ++i)
      sum += reinterpret_cast<const unsigned char*>(args)[i];
    return args->size < sizeof *args && sum < 1u << 30 ? TWINCHECK_BAD_PARAMETER : append_at_edge(args);
  };
  edge = Edge::kLow;
  for (uint32_t size = 8; size < sizeof(AppendArgs) + 64; size += 8) {
    Case c = parse("append source=constant tokens=3 top_k=2 shared=1 base_id=64");
    c.args_size = size;
    EXPECT_EQ(check(c, candidate, bench()).verdict, size < sizeof(AppendArgs) ? Verdict::kRefused : Verdict::kPassed)
        << size;
    if (size >= sizeof(AppendArgs)) continue;
    Candidate greedy = candidate;
    greedy.append = [](const AppendArgs* args) -> int32_t {
      volatile unsigned char past = reinterpret_cast<const unsigned char*>(args)[args->size];
      return past == 0 ? TWINCHECK_BAD_PARAMETER : TWINCHECK_BAD_PARAMETER;
    };
#ifdef __SANITIZE_ADDRESS__
    EXPECT_EXIT(check(c, greedy, bench()), testing::ExitedWithCode(1), "SEGV on unknown address") << size;
#else
    EXPECT_EXIT(check(c, greedy, bench()), testing::KilledBySignal(SIGSEGV), "") << size;
#endif
    size += 80;
  }
}

// ---- recorded outputs

TEST(Recorded, OutputsOfOtherImplementationsLieInTheReferencesIntervals) {
  std::ifstream file(GOLDEN_FILE);
  ASSERT_TRUE(file) << GOLDEN_FILE;
  int64_t records = 0, ids = 0, weights = 0;
  for (std::string line; std::getline(file, line); ++records) {
    const Recorded record = parse_record(line);
    const Report r = check_recorded(record, bench());
    ASSERT_EQ(r.verdict, Verdict::kPassed) << "line " << records + 1 << ": " << r.law << " " << r.detail;
    ids += r.ids_compared;
    weights += r.weights_compared;
  }
  EXPECT_EQ(records, 900);
  EXPECT_EQ(ids, 95582);
  EXPECT_EQ(weights, 95582);
}

TEST(Recorded, AnOutputChangedByOneIsRefused) {
  std::ifstream file(GOLDEN_FILE);
  int64_t changed = 0;
  std::string line;
  for (int n = 0; std::getline(file, line) && n < 900; ++n) {
    const Recorded record = parse_record(line);
    if (record.out_ids.empty()) continue;
    const std::size_t i = static_cast<std::size_t>(n) * 7919 % record.out_ids.size();
    Recorded wrong = record;
    wrong.out_ids[i] += 1;
    EXPECT_EQ(check_recorded(wrong, bench()).verdict, Verdict::kFailed) << n;
    // The appended weight one value beyond its interval, or a NaN made a number.
    const reference::Format format = reference::format_of(record.input.weights_dtype);
    wrong = record;
    uint32_t& w = wrong.out_weights[record.out_weights.size() - 1];
    if (reference::is_nan(format, w)) {
      w = 0;
    } else {
      w ^= format.sign;  // far outside
      if (reference::ordinal(format, w) == 0) continue;
    }
    EXPECT_EQ(check_recorded(wrong, bench()).verdict, Verdict::kFailed) << n;
    ++changed;
  }
  EXPECT_GT(changed, 700);
}

TEST(Recorded, AMalformedLineNamesItsField) {
  const char* right =
      R"({"mode":"constant","tokens":1,"top_k":1,"shared":1,"experts":8,"ids_dtype":"i32","weights_dtype":"bf16","scale":"3f800000",)"
      R"("ids":[3],"weights":["3f80"],"out_ids":[3,8],"out_weights":["3f80","3f80"]})";
  EXPECT_EQ(check_recorded(parse_record(right), bench()).verdict, Verdict::kPassed);
  const std::pair<const char*, const char*> changes[] = {{"\"constant\"", "mode"},
                                                         {"\"tokens\":1", "tokens"},
                                                         {"\"i32\"", "ids_dtype"},
                                                         {"\"3f800000\"", "scale"},
                                                         {"[3]", "ids"},
                                                         {"[\"3f80\"]", "weights"},
                                                         {"[3,8]", "out_ids"},
                                                         {"[\"3f80\",\"3f80\"]", "out_weights"},
                                                         {"8,\"ids_dtype\"", "experts"}};
  for (const auto& [from, field] : changes) {
    std::string line = right;
    line.replace(line.find(from), std::strlen(from),
                 std::string(from).find("tokens") != std::string::npos      ? "\"tokens\":-1"
                 : std::string(from).find("ids_dtype") != std::string::npos ? "\"x\",\"ids_dtype\""
                                                                            : "\"x\"");
    try {
      (void)parse_record(line);
      ADD_FAILURE() << field;
    } catch (const RecordError& e) {
      EXPECT_NE(std::string(e.what()).find(std::string("field ") + field + ":"), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find("expected"), std::string::npos) << e.what();
    }
  }
  const auto with_base_id = [&](const std::string& id) {
    std::string line = right;
    return line.replace(line.find("8,\"ids_dtype\""), 1, id);
  };
  EXPECT_EQ(parse_record(with_base_id("9223372036854775807")).input.base_id, INT64_MAX);
  EXPECT_THROW((void)parse_record(with_base_id("9223372036854775808")), RecordError);  // a reader that wraps has -2^63
  EXPECT_THROW((void)parse_record(with_base_id("7e6543")), RecordError);
  // A message that shows all of it would need a stack as deep.
  EXPECT_THROW((void)parse_record(with_base_id(std::string(1000000, '[') + std::string(1000000, ']'))), RecordError);
  EXPECT_THROW((void)parse_record("{"), RecordError);
  EXPECT_THROW((void)parse_record("[]"), RecordError);
  EXPECT_THROW((void)parse_record(R"({"mode":"weights","tokens":1099511627776,"top_k":1099511627776})"), RecordError);
}

}  // namespace
}  // namespace twincheck
