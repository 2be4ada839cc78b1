// Compiled kernels on trial: the JSON beside them, and on a driver for machines without a GPU what is launched.
#include <cstring>

#include "harness/candidate/code_object/description.h"
#include "harness/cli/cli_test_support.h"

namespace twincheck::test {
namespace {

const std::string kFake = TWINCHECK_FAKE_CUDA;  // the folder of the driver and of the kernel
const std::string kExample = TWINCHECK_SOURCE "/examples/code_object/append.json";

// A description with one part replaced.
std::string with(const std::string& part, const std::string& by) {
  std::string text =
      R"({"symbol": "append", "arguments": ["topk_ids.data"], "grid": {"per": "row", "each": 1}, "block": 32})";
  text.replace(text.find(part), part.size(), by);
  return text;
}

std::string complaint(const std::string& json) {
  try {
    (void)code_object::parse(json);
  } catch (const code_object::DescriptionError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(CodeObjectDescription, NamesTheMistake) {
  const struct {
    std::string json, words;
  } kMistakes[] = {
      {"{", "parse error at line 1, column 2"},
      {"[]", "the file: found [], expected an object"},
      {with("\"symbol\"", "\"sybmol\""), "sybmol: found a key that is not known, expected symbol, arguments"},
      {with("\"append\"", "7"), "symbol: found 7, expected the kernel's name"},
      {with(", \"block\": 32", ""), "block: found nothing"},
      {with("\"topk_ids.data\"", "\"topk_idz.data\""), "arguments[0]: found 'topk_idz.data', expected MATRIX.data"},
      {with("\"topk_ids.data\"", "\"scale\", \"topk_ids.data:i32\""), "arguments[1]: found 'topk_ids.data:i32'"},
      {with("\"topk_ids.data\"", "{\"i32\": 2147483648}"),
       "arguments[0]: found {\"i32\":2147483648}, expected {\"i32\": N}"},
      {with("\"topk_ids.data\"", "{\"pointer\": 8}"), "arguments[0]: found {\"pointer\":8}"},
      {with("\"topk_ids.data\"", "{\"i64\": 1, \"i32\": 1}"), "expected a name, or a constant"},
      {with("\"row\"", "\"column\""), "grid.per: found \"column\", expected \"element\", \"row\" or \"fixed\""},
      {with("\"each\": 1", "\"each\": 0"), "grid.each: found 0, expected a whole number from 1"},
      {with(", \"each\": 1", ""), "grid.each: found nothing"},
      {with("32", "1025"), "block: found 1025, expected a whole number from 1 to 1024"},
      {with("32", "[64, 32]"), "block: found [64,32], expected at most 1024 threads"},
      {with("32", "32, \"shared_memory\": -1"), "shared_memory: found -1"},
      {with("32", "32, \"supports\": {\"source\": [\"logit\"]}"),
       "supports.source: found \"logit\", expected constant, weights"},
      {with("32", "32, \"supports\": {\"remap\": 0}"), "supports.remap: found 0, expected true or false"},
      {with("32", "32, \"supports\": {\"stride\": true}"), "supports.stride: found a key that is not known"},
  };
  EXPECT_EQ(complaint(with("32", "32")), "accepted");
  for (const auto& [json, words] : kMistakes) EXPECT_TRUE(has(complaint(json), words)) << json << "\n" << complaint(json);
}

AppendArgs call(int64_t tokens, int64_t top_k, int64_t shared) {
  AppendArgs a{};
  static int memory[64];
  a.size = sizeof a;
  a.num_shared = shared;
  a.base_id = 1LL << 33;
  a.scale = 1;
  a.topk_ids = {memory, tokens, top_k, top_k + 3, TWINCHECK_I64, 0};
  a.topk_weights = {memory, tokens, top_k, top_k, TWINCHECK_F32, 0};
  a.out_ids = {memory + 32, tokens, top_k + shared, top_k + shared, TWINCHECK_I64, 0};
  a.out_weights = {memory + 48, tokens, top_k + shared, top_k + shared, TWINCHECK_F32, 0};
  return a;
}

TEST(CodeObjectGrid, HasABlockForEveryPieceOfTheWork) {
  const auto of = [](const std::string& grid, const AppendArgs& a) {
    return code_object::blocks(code_object::parse(with(R"({"per": "row", "each": 1})", grid)), a);
  };
  EXPECT_EQ(of(R"({"per": "row", "each": 1})", call(5, 6, 2)), 5u);
  EXPECT_EQ(of(R"({"per": "row", "each": 4})", call(5, 6, 2)), 2u);
  EXPECT_EQ(of(R"({"per": "element", "each": 8})", call(5, 6, 2)), 5u);
  EXPECT_EQ(of(R"({"per": "element", "each": 7})", call(5, 6, 2)), 6u);
  EXPECT_EQ(of(R"({"per": "fixed", "each": 9})", call(5, 6, 2)), 9u);
  EXPECT_EQ(of(R"({"per": "fixed", "each": 9})", call(0, 6, 2)), 0u);
  EXPECT_EQ(of(R"({"per": "row", "each": 1})", call(5, 0, 0)), 0u);
  EXPECT_EQ(of(R"({"per": "element", "each": 1})", call(1 << 20, 1 << 20, 2)), std::nullopt);
}

TEST(CodeObjectParameters, AreTheFieldsInOrder) {
  const auto of = [](const std::string& arguments, const AppendArgs& a) {
    return code_object::parameters(code_object::parse(with("\"topk_ids.data\"", arguments)), a);
  };
  const AppendArgs a = call(5, 6, 2);
  const auto p = of(R"("topk_ids.row_stride", "num_shared:i32", "base_id", "scale", "topk_ids.data", "shared.data")", a);
  ASSERT_EQ(p.values.size(), 6u);
  const auto is = [&](std::size_t i, auto expected) {
    EXPECT_EQ(p.values[i].size(), sizeof expected) << i;
    EXPECT_EQ(std::memcmp(p.values[i].data(), &expected, sizeof expected), 0) << i;
  };
  is(0, int64_t{9});
  is(1, int32_t{2});
  is(2, int64_t{1} << 33);
  is(3, 1.0f);
  is(4, a.topk_ids.data);
  is(5, static_cast<void*>(nullptr));
  EXPECT_EQ(of(R"("base_id:i32")", a).trouble, "base_id is 8589934592, which 32 bits do not hold");
}

TEST(CodeObjectSupports, SaysWhatItLacks) {
  const auto of = [](const std::string& supports, const AppendArgs& a) {
    return code_object::unsupported(code_object::parse(with("32}", "32, \"supports\": {" + supports + "}}")), a);
  };
  AppendArgs a = call(5, 6, 2);
  EXPECT_EQ(of("", a), "");
  EXPECT_EQ(of(R"("source": ["logits", "gate"])", a), "source constant");
  EXPECT_EQ(of(R"("ids_dtype": ["i32"])", a), "ids of i64");
  EXPECT_EQ(of(R"("weights_dtype": ["bf16"])", a), "weights of f32");
  EXPECT_EQ(of(R"("shared_dtype": ["bf16"])", a), "");
  EXPECT_EQ(of(R"("strided": false)", a), "topk_ids with row stride 9");
  EXPECT_EQ(of(R"("remap": false)", a), "");
  a.remap_local_routed = 8;
  EXPECT_EQ(of(R"("remap": false)", a), "a remap");
  a.topk_ids.data = a.out_ids.data;
  a.topk_ids.row_stride = a.out_ids.row_stride;
  EXPECT_EQ(of(R"("in_place": ["none"])", a), "in place: ids");
  EXPECT_EQ(of(R"("strided": false)", a), "");
}

class CodeObject : public Cli {
 protected:
  void SetUp() override {
    Cli::SetUp();
    fs::copy_file(kFake + "/fake_kernel.so", folder_ / "append.cubin");
    write("append.json", contents(kExample));
  }
  Ran judge(const std::string& what) { return run(what, "LD_LIBRARY_PATH=" + kFake); }
};

TEST_F(CodeObject, IsJudgedLikeTheRest) {
  const Ran r = judge("verify --candidate append.cubin --cases 20000 --seed 0x5eed --jobs 1 --save ''");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "PASSED: cuda.append is right in")) << r.out;
}

TEST_F(CodeObject, RunsOnTheGpuThatCTestSetApart) {
  std::string json = contents(kExample);
  json.replace(json.find("\"topk_weights.row_stride\""), 25, "\"topk_weights.cols\"");
  write("append.json", json);
  const auto failing = [&](const std::string& group, const std::string& more = "") {
    return run("verify --candidate append.cubin --cases 2000 --seed 0x5eed --jobs 1 --save '' --no-corpus" + more,
               "LD_LIBRARY_PATH=" + kFake + " FAKE_CUDA_DEVICES=6 CTEST_RESOURCE_GROUP_0_GPUS=" + group)
        .out;
  };
  EXPECT_TRUE(has(failing("id:5,slots:1"), "append.cubin --device 5"));
  EXPECT_FALSE(has(failing("id:0,slots:1"), "--device"));
  EXPECT_TRUE(has(failing("id:5,slots:1", " --device 2"), "append.cubin --device 2")) << "what is told goes before";
}

TEST_F(CodeObject, TakesTheStructAndConstants) {
  write("append.json", R"({"symbol": "append_whole", "block": 32, "grid": {"per": "row", "each": 1},
    "arguments": ["args", {"i32": -7}, {"i64": 1099511627776}, {"f32": 0.5}, {"pointer": 0}],
    "supports": {"source": ["constant"], "ids_dtype": ["i32"], "weights_dtype": ["f32"], "remap": false}})");
  const Ran r = judge("verify --candidate append.cubin --cases 5000 --seed 0x5eed --jobs 1 --save ''");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
}

TEST_F(CodeObject, IsWrongWhereItsDescriptionIs) {
  std::string json = contents(kExample);
  json.replace(json.find("\"topk_weights.row_stride\""), 25, "\"topk_weights.cols\"");
  write("append.json", json);
  const Ran strides = judge("verify --candidate append.cubin --cases 2000 --seed 0x5eed --jobs 1 --save '' --no-corpus");
  EXPECT_EQ(strides.status, 1);
  EXPECT_TRUE(has(strides.out, "law=routed_weights")) << strides.out;
  json = contents(kExample);
  json.replace(json.find("\"each\": 256"), 11, "\"each\": 512");
  write("append.json", json);
  const Ran grid = judge("verify --candidate append.cubin --cases 2000 --seed 0x5eed --jobs 1 --save '' --no-corpus");
  EXPECT_TRUE(has(grid.out, "law=all_written")) << grid.out;
}

TEST_F(CodeObject, ThatTheRuntimeRefusesIsARuntimeError) {
  const std::string kCase = " 'append source=constant tokens=3 top_k=4 shared=2 base_id=64'";
  std::string json = contents(kExample);
  json.replace(json.find("\"append\""), 8, "\"apend\"");
  write("append.json", json);
  EXPECT_TRUE(has(judge("replay --candidate append.cubin" + kCase).out, "looking for apend: CUDA_ERROR_NOT_FOUND"));
  json = contents(kExample);
  json.replace(json.find("\"base_id\", "), 11, "");
  write("append.json", json);
  EXPECT_TRUE(has(judge("replay --candidate append.cubin" + kCase).out,
                  "runtime_error (append.json: arguments: found 15, expected the 16 parameters that append takes)"));
  json = contents(kExample);
  json.replace(json.find("\"base_id\""), 9, "\"base_id:i32\"");
  write("append.json", json);
  EXPECT_TRUE(has(judge("replay --candidate append.cubin" + kCase).out,
                  "runtime_error (append.json: arguments[10]: found 4 bytes, expected the 8 that append takes there)"));
  write("append.json", contents(kExample));
  write("append.cubin", "no code");
  EXPECT_TRUE(has(judge("replay --candidate append.cubin" + kCase).out, "loading the module: CUDA_ERROR_FILE_NOT_FOUND"));
}

TEST_F(CodeObject, WithoutADescriptionIsNoCandidate) {
  fs::remove(folder_ / "append.json");
  expect_unusable("list --candidate append.cubin", "append.json, which describes the kernel, is not there");
  write("append.json", "{\n  \"symbol\": ,\n}");
  expect_unusable("list --candidate append.cubin", "append.json: parse error at line 2, column 13");
  fs::rename(folder_ / "append.cubin", folder_ / "append.hsaco");
  write("append.json", contents(kExample));
  expect_unusable("list --candidate append.hsaco", "append.hsaco: the file: found an ELF file for machine 62");
}

}  // namespace
}  // namespace twincheck::test
