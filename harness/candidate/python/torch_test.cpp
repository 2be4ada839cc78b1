// Python files that run on a GPU, on a driver and a torch for machines without one: what the adapter hands to torch, and
// what it makes of what comes back.
#include "harness/cli/cli_test_support.h"

namespace twincheck::test {
namespace {

const std::string kValid =
    " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 shared_dtype=bf16 weights_dtype=bf16'";

// The right answer: `ids` and `weights`, new tensors. What follows makes something of them.
const std::string kRight =
    "import numpy as np\n"
    "import torch\n"
    "runs_on = 'cuda'\n"
    "def append(topk_ids, topk_weights, num_shared, base_id, *, source, out, **more):\n"
    "  rows = topk_ids.shape[0]\n"
    "  appended = np.broadcast_to(np.arange(base_id, base_id + num_shared, dtype=topk_ids.array.dtype), (rows, "
    "num_shared))\n"
    "  ids = torch.Tensor(np.hstack([topk_ids.array, appended]), topk_ids.dtype, topk_ids.device)\n"
    "  both = np.hstack([topk_weights.array, more['shared'].array])\n"
    "  weights = torch.Tensor(both, topk_weights.dtype, topk_weights.device)\n";

class PythonOnAGpu : public Cli {
 protected:
  Ran judge(const std::string& source, const std::string& what) {
    write("kernel.py", source);
    return run(what, "LD_LIBRARY_PATH=" TWINCHECK_FAKE_CUDA " PYTHONPATH=" TWINCHECK_FAKE_TORCH);
  }
  void expect(const std::string& rest, const std::string& what, const std::string& words, int status) {
    const Ran r = judge(kRight + rest, "replay --candidate kernel.py" + what);
    EXPECT_EQ(r.status, status) << rest << r.out << r.err;
    EXPECT_TRUE(has(r.out, words)) << "expected: " << words << "\n" << rest << r.out << r.err;
  }
};

TEST_F(PythonOnAGpu, AReturnedPairIsCopiedAndOutMayBeFilled) {
  expect("  return ids, weights\n", kValid, "passed 1", 0);
  expect("  out[0].copy_(ids), out[1].copy_(weights)\n", kValid, "passed 1", 0);
  expect("  out[0].copy_(ids), out[1].copy_(weights)\n  return out\n", kValid, "passed 1", 0);
}

TEST_F(PythonOnAGpu, TensorsAreTheCasesOwnMemory) {
  expect(
      "  told = seen\n"
      "  for name, tensor in dict(topk_ids=topk_ids, topk_weights=topk_weights, shared=more['shared'],\n"
      "                           out_ids=out[0], out_weights=out[1]).items():\n"
      "    m = getattr(told, name)\n"
      "    assert tensor.data_ptr() == m.address and tensor.shape == (m.rows, m.cols), name\n"
      "    assert tensor.stride() == (m.row_stride, 1) and str(tensor.device) == 'cuda:0', name\n"
      "  assert topk_weights.dtype is torch.bfloat16 and topk_ids.dtype is torch.int32\n"
      "  return ids, weights\n"
      "def supports(case):\n"
      "  global seen\n"
      "  seen = case\n"
      "  return True\n",
      " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 shared_dtype=bf16 weights_dtype=bf16 "
      "topk_ids.row_stride=7 "
      "shared.offset=3 out_weights.row_stride=9'",
      "passed 1", 0);
}

TEST_F(PythonOnAGpu, TheStreamIsTheJudges) {
  expect("  assert torch.cuda.stream.handle != 0 and torch.cuda.made == 1\n  return ids, weights\n", kValid, "passed 1", 0);
}

TEST_F(PythonOnAGpu, EveryDtypeArrivesAsItself) {
  for (const std::string ids : {"i32", "i64"})
    for (const std::string weights : {"f32", "bf16", "f16"})
      expect("  return ids, weights\n",
             " 'append source=weights tokens=3 top_k=4 shared=2 base_id=64 ids_dtype=" + ids + " weights_dtype=" + weights +
                 " shared_dtype=" + weights + "'",
             "passed 1", 0);
}

TEST_F(PythonOnAGpu, WhatTheRuntimeRefusesIsNoRefusalOfTheFunctions) {
  const std::string kInvalid = " 'append source=weights tokens=3 top_k=4 shared=2 base_id=2147483647'";
  for (const std::string words : {"CUDA error: invalid argument", "CUDA out of memory. Tried to allocate 2 GiB",
                                  "Triton Error [CUDA]: device kernel image is invalid", "HIP error: no device"}) {
    expect("  raise RuntimeError('" + words + "')\n", kValid, "answered with runtime_error (RuntimeError: " + words, 1);
    expect("  raise RuntimeError('" + words + "')\n", kInvalid, "expected id_overflow, got runtime_error", 1);
  }
  expect("  raise RuntimeError('no such shape')\n", kValid, "answered with bad_parameter (RuntimeError: no such shape", 1);
  expect("  raise RuntimeError('no such base_id')\n", kInvalid, "refused 1", 2);
}

TEST_F(PythonOnAGpu, SeveralProcessesJudgeIt) {
  const Ran r = judge(kRight +
                          "  return ids, weights\n"
                          "def supports(case): return False\n"
                          "import os\n"
                          "open(f'process-{os.getpid()}', 'w').close()\n",
                      "verify --candidate kernel.py --cases 4000 --seed 0x5eed --jobs 3 --no-corpus --save ''");
  const auto files = fs::directory_iterator(folder_);
  const auto ours = std::count_if(
      begin(files), end(files), [](const fs::directory_entry& f) { return has(f.path().filename().string(), "process-"); });
  EXPECT_GE(ours, 1 + 3) << r.out << r.err;  // one is asked for the candidate's name
}

TEST_F(PythonOnAGpu, WhatIsWrongWithAResultIsNamed) {
  expect("  ids.device = torch.Device('cpu', 0)\n  return ids, weights\n", kValid,
         "returned ids that is on device cpu:0, expected cuda:0", 1);
  expect("  ids.dtype = torch.int64\n  return ids, weights\n", kValid, "ids of dtype torch.int64, expected torch.int32", 1);
  expect("  weights.dtype = torch.float16\n  return ids, weights\n", kValid,
         "weights of dtype torch.float16, expected torch.bfloat16", 1);
  expect("  ids.array = ids.array[:, :5]\n  return ids, weights\n", kValid, "returned ids of shape (3, 5), expected (3, 6)",
         1);
  expect("  ids.array = ids.array.ravel()\n  return ids, weights\n", kValid, "ids that is of shape (18,)", 1);
  expect("  ids.array = np.asfortranarray(ids.array)\n  return ids, weights\n", kValid,
         "returned ids with strides (1, 3) in elements", 1);
  expect("  return ids.array, weights\n", kValid, "returned ids that is a ndarray, expected a torch.Tensor", 1);
}

}  // namespace
}  // namespace twincheck::test
