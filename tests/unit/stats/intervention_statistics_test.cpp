#include "stats/intervention_statistics.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "reference.h"
#include "stats/loss_statistics.h"

namespace actsweep::testing {
namespace {

Job job_with_variants() {
  Job job;
  job.statistics.loss = true;
  for (const char* variant : {"a", "", "b", "a"}) {
    auto& intervention = job.interventions.emplace_back();
    if (*variant != '\0') intervention.variant = variant;
  }
  return job;
}

Values values_of_all(const std::vector<Field>& fields) {
  Values values;
  for (const Field& field : fields) {
    const auto wide = field.values.to(at::kDouble).contiguous();
    const auto* first = wide.const_data_ptr<double>();
    values[field.dataset->path].assign(first, first + wide.numel());
  }
  return values;
}

TEST(InterventionStatistics, CountsByInterventionAndByVariant) {
  InterventionStatistics statistics(job_with_variants(), at::kCPU);
  statistics.begin_segment();
  statistics.add_matches(0, 1, 10);
  statistics.add_matches(1, 2, 20);
  statistics.add_matches(3, 4, 40);
  statistics.add_matches(3, 4, 40);
  auto values = values_of_all(statistics.fields());
  EXPECT_EQ(values["interventions/matched_tokens"], (std::vector<double>{1, 2, 0, 8}));
  EXPECT_EQ(values["interventions/changed_activations"], (std::vector<double>{10, 20, 0, 80}));
  EXPECT_EQ(values["variants/matched_tokens"], (std::vector<double>{9, 0}));
  EXPECT_EQ(values["variants/changed_activations"], (std::vector<double>{90, 0}));
  statistics.begin_segment();
  EXPECT_EQ(values_of_all(statistics.fields())["variants/matched_tokens"],
            (std::vector<double>{0, 0}));
}

TEST(InterventionStatistics, LossOfAVariantIsAddedAsTheOriginals) {
  const Batch batch = make_batch({3, 2, 0}, 1, 1);
  const auto nll = at::rand({9}) * 5;
  CollectingSink original_sink, sink;
  LossStatistics original(Job{}, at::kCPU);
  original.update(batch.labels, nll, original_sink);
  InterventionStatistics statistics(job_with_variants(), at::kCPU);
  statistics.add_loss(1, batch.labels, nll, sink);
  EXPECT_EQ(sink.values["variants/token_nll"], original_sink.values["loss/token_nll"]);
  auto values = values_of_all(statistics.fields());
  for (const Field& field : original.fields()) {
    const auto name = field.dataset->path.substr(field.dataset->path.rfind('/') + 1);
    EXPECT_EQ(values["variants/" + name], (std::vector<double>{0, field.values.item<double>()}));
  }
}

TEST(InterventionStatistics, WithoutVariantsThereAreOnlyTheCounts) {
  Job job;
  job.interventions.emplace_back();
  const auto values = values_of_all(InterventionStatistics(job, at::kCPU).fields());
  EXPECT_EQ(values.size(), 2u);
}

}  // namespace
}  // namespace actsweep::testing
