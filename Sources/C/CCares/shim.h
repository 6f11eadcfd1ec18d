// c-ares. The system's declarations that it includes stay with Swift's own module, for which they are named first.
#pragma once
#if __has_include(<SwiftGlibc.h>)
#include <SwiftGlibc.h>
#endif
#include <ares.h>
