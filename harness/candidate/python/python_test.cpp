// Python files on trial: what the adapter makes of what a function does, and the examples.
#include "harness/cli/cli_test_support.h"

namespace twincheck::test {
namespace {

const std::string kExamples = TWINCHECK_PYTHON_EXAMPLES;
const std::string kValid = " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64'";
const std::string kInvalid = " 'append source=weights tokens=3 top_k=4 shared=2 base_id=2147483647'";  // id_overflow

const std::string kHead =
    "import numpy as np\ndef append(topk_ids, topk_weights, num_shared, base_id, *, source, **more):\n";
// A right function for the case above, as far as its result is concerned.
const std::string kRight =
    kHead +
    "  ids = np.arange(base_id, base_id + num_shared, dtype=topk_ids.dtype)\n"
    "  ids = np.ascontiguousarray(np.hstack([topk_ids, np.broadcast_to(ids, (topk_ids.shape[0], num_shared))]))\n"
    "  weights = np.ascontiguousarray(np.hstack([topk_weights, more['shared']]))\n";

class Python : public Cli {
 protected:
  Ran replay(const std::string& source, const std::string& what, const std::string& options = "") {
    write("kernel.py", source);
    return run("replay --candidate kernel.py " + options + what);
  }
  // The verdict's words and the exit status of a case put to a function.
  void expect(const std::string& source, const std::string& what, const std::string& words, int status) {
    const Ran r = replay(source, what);
    EXPECT_EQ(r.status, status) << source << r.out << r.err;
    EXPECT_TRUE(has(r.out, words)) << "expected: " << words << "\n" << source << r.out << r.err;
  }
};

TEST_F(Python, AReturnedPairIsCopiedIntoTheOutputs) { expect(kRight + "  return ids, weights\n", kValid, "passed 1", 0); }

TEST_F(Python, OutMayBeFilledInstead) {
  expect(kRight + "  more['out'][0][:], more['out'][1][:] = ids, weights\n", kValid, "passed 1", 0);
  expect(kRight + "  more['out'][0][:], more['out'][1][:] = ids, weights\n  return more['out']\n", kValid, "passed 1", 0);
}

TEST_F(Python, TensorsAreTheCasesOwnMemory) {
  const std::string asserts =
      "seen = None\n"
      "def supports(case):\n"
      "  global seen\n"
      "  seen = case\n"
      "  return case.in_place == 'none'\n"
      "def check(**arrays):\n"
      "  for name, array in arrays.items():\n"
      "    told = getattr(seen, name)\n"
      "    assert array.__array_interface__['data'][0] == told.address, name\n"
      "    assert array.shape == (told.rows, told.cols) and array.strides[0] == told.row_stride * array.itemsize, name\n"
      "    assert array.flags.writeable and array.base is None, name\n";
  expect(asserts + kRight +
             "  check(topk_ids=topk_ids, topk_weights=topk_weights, shared=more['shared'], out_ids=more['out'][0], "
             "out_weights=more['out'][1])\n"
             "  return ids, weights\n",
         " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 topk_ids.row_stride=7 shared.offset=3 "
         "out_weights.row_stride=9'",
         "passed 1", 0);
}

TEST_F(Python, InPlaceTheInputsAreTheOutputs) {
  expect(kRight +
             "  assert np.may_share_memory(topk_ids, more['out'][0]) and topk_ids.strides == more['out'][0].strides\n"
             "  return ids, weights\n",
         " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 in_place=both'", "passed 1", 0);
}

TEST_F(Python, AnExceptionIsARefusalWhereTheReferenceRefuses) {
  expect(kHead + "  raise ValueError('no')\n", kInvalid, "refused 1", 2);
}

TEST_F(Python, AnExceptionIsAFailureWhereTheReferenceDoesNotRefuse) {
  expect(kHead + "  raise ValueError('not today')\n", kValid,
         "a valid case was answered with bad_parameter (ValueError: not today (kernel.py:3))", 1);
  expect(kHead + "  return topk_ids[1, 2, 3]\n", kValid, "IndexError: too many indices", 1);
  expect(kHead + "  raise KeyboardInterrupt()\n", kValid, "runtime_error (KeyboardInterrupt (kernel.py:3))", 1);
}

TEST_F(Python, AResultIsNoRefusal) {
  expect(kRight + "  return ids.astype(np.int32), weights\n", kInvalid, "got ok", 1);
  expect(kHead + "  return topk_ids, topk_weights\n", kInvalid, "expected id_overflow, got runtime_error", 1);
}

TEST_F(Python, WhatIsWrongWithAResultIsNamed) {
  expect(kRight + "  return ids[:, :5], weights\n", kValid, "returned ids of shape (3, 5), expected (3, 6)", 1);
  expect(kRight + "  return ids, weights.ravel()\n", kValid, "returned weights that is of shape (18,)", 1);
  expect(kRight + "  return ids.astype(np.int64), weights\n", kValid, "returned ids of dtype int64, expected int32", 1);
  expect(kRight + "  return ids, weights.astype(np.float64)\n", kValid, "weights of dtype float64, expected float32", 1);
  expect(kRight + "  return ids.astype('>i4'), weights\n", kValid, "ids of dtype >i4, expected int32", 1);
  expect(kRight + "  return np.empty(ids.shape, 'V0'), weights\n", kValid, "ids of dtype |V0, expected int32", 1);
  expect(kRight + "  return np.asfortranarray(ids), weights\n", kValid,
         "returned ids with strides (1, 3) in elements, expected unit column stride", 1);
  expect(kRight + "  return ids, np.broadcast_to(weights[:1], weights.shape)\n", kValid, "weights with strides (0, 1)", 1);
  expect(kRight + "  return ids.tolist(), weights\n", kValid, "returned ids that is a list, expected a numpy.ndarray", 1);
  expect(kRight + "  return ids\n", kValid, "returned a ndarray, expected (ids, weights)", 1);
  expect(kRight + "  return ids, weights, 0\n", kValid, "returned a tuple of 3, expected (ids, weights)", 1);
  expect(kRight + "  return weights, ids\n", kValid, "returned ids of dtype float32", 1);
}

TEST_F(Python, WhatTheFunctionWritesIsTheJudges) {
  expect(kRight + "  topk_ids[0, 0] += 1\n  return ids, weights\n", kValid, "law=inputs_unchanged", 1);
  expect(kRight + "  ids[1, 5] += 1\n  return ids, weights\n", kValid, "law=appended_ids", 1);
  expect(kRight + "  more['out'][0][:2] = ids[:2]\n  more['out'][1][:] = weights\n", kValid, "law=all_written", 1);
}

TEST_F(Python, SupportsDecides) {
  const std::string right = kRight + "  return ids, weights\n";
  expect(right + "def supports(case): return True\n", kValid, "passed 1", 0);
  expect(right + "def supports(case): return False\n", kValid, "unsupported 1", 2);
  expect(right + "def supports(case): return 'only on Sundays'\n", kValid, "only on Sundays", 2);
  expect(right + "def supports(case): return 1\n", kValid, "supports() answered 1, expected True, False or a str", 1);
  expect(right + "def supports(case): return case.colour\n", kValid, "AttributeError", 1);
  expect(right +
             "def supports(case):\n"
             "  said = (case.source, case.tokens, case.top_k, case.num_shared, case.ids_dtype, case.weights_dtype,\n"
             "          case.shared_dtype, case.broadcast, case.in_place, case.scale, case.base_id, case.remap)\n"
             "  assert said == ('weights', 3, 4, 2, 'i32', 'f32', 'f32', False, 'none', 1.0, 64, 0), said\n"
             "  assert case.hidden is None and case.shared.cols == 2\n"
             "  assert str(case).startswith(\"Case(source='weights', tokens=3, top_k=4\"), case\n"
             "  assert repr(case.shared).startswith('Matrix(rows=3, cols=2, row_stride=2, dtype='), case.shared\n"
             "  return True\n",
         kValid, "passed 1", 0);
}

TEST_F(Python, ArgumentsThatAFunctionDoesNotTakeAreNotPutToIt) {
  const std::string plain =
      "import numpy as np\n"
      "def append(topk_ids, topk_weights, num_shared, base_id, *, source, scale=1.0):\n"
      "  T, K = topk_ids.shape\n"
      "  ids = np.empty((T, K + num_shared), topk_ids.dtype)\n"
      "  weights = np.empty((T, K + num_shared), topk_weights.dtype)\n"
      "  ids[:, :K], ids[:, K:] = topk_ids, base_id + np.arange(num_shared)\n"
      "  weights[:, :K], weights[:, K:] = topk_weights, scale\n"
      "  return ids, weights\n";
  expect(plain, " 'append source=constant tokens=3 top_k=4 shared=2 base_id=64 scale=0.5'", "passed 1", 0);
  expect(plain, " 'append source=constant tokens=3 top_k=4 shared=2 base_id=64 remap=8'", "append() takes no remap", 2);
  expect(plain, kValid, "append() takes no shared", 2);
  expect(plain, " 'append source=constant tokens=3 top_k=4 shared=2 base_id=64 out_ids.cols=7'",
         "append() takes no out, and out_ids is not of the result's shape", 2);
  expect(plain, " 'append source=constant tokens=3 top_k=4 shared=2 base_id=64 out_ids.pointer=topk_ids+4'",
         "append() takes no out, and out_ids overlaps another matrix", 2);
  expect(kHead.substr(0, kHead.find("source")) + "source, remap):\n  return topk_ids, topk_weights\n",
         " 'append source=constant tokens=3 top_k=4 shared=0 base_id=64 remap=8 in_place=ids'",
         "append() takes no out, and out_ids overlaps another matrix", 2);
}

TEST_F(Python, WhatNoTensorCanBeIsUnsupported) {
  const std::string right = kRight + "  return ids, weights\n";
  expect(right, " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 topk_ids.rows=-1'", "topk_ids has -1 rows", 2);
  expect(right, " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 shared.dtype=9'", "shared has dtype 9", 2);
  expect(right, " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 shared.pointer=null'", "null pointer", 2);
}

TEST_F(Python, AFileThatIsNoCandidateIsSaidToBeNone) {
  write("kernel.py", "def append(:\n");
  expect_unusable("verify --candidate kernel.py",
                  "kernel.py is not a candidate: SyntaxError: invalid syntax (kernel.py, line 1)");
  write("kernel.py", "x = 1\n");
  expect_unusable("verify --candidate kernel.py", "it has no function append; expected def append(topk_ids, topk_weights");
  write("kernel.py", "def append(topk_ids, topk_weights, base_id, *, source): pass\n");
  expect_unusable("verify --candidate kernel.py", "cannot be called: too many positional arguments");
  write("kernel.py", "import no_such_module_anywhere\n");
  expect_unusable("verify --candidate kernel.py",
                  "ModuleNotFoundError: No module named 'no_such_module_anywhere' (kernel.py:1); this is Python 3");
  write("kernel.py", "runs_on = 'tpu'\ndef append(*a, **k): pass\n");
  expect_unusable("verify --candidate kernel.py", "runs_on is 'tpu', expected 'cpu', 'cuda' or 'hip'");
  write("kernel.py", "import sys\nsys.exit(4)\n");
  expect_unusable("verify --candidate kernel.py", "SystemExit: 4 (kernel.py:2)");
  expect_unusable("verify --candidate absent.py", "absent.py");
  expect_unusable("verify --candidate libtwincheck_python.so", "is an adapter, expected the file that it is to load");
}

TEST_F(Python, WithoutTheAdapterItIsSaidWhatToInstall) {
  write("kernel.py", kRight);
  fs::create_directories(folder_ / "alone" / "bin");
  fs::copy_file(kProgram, folder_ / "alone" / "bin" / "twincheck");
  const int status = std::system(
      ("cd '" + folder_.string() + "' && alone/bin/twincheck verify --candidate kernel.py >out.txt 2>err.txt </dev/null")
          .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  const std::string said = contents(folder_ / "err.txt");
  EXPECT_TRUE(has(said, "kernel.py needs libtwincheck_python.so, which is not here")) << said;
  EXPECT_TRUE(has(said, "apt-get install python3-dev pybind11-dev python3-numpy")) << said;
}

TEST_F(Python, ItsModulesAreThoseBesideItAndNothingIsLeftBehind) {
  write("helper.py", "WORDS = 'from the helper'\n");
  write("kernel.py", "import helper\n" + kHead + "  raise ValueError(helper.WORDS)\n");
  const Ran r = run("replay --candidate kernel.py" + kValid, "-u PYTHONDONTWRITEBYTECODE");
  EXPECT_TRUE(has(r.out, "ValueError: from the helper")) << r.out << r.err;
  EXPECT_FALSE(fs::exists(folder_ / "__pycache__"));
}

TEST_F(Python, AnExitCostsItsCase) {
  expect("import sys\n" + kHead + "  sys.exit(3)\n", kValid, "exit status 3", 1);
  expect("import sys\n" + kHead + "  sys.exit('enough')\n", kValid, "enough", 1);
  expect("import os\n" + kHead + "  os.abort()\n", kValid, "SIGABRT", 1);
}

TEST_F(Python, AnEndlessLoopCostsItsCase) {
  const Ran r = replay(kHead + "  while True: pass\n", kValid, "--timeout 0.5");
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(has(r.out, "HANG") || has(r.out, "did not return within")) << r.out;
}

TEST_F(Python, PrintingDisturbsNobody) {
  expect(kRight + "  print('tokens', len(ids))\n  return ids, weights\n", kValid, "passed 1", 0);
}

// As the compiler of a Triton kernel does in its first call.
TEST_F(Python, ALibraryMayPutHandlersOnSignals) {
  write("kernel.py",
        "import ctypes, sys\n"
        "sys.path.append('" +
            kExamples +
            "')\n"
            "import numpy_append\n"
            "def append(*matrices, **more):\n"
            "  ctypes.CDLL(None).signal(11, ctypes.c_void_p(1))\n"
            "  return numpy_append.append(*matrices, **more)\n");
  const Ran r = run("verify --candidate kernel.py --cases 100 --seed 0x5eed --jobs 1 --no-corpus --save ''");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
}

TEST_F(Python, TheRightExampleIsRight) {
  const Ran verify =
      run("verify --candidate " + kExamples + "/numpy_append.py --cases 4000 --seed 0x5eed --jobs 1 --save ''");
  EXPECT_EQ(verify.status, 0) << verify.out << verify.err;
  const Ran gate = run("gate --tier smoke --candidate " + kExamples + "/numpy_append.py --cases 2000 --save ''");
  EXPECT_EQ(gate.status, 0) << gate.out << gate.err;
  const Ran sweep = run("sweep bf16-f16 f16-bf16 bf16-f32 f16-f32 --candidate " + kExamples + "/numpy_append.py");
  EXPECT_EQ(sweep.status, 0) << sweep.out << sweep.err;
}

TEST_F(Python, TheWrongExampleIsWrongInOneWay) {
  const Ran r = run("verify --candidate " + kExamples + "/wrong_append.py --cases 4000 --seed 0x5eed --jobs 1 --save ''");
  EXPECT_EQ(r.status, 1) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "law=appended_weights")) << r.out;
  std::string others = r.out;
  for (std::size_t at; (at = others.find("law=appended_weights")) != std::string::npos;) others.erase(at, 4);
  EXPECT_FALSE(has(others, "law=")) << r.out;
}

TEST_F(Python, TheMistakesAreOfTheTritonExample) {
  int mistakes = 0;
  for (const fs::directory_entry& patch : fs::directory_iterator(kExamples + "/mistakes")) {
    ++mistakes;
    fs::copy_file(kExamples + "/triton_append.py", folder_ / "kernel.py", fs::copy_options::overwrite_existing);
    const std::string commands = "cd '" + folder_.string() + "' && patch -s -F0 kernel.py '" + patch.path().string() +
                                 "' && '" TWINCHECK_PYTHON_PROGRAM
                                 "' -c 'compile(open(\"kernel.py\").read(), \"kernel.py\", \"exec\")'";
    EXPECT_EQ(std::system(commands.c_str()), 0) << patch.path();
    EXPECT_NE(contents(folder_ / "kernel.py"), contents(kExamples + "/triton_append.py")) << patch.path();
  }
  EXPECT_EQ(mistakes, 5);
}

}  // namespace
}  // namespace twincheck::test
