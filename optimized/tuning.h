// The numbers that differ by platform, chosen by the build. No result depends on them.
#pragma once

#include "optimized/plan.h"

#ifndef TWINCHECK_VECTOR_FROM
#define TWINCHECK_VECTOR_FROM 131072
#endif
#ifndef TWINCHECK_CHUNK_ELEMENTS
#define TWINCHECK_CHUNK_ELEMENTS kChunkElements
#endif

namespace twincheck::optimized {

inline constexpr Tuning kTuning{/*vector_from=*/TWINCHECK_VECTOR_FROM,
                                /*chunk_elements=*/TWINCHECK_CHUNK_ELEMENTS};

}  // namespace twincheck::optimized
