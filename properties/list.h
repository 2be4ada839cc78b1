// Declares the function of every law of laws.inc and device_laws.inc: `Law law::NAME()`, defined in NAME.cpp.
#pragma once

#include "properties/law.h"

namespace twincheck::law {
#define TWINCHECK_LAW(name) Law name();
#include "properties/device_laws.inc"
#include "properties/laws.inc"
#undef TWINCHECK_LAW
}  // namespace twincheck::law
