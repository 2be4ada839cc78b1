// The numbers that differ by platform, chosen by the build. No result depends on them.
#pragma once

#include "optimized/plan.h"

#ifndef TWINCHECK_BLOCK
#define TWINCHECK_BLOCK 128
#endif
#ifndef TWINCHECK_CHUNK_ELEMENTS
#define TWINCHECK_CHUNK_ELEMENTS kChunkElements
#endif
#ifndef TWINCHECK_PAIRS_TO
#define TWINCHECK_PAIRS_TO (int64_t{1} << 19)
#endif
#ifndef TWINCHECK_PREFETCH_FROM
#define TWINCHECK_PREFETCH_FROM (int64_t{1} << 19)
#endif

namespace twincheck::optimized {

inline constexpr Tuning kTuning{/*block=*/TWINCHECK_BLOCK, /*chunk_elements=*/TWINCHECK_CHUNK_ELEMENTS, /*vectors=*/true,
                                /*pairs_to=*/TWINCHECK_PAIRS_TO, /*prefetch_from=*/TWINCHECK_PREFETCH_FROM};

}  // namespace twincheck::optimized
