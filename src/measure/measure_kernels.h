// One pass's measurements of a micro-batch as CUDA kernels on raw device memory;
// cuda_measurement.cpp gives them tensors.
//
// Every function enqueues on `stream` and returns. Results are the same bits for the same input:
// floating-point sums have a fixed order, counts are integers. A token with a value that is not
// finite enters no sum, no count and no median.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "measure/slots.h"

namespace actsweep::cuda {

/// The real tokens of a micro-batch: x[row[i] * channels + c].
struct TokenRows {
  const float* x = nullptr;
  int64_t channels = 0;
  const int32_t* row = nullptr;  // [tokens]
  int64_t tokens = 0;
};

/// What is written of each token that is finite. Places of a top-k beyond the channels hold NaN and
/// the channel 0xffffffff.
struct TokenColumns {
  float* top_value = nullptr;       // [tokens, top_k] signed, by falling magnitude
  uint32_t* top_channel = nullptr;  // [tokens, top_k]
  float* median = nullptr;          // [tokens] lower median of the magnitudes
  float* norm = nullptr;            // [tokens]
  uint8_t* is_finite = nullptr;     // [tokens] 0 or 1
  int top_k = 0;
};
void measure_tokens(const TokenRows& rows, const TokenColumns& columns, cudaStream_t stream);

/// Runs of tokens of one group, at most kRunTokens each, by rising group. A group's remainder by
/// `classes` is its class.
inline constexpr int64_t kRunTokens = 256;
struct GroupRuns {
  const int32_t* token = nullptr;  // [tokens] in the order of their groups
  const int32_t* begin = nullptr;  // [runs + 1] into `token`
  const int32_t* group = nullptr;  // [runs]
  int64_t classes = 0;
  int64_t runs = 0;
  const uint8_t* is_finite = nullptr;  // [tokens] in the order of the rows
};

/// Partial sums of each run: work space, [runs, channels] but for `count`.
struct RunSums {
  double* sum = nullptr;
  double* square = nullptr;
  double* fourth = nullptr;
  float* largest = nullptr;
  int32_t* above_6 = nullptr;
  int32_t* count = nullptr;  // [runs]
};

/// Adds to all slots but that of the histogram.
void sum_channels(const TokenRows& rows, const GroupRuns& runs, const RunSums& work,
                  const Slots& slots, cudaStream_t stream);

/// Windows: consecutive tokens [begin[w], begin[w + 1]).
struct WindowRuns {
  const int32_t* begin = nullptr;  // [windows + 1]
  int64_t windows = 0;
  int64_t most_tokens = 0;             // of a window
  const uint8_t* is_finite = nullptr;  // [tokens]
};

/// Work space; the histograms are zero before.
inline constexpr int64_t kLowBins = 65536;
struct WindowWork {
  unsigned long long* histogram = nullptr;  // [windows, bins] of the upper 16 bits of magnitudes
  uint32_t* low = nullptr;                  // [windows, kLowBins] of the lower ones in one bin
  uint32_t* bin = nullptr;                  // [windows] the median's, and its place in it
  unsigned long long* rank = nullptr;       // [windows]
};

/// median [windows]: the lower median of a window's magnitudes, exactly; NaN without any. Adds to
/// histogram [bins], bins <= 32640, unless it is null.
void measure_windows(const TokenRows& rows, const WindowRuns& windows, const WindowWork& work,
                     int64_t bins, float* median, int64_t* histogram, cudaStream_t stream);

}  // namespace actsweep::cuda
