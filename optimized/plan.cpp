#include "optimized/plan.h"

#include <algorithm>

namespace twincheck::optimized {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr int64_t kVectorBytes = 16;

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

bool is_aligned(const void* data, int64_t stride, int64_t element_bytes) {
  return reinterpret_cast<std::uintptr_t>(data) % kVectorBytes == 0 && stride % (kVectorBytes / element_bytes) == 0;
}

// Of at most 65,535 chunks along either axis, whatever the tuning; rounding down to whole rows and vectors may double their
// number twice.
int64_t chunk_of(int64_t elements, const Tuning& tuning) {
  return std::clamp(elements / 16000, tuning.chunk_elements, std::max(tuning.chunk_elements, kChunkElements));
}

uint32_t blocks_for(int64_t all, int64_t each) { return static_cast<uint32_t>((all + each - 1) / each); }

}  // namespace

Divisor make_divisor(uint32_t d) {
  if (d == 1) return {1, 0, 0};
  const uint32_t s = ceil_log2(d);
  const uint64_t power = uint64_t{1} << (31 + s);
  return {d, static_cast<uint32_t>((power + d - 1) / d), s - 1};
}

WideDivisor make_wide_divisor(uint64_t d) {
  if (d == 1) return {0, 0};
  const uint32_t s = ceil_log2(d);
  const Wide power = Wide{1} << (63 + s);
  return {static_cast<uint64_t>((power + d - 1) / d), s - 1};
}

bool is_in_place(const Matrix& in, const Matrix& out) { return in.rows > 0 && in.cols > 0 && in.data == out.data; }

Side plan_side(const Matrix* in, const Matrix& out, int64_t routed, int64_t shared, int64_t element_bytes, bool in_place,
               const Tuning& asked) {
  const int64_t vector = kVectorBytes / element_bytes;
  Side side{};
  side.routed = routed;
  side.first_column = in_place ? routed : 0;
  side.rows = out.rows;
  side.columns = in_place ? shared : routed + shared;
  if (side.rows == 0 || side.columns == 0) return side;
  side.out = out.data;
  side.out_stride = stride_of(out);
  const bool reads = routed > 0 && !in_place;
  const Tuning tuning{asked.vector_from, chunk_of(side.rows * side.columns, asked), asked.small_block};
  side.in = reads ? in->data : out.data;
  side.in_stride = reads ? stride_of(*in) : 0;

  // A plain copy between tight matrices is one long row.
  if (shared == 0 && side.in_stride == (side.rows > 1 ? routed : 0) && side.out_stride == side.in_stride) {
    side.columns *= side.rows;
    side.routed = side.columns;
    side.rows = 1;
    side.in_stride = side.out_stride = 0;
  }

  const bool aligned = reinterpret_cast<std::uintptr_t>(side.out) % kVectorBytes == 0 && side.first_column == 0;
  const bool many = side.rows * side.columns >= std::max(vector, tuning.vector_from);
  side.mapping = Mapping::kScalar;
  if (many && aligned) {
    if (side.out_stride % vector == 0 && side.columns >= vector) {
      side.mapping = Mapping::kRows;
    } else if (side.out_stride == side.columns && side.columns <= tuning.chunk_elements / vector) {
      side.mapping = Mapping::kFlat;
    }
  }

  side.chunk_columns = std::min(side.columns, tuning.chunk_elements / vector * vector);
  side.chunk_rows = std::max<int64_t>(1, std::min(side.rows, tuning.chunk_elements / side.chunk_columns));
  if (side.chunk_rows < side.rows && side.mapping == Mapping::kFlat) side.chunk_rows = side.chunk_rows / vector * vector;

  int64_t places = side.chunk_columns;
  if (side.mapping == Mapping::kRows) places = (places + vector - 1) / vector;
  side.divisor = make_divisor(static_cast<uint32_t>(places));
  int64_t units = side.chunk_rows * places;
  if (side.mapping == Mapping::kFlat) units = (units + vector - 1) / vector;
  side.units = static_cast<uint32_t>(units);
  side.wide_in = side.mapping == Mapping::kRows && reads && is_aligned(side.in, side.in_stride, element_bytes);
  return side;
}

GateRows plan_gate(const AppendArgs& args, const Matrix& out, int64_t first_column) {
  GateRows rows{};
  rows.lanes = 1;
  if (args.source != TWINCHECK_GATE || args.num_shared == 0 || args.topk_ids.rows == 0) return rows;
  const int64_t bytes = bytes_of(args.hidden.dtype);
  rows.rows = args.topk_ids.rows;
  rows.hidden_size = args.hidden.cols;
  rows.hidden_stride = stride_of(args.hidden);
  rows.hidden = args.hidden.data;
  rows.gate = args.gate.data;
  // As a number: an extent may pass the end of the addresses, and pointers may not.
  rows.out = reinterpret_cast<unsigned char*>(reinterpret_cast<std::uintptr_t>(out.data) +
                                              static_cast<std::uintptr_t>(first_column * bytes_of(out.dtype)));
  rows.out_stride = stride_of(out);
  // About 32 elements a lane, 256 lanes at most; short rows need no company.
  rows.lane_bits =
      rows.hidden_size <= 64 ? 0 : std::clamp<uint32_t>(ceil_log2(static_cast<uint64_t>(rows.hidden_size)) - 5, 3, 8);
  rows.lanes = uint32_t{1} << rows.lane_bits;
  rows.wide = is_aligned(rows.hidden, rows.hidden_stride, bytes) && is_aligned(rows.gate, 0, bytes);
  return rows;
}

Plan plan_grid(const Arguments& arguments, const Tuning& tuning) {
  Plan plan{arguments, 0, 1, 1, 0};
  Arguments& a = plan.arguments;
  const int64_t rows_at_once = std::max<int64_t>(1, chunk_of(a.gate.rows * a.gate.lanes, tuning) / a.gate.lanes);
  const int64_t gate_threads = std::min(a.gate.rows, rows_at_once) * a.gate.lanes;
  const int64_t threads = std::max({int64_t{a.ids.units}, int64_t{a.weights.units}, gate_threads});
  // Little work spreads over more multiprocessors in small blocks.
  plan.block = std::max<uint32_t>(threads <= 16384 ? tuning.small_block : kMaxBlock, a.gate.lanes);
  a.ids.blocks = blocks_for(a.ids.units, plan.block);
  a.weights.blocks = blocks_for(a.weights.units, plan.block);
  a.gate.blocks = blocks_for(gate_threads, plan.block);
  plan.grid_x = a.gate.blocks + a.ids.blocks + a.weights.blocks;
  for (const Side* side : {&a.ids, &a.weights}) {
    if (side->units == 0) continue;
    plan.grid_y = std::max(plan.grid_y, blocks_for(side->rows, side->chunk_rows));
    plan.grid_z = std::max(plan.grid_z, blocks_for(side->columns, side->chunk_columns));
  }
  if (a.gate.blocks > 0) {
    plan.grid_y = std::max(plan.grid_y, blocks_for(a.gate.rows, int64_t{a.gate.blocks} * (plan.block / a.gate.lanes)));
  }
  return plan;
}

Arguments common_arguments(const AppendArgs& args) {
  Arguments a{};
  a.gate.lanes = 1;
  const bool reads = (args.source == TWINCHECK_WEIGHTS || args.source == TWINCHECK_LOGITS) && args.num_shared > 0;
  a.shared = reads ? args.shared.data : nullptr;
  a.shared_stride = reads ? stride_of(args.shared) : 0;
  a.shared_step = args.shared.cols == 1 ? 0 : 1;
  a.num_shared = args.num_shared;
  a.base_id = args.base_id;
  a.has_remap = args.remap_local_routed > 0;
  if (a.has_remap) a.remap = make_wide_divisor(static_cast<uint64_t>(args.remap_local_routed));
  a.scale = args.scale;
  return a;
}

Plan plan_append(const AppendArgs& args, const Tuning& tuning) {
  Arguments a = common_arguments(args);
  const int64_t routed = args.topk_ids.cols, shared = args.num_shared;
  a.ids = plan_side(&args.topk_ids, args.out_ids, routed, shared, bytes_of(args.out_ids.dtype),
                    is_in_place(args.topk_ids, args.out_ids), tuning);
  a.gate = plan_gate(args, args.out_weights, routed);
  // The gate's own blocks write the shared columns.
  const int64_t appended = a.gate.rows > 0 ? 0 : shared;
  a.weights = plan_side(&args.topk_weights, args.out_weights, routed, appended, bytes_of(args.out_weights.dtype),
                        is_in_place(args.topk_weights, args.out_weights), tuning);
  return plan_grid(a, tuning);
}

}  // namespace twincheck::optimized
