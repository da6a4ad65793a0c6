#pragma once

// x86's intrinsics. GCC 12 takes the undefined operands of its own header for mistakes, wherever
// its functions end up: the warnings stay off in the file that includes this.
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
