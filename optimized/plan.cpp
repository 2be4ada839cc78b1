#include "optimized/plan.h"

#include <algorithm>

namespace twincheck::optimized {
namespace {

__extension__ using Wide = unsigned __int128;

int64_t bytes_of(int32_t dtype) {
  if (dtype == TWINCHECK_I64) return 8;
  return dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16 ? 2 : 4;
}

uint32_t ceil_log2(uint64_t d) {
  uint32_t bits = 0;
  while (bits < 64 && (uint64_t{1} << bits) < d) ++bits;
  return bits;
}

int64_t stride_of(const Matrix& m) { return m.rows > 1 ? m.row_stride : 0; }

bool is_tight(const Matrix& m) { return m.rows <= 1 || m.row_stride == m.cols; }

// As a number: an extent may pass the end of the addresses, and pointers may not.
void* element_of(const Matrix& m, int64_t row, int64_t column) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(m.data) +
                                 static_cast<std::uintptr_t>((row * stride_of(m) + column) * bytes_of(m.dtype)));
}

bool is_aligned(const void* data, int64_t stride_bytes, int64_t alignment) {
  return reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(alignment) == 0 &&
         stride_bytes % alignment == 0;
}

// Whether kElements elements from any multiple of kElements on, counted along the rows from `first`, are a vector: the rows
// follow each other, or every row begins at such a multiple and ends at one. A vector is moved in parts of 16 bytes at most.
bool has_vectors(const void* first, int64_t stride, int64_t columns, int64_t bytes) {
  const int64_t alignment = std::min<int64_t>(16, kElements * bytes);
  if (stride == 0 || stride == columns) return is_aligned(first, 0, alignment);
  return columns % kElements == 0 && is_aligned(first, stride * bytes, alignment);
}

int64_t chunks_of(int64_t all, int64_t each) { return all / each + (all % each != 0 ? 1 : 0); }

// Few chunks of a large task, whatever the tuning.
int64_t chunk_of(int64_t elements, const Tuning& tuning) {
  return std::clamp(elements / 8, tuning.chunk_elements, std::max(tuning.chunk_elements, kChunkElements));
}

// More than matrices of 2^47 bytes need. What asks for more lies at no addresses, and the runtime shall refuse it.
constexpr int64_t kMostChunks = int64_t{1} << 18;

// Whether routed columns are not yet where they belong.
bool copies(const Task& task, const Matrix* in, const Matrix& out) {
  return in != nullptr && task.routed > 0 && in->data != out.data;
}

Geometry geometry_of(const Task& task, const Tuning& tuning, uint32_t lanes) {
  Geometry g{};
  const Matrix* const outs[] = {task.out_ids, task.out_weights};
  const Matrix* const ins[] = {task.ids, task.weights};
  bool left_alone = true;
  for (int i = 0; i < 2; ++i) {
    if (outs[i] == nullptr) continue;
    g.rows = outs[i]->rows;
    left_alone = left_alone && !copies(task, ins[i], *outs[i]);
  }
  g.first_column = left_alone ? task.routed : 0;
  g.routed = task.routed - g.first_column;
  g.columns = g.routed + task.num_shared;
  if (g.rows == 0 || g.columns == 0) return g;

  bool neighbours = tuning.vectors;
  bool wide = g.routed % kElements == 0 && task.num_shared % kElements == 0;
  bool pairs = g.routed > 0 && task.num_shared > 0;
  g.prefetches = g.rows > 1 && g.rows >= tuning.prefetch_from / g.columns;
  int64_t stride = task.shared != nullptr ? stride_of(*task.shared) : 0;
  for (int i = 0; i < 2; ++i) {
    if (outs[i] == nullptr) continue;
    const int64_t bytes = bytes_of(outs[i]->dtype);
    neighbours = neighbours && has_vectors(element_of(*outs[i], 0, g.first_column), stride_of(*outs[i]), g.columns, bytes);
    stride = std::max(stride, stride_of(*outs[i]));
    const bool copied = copies(task, ins[i], *outs[i]);
    pairs = pairs && copied && is_tight(*outs[i]) && is_tight(*ins[i]);
    g.prefetches = g.prefetches && copied && stride_of(*outs[i]) != g.columns;
    if (!copied) continue;
    wide = wide && has_vectors(ins[i]->data, stride_of(*ins[i]), task.routed, bytes);
    stride = std::max(stride, stride_of(*ins[i]));
  }

  const int64_t most = chunk_of(g.rows * g.columns, tuning);
  g.chunk_columns = std::min(g.columns, most / kElements * kElements);
  // In a chunk an element's place in any matrix is less than 2^32 elements from the chunk's first.
  g.chunk_rows = std::min({most / g.chunk_columns, most / lanes, stride > 0 ? (int64_t{1} << 32) / stride : g.rows});
  g.chunk_rows = std::clamp<int64_t>(g.chunk_rows, 1, g.rows);
  // Every chunk begins with a vector.
  if (g.chunk_columns < g.columns) {
    neighbours = neighbours && g.columns % kElements == 0;
  } else if (neighbours && g.chunk_rows < g.rows && g.columns % kElements != 0) {
    neighbours = g.chunk_rows >= kElements;
    if (neighbours) g.chunk_rows = g.chunk_rows / kElements * kElements;
  }
  pairs = pairs && g.chunk_columns == g.columns && g.rows <= tuning.pairs_to / g.columns;
  g.mapping = !neighbours ? Mapping::kApart : pairs ? Mapping::kPairs : wide ? Mapping::kWide : Mapping::kNeighbours;
  return g;
}

GateRows gate_rows(const AppendArgs& args, int64_t hidden_size) {
  GateRows rows{};
  // About 32 elements a lane, 256 lanes at most; short rows need no company.
  rows.lane_bits = hidden_size <= 64 ? 0 : std::clamp<uint32_t>(ceil_log2(static_cast<uint64_t>(hidden_size)) - 5, 3, 8);
  rows.lanes = uint32_t{1} << rows.lane_bits;
  rows.hidden_size = hidden_size;
  rows.hidden_stride = stride_of(args.hidden);
  rows.gate = args.gate.data;
  const int64_t bytes = bytes_of(args.hidden.dtype);
  rows.wide = is_aligned(args.hidden.data, rows.hidden_stride * bytes, 16) && is_aligned(rows.gate, 0, 16);
  return rows;
}

uint32_t blocks_for(int64_t all, int64_t each) { return static_cast<uint32_t>(chunks_of(all, each)); }

}  // namespace

Divisor make_divisor(uint32_t d) {
  const uint32_t s = ceil_log2(d);
  const uint64_t power = uint64_t{1} << (31 + s);
  return {d, static_cast<uint32_t>((power + d - 1) / d), s};
}

WideDivisor make_wide_divisor(uint64_t d) {
  if (d == 1) return {0, 0};
  const uint32_t s = ceil_log2(d);
  const Wide power = Wide{1} << (63 + s);
  return {static_cast<uint64_t>((power + d - 1) / d), s - 1};
}

Task fused_task(const AppendArgs& args) {
  Task task;
  task.ids = &args.topk_ids;
  task.out_ids = &args.out_ids;
  task.weights = &args.topk_weights;
  task.out_weights = &args.out_weights;
  if (args.num_shared > 0) {
    if (args.source == TWINCHECK_WEIGHTS || args.source == TWINCHECK_LOGITS) task.shared = &args.shared;
    if (args.source == TWINCHECK_GATE) task.gate = &args;
  }
  task.routed = args.topk_ids.cols;
  task.num_shared = args.num_shared;
  task.base_id = args.base_id;
  task.remap = args.remap_local_routed;
  task.scale = args.scale;
  return task;
}

Chunks::Chunks(const Task& task, const Tuning& tuning) : task_(task) {
  Arguments& a = first_.arguments;
  a.gate.lanes = 1;
  if (task.gate != nullptr) a.gate = gate_rows(*task.gate, task.gate->hidden.cols);
  geometry_ = geometry_of(task, tuning, a.gate.lanes);
  const Geometry& g = geometry_;
  if (g.rows == 0 || g.columns == 0) return;
  across_ = chunks_of(g.columns, g.chunk_columns);
  const int64_t down = chunks_of(g.rows, g.chunk_rows);
  is_refused_ = down > kMostChunks / across_;
  count_ = is_refused_ ? 1 : down * across_;

  a.mapping = g.mapping;
  a.prefetches = g.prefetches ? 1 : 0;
  if (task.shared != nullptr) {
    a.shared_stride = static_cast<uint32_t>(stride_of(*task.shared));
    a.shared_step = task.shared->cols == 1 ? 0 : 1;
  }
  a.has_remap = task.remap > 0;
  if (a.has_remap != 0) a.remap = make_wide_divisor(static_cast<uint64_t>(task.remap));
  a.scale = task.scale;
  a.num_shared = task.num_shared;
  first_.block = std::max(tuning.block, a.gate.lanes);
}

Plan Chunks::plan(int64_t chunk) const {
  const Task& task = task_;
  const Geometry& g = geometry_;
  Plan plan = first_;
  Arguments& a = plan.arguments;
  // The chunk's first row, column and shared expert.
  const int64_t row = chunk / across_ * g.chunk_rows, column = chunk % across_ * g.chunk_columns;
  const int64_t expert = std::max<int64_t>(0, column - g.routed);
  const int64_t rows = std::min(g.chunk_rows, g.rows - row), columns = std::min(g.chunk_columns, g.columns - column);
  a.columns = make_divisor(static_cast<uint32_t>(columns));
  a.routed = static_cast<uint32_t>(std::clamp<int64_t>(g.routed - column, 0, columns));
  a.count = static_cast<uint32_t>(rows * columns);
  const auto add = [&](const Matrix* in, const Matrix* out, Side* side) {
    if (out == nullptr) return;
    side->out = element_of(*out, row, g.first_column + column);
    side->out_stride = static_cast<uint32_t>(stride_of(*out));
    const bool appends = task.gate == nullptr || out != task.out_weights;
    const bool copied = copies(task, in, *out);
    side->vectors = a.mapping != Mapping::kApart && (copied || a.routed == 0) && (appends || a.routed == a.columns.value);
    if (!copied || a.routed == 0) return;
    side->in = element_of(*in, row, column);
    side->in_stride = static_cast<uint32_t>(stride_of(*in));
    side->copies = 1;
  };
  add(task.ids, task.out_ids, &a.ids);
  add(task.weights, task.out_weights, &a.weights);
  if (task.shared != nullptr) a.shared = element_of(*task.shared, row, expert * a.shared_step);
  a.first_id = task.base_id + expert;

  plan.grid = blocks_for(a.count, int64_t{plan.block} * (a.mapping == Mapping::kPairs ? 2 : kElements));
  if (task.gate != nullptr && column == 0) {
    a.gate.rows = rows;
    a.gate.hidden = element_of(task.gate->hidden, row, 0);
    a.gate.out = element_of(*task.out_weights, row, task.out_weights->cols - task.num_shared);
    a.gate.out_stride = stride_of(*task.out_weights);
    a.gate.blocks = blocks_for(rows, plan.block / a.gate.lanes);
    plan.grid += a.gate.blocks;
  }
  if (is_refused_) plan.grid = UINT32_MAX;
  return plan;
}

}  // namespace twincheck::optimized
