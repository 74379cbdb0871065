// How kernels are compiled for each instruction set: plain loops in clones, intrinsics apart.
#pragma once

/// Compiles a function for each instruction set; the program picks at its start. It does not reach
/// what the function calls: that is inlined into it, by ACTSWEEP_INLINE. Loops are written for the
/// auto-vectoriser, because gcc lowers vector types before it clones functions.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ACTSWEEP_X86
#define ACTSWEEP_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ACTSWEEP_CLONES
#endif
#define ACTSWEEP_INLINE [[gnu::always_inline]] inline

#ifdef ACTSWEEP_X86
/// A function of AVX-512 intrinsics, to be called where has_avx512().
#define ACTSWEEP_AVX512 [[gnu::target("arch=x86-64-v4")]]

namespace actsweep {
inline bool has_avx512() {
  static const bool has = __builtin_cpu_supports("x86-64-v4");
  return has;
}
}  // namespace actsweep
#endif
