#include "core/cpu/machine/capability.h"

#include <hwy/highway.h>

#include <cstdlib>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>

#include "core/check.h"

namespace folio {
namespace {

const char* stated() {
  static const char* value = std::getenv("FOLIO_CPU_CAPABILITY");
  return value && *value ? value : nullptr;
}

}  // namespace

#if HWY_ARCH_X86_64

void keep_to_cpu_capability() {
  if (!stated()) return;
  struct Limit {
    std::string_view name;
    bool is_there;
    int64_t target;  // of Highway, whose better ones are the lower bits
    dnnl::cpu_isa isa;
  };
  const Limit limits[] = {
      {"avx512", bool(__builtin_cpu_supports("avx512bw")), HWY_AVX3, dnnl::cpu_isa::avx512_core},
      {"avx2", bool(__builtin_cpu_supports("avx2")), HWY_AVX2, dnnl::cpu_isa::avx2},
      {"scalar", true, HWY_STATIC_TARGET, dnnl::cpu_isa::sse41},
  };
  for (const Limit& limit : limits) {
    if (limit.name != stated()) continue;
    check(limit.is_there, "FOLIO_CPU_CAPABILITY is {}, which this processor lacks", stated());
    hwy::DisableTargets(limit.target - 1);
    dnnl::set_max_cpu_isa(limit.isa);
    return;
  }
  fail("FOLIO_CPU_CAPABILITY is {}; it may be avx512, avx2 or scalar, or unset", stated());
}

bool may_use_avx512_bf16() { return !stated() && __builtin_cpu_supports("avx512bf16"); }

bool may_use_avx512_vnni() {
  return !stated() && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw");
}

bool may_use_amx() { return !stated(); }

#else

void keep_to_cpu_capability() {
  check(!stated(), "FOLIO_CPU_CAPABILITY is {}, but this is no x86 processor: unset it", stated());
}
bool may_use_avx512_bf16() { return false; }
bool may_use_avx512_vnni() { return false; }
bool may_use_amx() { return false; }

#endif

}  // namespace folio
