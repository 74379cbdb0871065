// Compares a finished sweep file with the formulas of sample_sweep.
#pragma once

#include <gtest/gtest.h>

#include "output/sweep_file.h"
#include "sample_sweep.h"

namespace actsweep {

/// Every dataset that segments hold has the values of the whole corpus; returns how many were
/// compared.
inline int expect_whole(const std::string& path, const SampleSweep& whole) {
  const H5File file = open_sweep(path);
  int compared = 0;
  for (const auto& dataset : segment_datasets(declare_datasets(sample_job(whole)))) {
    const H5Dataset found = file.dataset(dataset.path);
    EXPECT_EQ(found.shape(), shape_of(dataset, sample_extents(whole, sample_tokens(whole))))
        << dataset.path;
    std::vector<std::byte> values(static_cast<size_t>(byte_count(dataset, found.shape())));
    if (!values.empty()) found.read_all(memory_type(dataset.type), values.data());
    EXPECT_EQ(values, sample_values(whole, dataset, whole.first_token, sample_tokens(whole)))
        << dataset.path;
    ++compared;
  }
  return compared;
}

}  // namespace actsweep
