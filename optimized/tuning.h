// The numbers that differ by platform, chosen by the build. No result depends on them.
#pragma once

#include "optimized/plan.h"

#ifndef TWINCHECK_VECTOR_FROM
#define TWINCHECK_VECTOR_FROM 131072
#endif
#ifndef TWINCHECK_CHUNK_ELEMENTS
#define TWINCHECK_CHUNK_ELEMENTS kChunkElements
#endif
#ifndef TWINCHECK_SMALL_BLOCK
#define TWINCHECK_SMALL_BLOCK 64
#endif

namespace twincheck::optimized {

inline constexpr Tuning kTuning{/*vector_from=*/TWINCHECK_VECTOR_FROM,
                                /*chunk_elements=*/TWINCHECK_CHUNK_ELEMENTS,
                                /*small_block=*/TWINCHECK_SMALL_BLOCK};

}  // namespace twincheck::optimized
