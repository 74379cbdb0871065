// Facts that the tests of plans share.
#pragma once

#include "checkpoint/family.h"
#include "plan/demand.h"

namespace actsweep {

/// The sizes of Llama 3 70B in bfloat16, in windows of 4,096 tokens. The caller plans segments.
inline SweepFacts facts_of_70b(int64_t tokens) {
  SweepFacts facts;
  auto& a = facts.architecture;
  a.family = "llama";
  a.layers = 80;
  a.channels = a.embedding_width = 8192;
  a.heads = 64;
  a.kv_heads = 8;
  a.head_width = 128;
  a.ffn_width = 28672;
  a.vocabulary = 128256;
  a.window.assign(80, 0);
  facts.rows = llama_rows(a);
  facts.job.model.dtype = Dtype::kBFloat16;
  facts.job.corpus.sequence_length = 4096;
  facts.datasets = declare_datasets(facts.job);
  facts.tokens = tokens;
  facts.sequences = tokens / 4096;
  return facts;
}

}  // namespace actsweep
