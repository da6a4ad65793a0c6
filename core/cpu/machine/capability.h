#pragma once

namespace folio {

// What kernels use of an x86 processor: all that it has, or, where the environment variable
// FOLIO_CPU_CAPABILITY says so, as if it had no more than
//   avx512      AVX-512 without its products of bf16 and bytes, and without AMX
//   avx2_vnni   AVX2 and AVX-VNNI's products of bytes
//   avx2        AVX2
//   scalar      no vectors of folio's own, as on processors older than AVX2
// like PyTorch's ATEN_CPU_CAPABILITY: to try and to time what other machines will run.

// Keeps Highway's and oneDNN's kernels to it: before the first of them runs. Error for a value that
// is none of these, or that this processor lacks.
void keep_to_cpu_capability();

bool may_use_avx2();         // with FMA, which its kernels need as well
bool may_use_avx_vnni();     // likewise with AVX2
bool may_use_avx512_bf16();  // likewise with AVX512BW
bool may_use_avx512_vnni();
bool may_use_amx();  // nothing forbids it; whether it is there: amx_tiles()

}  // namespace folio
