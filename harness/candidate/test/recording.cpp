// The candidate "recording.plain": right, and writes a line for each call into the file that RECORD_CALLS names: a hash of
// what the call is about (parameters, shapes, strides, contents of the inputs) and of nothing else, so that the same work
// gives the same lines in whatever order and processes.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "harness/candidate/test/independent.h"

namespace {

thread_local const char* last_reason = "";

class Hash {
 public:
  void bytes(const void* data, std::size_t size) {
    const auto* const p = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; ++i) value_ = (value_ ^ p[i]) * 0x100000001b3u;
  }
  template <class T>
  void number(T n) {
    bytes(&n, sizeof n);
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

std::size_t element_bytes(int32_t dtype) {
  return dtype == TWINCHECK_I64 ? 8 : dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16 ? 2 : 4;
}

void shape(Hash& hash, const twincheck_matrix& m) {
  hash.number(m.rows);
  hash.number(m.cols);
  hash.number(m.rows > 1 ? m.row_stride : 0);
  hash.number(m.dtype);
  hash.number(m.data != nullptr);
}

void contents(Hash& hash, const twincheck_matrix& m) {
  if (m.rows == 0 || m.cols == 0) return;
  const std::size_t element = element_bytes(m.dtype);
  for (int64_t r = 0; r < m.rows; ++r)
    hash.bytes(static_cast<const char*>(m.data) + static_cast<std::size_t>(r * m.row_stride) * element,
               static_cast<std::size_t>(m.cols) * element);
}

void add(Hash& hash, const twincheck_append_args& args) {
  hash.number(args.size);
  if (args.size < sizeof args) return;
  hash.number(args.source);
  for (const twincheck_matrix* m :
       {&args.topk_ids, &args.topk_weights, &args.shared, &args.hidden, &args.gate, &args.out_ids, &args.out_weights})
    shape(hash, *m);
  hash.number(args.num_shared);
  hash.number(args.base_id);
  hash.number(args.remap_local_routed);
  hash.number(args.scale);
  if (independent::refusal(args).status == TWINCHECK_OK)
    for (const twincheck_matrix* m : {&args.topk_ids, &args.topk_weights, &args.shared, &args.hidden, &args.gate})
      contents(hash, *m);
}

void record(const twincheck_append_args& args) {
  static const char* const path = std::getenv("RECORD_CALLS");
  if (path == nullptr) return;
  static const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  Hash hash;
  add(hash, args);
  char line[18];
  std::snprintf(line, sizeof line, "%016llx\n", static_cast<unsigned long long>(hash.value()));
  if (write(file, line, 17) != 17) std::abort();
}

}  // namespace

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return "recording.plain"; }
int32_t twincheck_memory_kind(void) { return TWINCHECK_HOST; }

int32_t twincheck_append(const twincheck_append_args* args) {
  record(*args);
  const independent::Answer answer = independent::append(*args);
  last_reason = answer.reason;
  return answer.status;
}

const char* twincheck_last_error(void) { return last_reason; }
int64_t twincheck_get(const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : -1; }
