// What `plan` reckons with where there is a config.json, and neither weights nor a corpus.
//
// In: a config.json, or a directory with one; a job of overrides; a number of tokens. Out: the
// facts of a sweep over that many tokens in whole windows, one an image for a model of images.
// Refuses (kModel) what a checkpoint with this config.json is refused for, (kJob) statistics that
// do not fit it.
#pragma once

#include <string>

#include "job/job.h"
#include "plan/demand.h"

namespace actsweep {

SweepFacts facts_of_config(const std::string& path, Job job, int64_t tokens);

}  // namespace actsweep
