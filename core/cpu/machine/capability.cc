#include "core/cpu/machine/capability.h"

#include <hwy/highway.h>
#if HWY_ARCH_X86_64
#include <cpuid.h>
#endif

#include <cstdlib>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>

#include "core/check.h"

namespace folio {
namespace {

std::string_view stated() {
  static const char* value = std::getenv("FOLIO_CPU_CAPABILITY");
  return value ? value : "";
}

#if HWY_ARCH_X86_64
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

// GCC 12's library does not tell.
bool has_avx_vnni() {
  unsigned a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
#endif

}  // namespace

#if HWY_ARCH_X86_64

void keep_to_cpu_capability() {
  if (stated().empty()) return;
  struct Limit {
    std::string_view name;
    bool is_there;
    int64_t target;  // of Highway, whose better ones are the lower bits
    dnnl::cpu_isa isa;
  };
  const Limit limits[] = {
      {"avx512", bool(__builtin_cpu_supports("avx512bw")), HWY_AVX3, dnnl::cpu_isa::avx512_core},
      {"avx2_vnni", has_avx_vnni(), HWY_AVX2, dnnl::cpu_isa::avx2_vnni},
      {"avx2", has_avx2(), HWY_AVX2, dnnl::cpu_isa::avx2},
      {"scalar", true, HWY_STATIC_TARGET, dnnl::cpu_isa::sse41},
  };
  for (const Limit& limit : limits) {
    if (limit.name != stated()) continue;
    check(limit.is_there, "FOLIO_CPU_CAPABILITY is {}, which this processor lacks", stated());
    hwy::DisableTargets(limit.target - 1);
    dnnl::set_max_cpu_isa(limit.isa);
    return;
  }
  fail("FOLIO_CPU_CAPABILITY is {}; it may be avx512, avx2_vnni, avx2 or scalar, or unset",
       stated());
}

bool may_use_avx2() { return stated() != "scalar" && has_avx2(); }

bool may_use_avx_vnni() { return (stated().empty() || stated() == "avx2_vnni") && has_avx_vnni(); }

bool may_use_avx512_bf16() {
  return stated().empty() && __builtin_cpu_supports("avx512bf16") &&
         __builtin_cpu_supports("avx512bw");
}

bool may_use_avx512_vnni() {
  return stated().empty() && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512bw");
}

bool may_use_amx() { return stated().empty(); }

#else

void keep_to_cpu_capability() {
  check(stated().empty(), "FOLIO_CPU_CAPABILITY is {}, but this is no x86 processor: unset it",
        stated());
}
bool may_use_avx2() { return false; }
bool may_use_avx_vnni() { return false; }
bool may_use_avx512_bf16() { return false; }
bool may_use_avx512_vnni() { return false; }
bool may_use_amx() { return false; }

#endif

}  // namespace folio
