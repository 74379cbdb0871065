// What interventions read beside the job: means from sweep files; and whether they fit the model.
//
// Refuses (ErrorKind::kJob) sites, layers, channels, heads and tokens that the model or its
// sequences lack, and sweep files of another model or without the sums that are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "corpus/corpus.h"
#include "job/job.h"
#include "schema/derive.h"

namespace actsweep {

/// The means of one intervention; empty where it reads none.
struct InterventionMeans {
  int64_t groups = 0;                  // token classes or registers
  std::vector<float> values;           // [layers + 1, groups, channels of the site], NaN where
                                       // nothing was counted
  std::vector<float> deviations = {};  // of the same shape, of the population; for noise alone
  std::string fingerprint;             // of the sweep file's content, wherever it lies
  std::string of_model;                // the fingerprint of the model that was swept
};

/// "[[intervention]] 2", as messages call it.
std::string intervention_name(size_t number);

/// With the channels of the heads that it lists.
Job::Intervention with_channels_of_heads(Job::Intervention wanted,
                                         const Architecture& architecture);

/// One entry an intervention of the job.
std::vector<InterventionMeans> open_interventions(const Job& job, const Architecture& architecture,
                                                  CorpusKind corpus);

/// Refuses (ErrorKind::kJob) means of another model.
void check_sources(const Job& job, const std::vector<InterventionMeans>& means,
                   const std::string& model_fingerprint);

/// Refuses (ErrorKind::kJob) the sums of a whole sweep in which an intervention overwrote nothing.
void refuse_unmatched(const Job& job, const MergedFields& fields);

}  // namespace actsweep
