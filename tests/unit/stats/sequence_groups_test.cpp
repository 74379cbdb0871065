// Sequences that go together against each of them alone: many short ones, of all lengths, with sets
// that are empty in some, padding, and one with a value that is not finite.
#include "stats/sequence_groups.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "job/token_selector.h"
#include "kernels/attention.h"
#include "schema/declare_statistics.h"
#include "stats/attention_statistics.h"
#include "stats/query_key.h"
#include "stats/value_updates.h"

namespace actsweep {
namespace {

constexpr int64_t kChannels = 20, kLongest = 72, kInfinite = 7;
constexpr Grouping kAlone = {false, 0}, kPadded = {true, 1 << 14};
const std::vector<std::string> kSets = {"position:0", "class:other:first", "registers", "from"};

/// Labels of windows of the given lengths, 0 at the end for padding sequences, in two members.
std::vector<OwnedRows> members_of(const std::vector<int64_t>& lengths) {
  std::vector<OwnedRows> members(2);
  const auto half = static_cast<int64_t>(lengths.size()) / 2;
  const auto classes = at::randint(0, 4, {2, half, kLongest}, at::kByte);
  for (int64_t m = 0; m < 2; ++m) {
    auto& labels = members[m];
    labels.padded_length = kLongest;
    labels.padded_sequences = half;
    const auto* token_class = classes[m].const_data_ptr<uint8_t>();
    labels.token_class.assign(token_class, token_class + half * kLongest);
    for (int64_t i = 0; i < half && lengths[m * half + i] > 0; ++i) {
      labels.windows.push_back({m * half + i, 0, 0, lengths[m * half + i], false});
    }
  }
  return members;
}

std::vector<int64_t> ragged_lengths() {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 40; ++i) lengths.push_back(i % 3 == 0 ? 16 : 1 + i * 5 % 23);
  for (const int64_t length : {kLongest, 64l, 71l, 1l, 1l, 2l}) lengths.push_back(length);
  for (int64_t i = 0; i < 6; ++i) lengths.push_back(0);
  return lengths;
}

using Values = std::map<std::string, at::Tensor>;

/// One layer of attention over ragged sequences, and what is measured of it.
class Layer {
 public:
  Layer(int64_t heads, int64_t kv_heads, int64_t width, at::ScalarType dtype)
      : members_(members_of(ragged_lengths())),
        sequences_(gathered_sequences(members_, at::kCPU)),
        group_(MPI_COMM_SELF, nullptr) {
    Architecture a;
    a.layers = 1;
    a.channels = kChannels;
    a.heads = heads;
    a.kv_heads = kv_heads;
    a.head_width = width;
    share_ = share_of(a, 1, 0);
    call_.shape = {kLongest, heads, kv_heads, width, /*window=*/0, true};
    call_.scores.scale = 0.3;
    call_.runs = share_.runs;
    const int64_t rows = sequences_.count() * kLongest;
    qkv_ = at::randn({rows, (heads + 2 * kv_heads) * width}).to(dtype);
    for (const auto& sequence : sequences_.all) {  // padding holds anything
      qkv_.narrow(0, sequence.first_row + sequence.length, kLongest - sequence.length)
          .fill_(std::numeric_limits<float>::quiet_NaN());
    }
    qkv_.select(0, sequences_.all[kInfinite].first_row)
        .fill_(std::numeric_limits<float>::infinity());
    weight_ = at::randn({kChannels, heads * width}).to(dtype);
    places_ = {width, width};
    extents_ = {{Axis::kLayer, 2},
                {Axis::kHead, heads},
                {Axis::kKeyHead, kv_heads},
                {Axis::kKeySet, 4},
                {Axis::kEpsilon, static_cast<int64_t>(kSinkThresholds.size())},
                {Axis::kSelection, 2},
                {Axis::kHeadChannel, width},
                {Axis::kChannel, kChannels}};
  }

  void see_through(int64_t window) { call_.shape.window = window; }
  void cap_scores() { call_.scores.cap = 5; }
  /// Heads fill a part of the buffer's width, queries and keys another than values.
  void fill(const HeadPlaces& places) {
    places_ = places;
    weight_ = at::randn({kChannels, call_.shape.query_heads * places.value}).to(weight_.dtype());
    extents_[Axis::kHeadChannel] = places.query;
    extents_[Axis::kHeadValue] = places.value;
  }

  Values measured(const Grouping& grouping) {
    auto out =
        at::empty({qkv_.size(0), call_.shape.query_heads * call_.shape.width}, qkv_.options());
    AttentionSummary summary;
    attend(qkv_, call_, out, &summary);
    const AttentionView view = {0, qkv_, call_, summary, weight_, places_};
    const KeySets sets(kSets, {{3, {2}}, {5, {0, 2}}, {40, {1, 5, 40}}}, false);
    KeyGroups groups(sets, sequences_, {call_.shape.query_heads, call_.shape.width}, true,
                     grouping);
    const auto is_finite = finite_sequences(sequences_, qkv_, group_);
    EXPECT_EQ(is_finite.sum().item<int64_t>(), sequences_.count() - 1);
    const GatheredHeads heads(view);
    AttentionStatistics attention(sets, share_, extents_, at::kCPU);
    attention.update(heads, groups, is_finite);
    ValueUpdates updates(sets.count(), group_, share_, extents_, at::kCPU);
    updates.update(view, &heads, &groups, is_finite);
    updates.finish(0, at::ones({qkv_.size(0), kChannels}));
    QueryKeyMoments query_key(share_, extents_, at::kCPU);
    query_key.update_rotated(view, QueryKeyGroups(sequences_, share_, call_.shape.width, grouping),
                             is_finite);
    Values values;
    for (const SegmentFields* statistic :
         std::initializer_list<const SegmentFields*>{&attention, &updates, &query_key}) {
      for (const auto& field : statistic->fields()) {
        values[field.dataset->path] = field.values[1].clone();
      }
    }
    return values;
  }

  const GatheredSequences& sequences() const { return sequences_; }

 private:
  std::vector<OwnedRows> members_;
  GatheredSequences sequences_;
  Group group_;
  ModelShare share_;
  AttentionCall call_;
  at::Tensor qkv_, weight_;
  HeadPlaces places_;
  Extents extents_;
};

void expect_same(const Values& found, const Values& expected) {
  ASSERT_GT(expected.size(), 20u);
  for (const auto& [name, value] : expected) {
    EXPECT_TRUE(at::equal(found.at(name), value)) << name;
    EXPECT_TRUE(value.isfinite().all().item<bool>()) << name;
  }
  EXPECT_TRUE(expected.at("attention/query_count").gt(0).all().item<bool>());
}

void expect_near(const Values& found, const Values& expected) {
  for (const auto& [name, value] : expected) {
    const auto most = value.to(at::kDouble).abs().max().item<double>();
    const bool is_count = value.scalar_type() == at::kLong;
    EXPECT_TRUE(at::allclose(found.at(name).to(at::kDouble), value.to(at::kDouble), 0,
                             is_count ? 0 : 1e-5 * most))
        << name;
  }
}

class SequenceGroups : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(2); }

  void expect_equal_to_each_alone(Layer layer) const {
    const auto alone = layer.measured(kAlone);
    expect_same(layer.measured(Grouping::of(at::kCPU)), alone);
    expect_near(layer.measured(kPadded), alone);
  }
};

TEST_P(SequenceGroups, GiveTheBitsOfEachSequenceAlone) {
  expect_equal_to_each_alone({3, 1, 8, GetParam()});
  expect_equal_to_each_alone({1, 1, 13, GetParam()});  // which fill no cache line
  expect_equal_to_each_alone({5, 5, 11, GetParam()});
  expect_equal_to_each_alone({4, 2, 4, GetParam()});  // more keys than channels of a head
  expect_equal_to_each_alone({36, 12, 8, GetParam()});
}

TEST_P(SequenceGroups, GiveTheBitsOfEachSequenceAloneWhereQueriesSeeAWindow) {
  Layer layer(5, 5, 8, GetParam());
  layer.see_through(9);
  layer.cap_scores();
  expect_equal_to_each_alone(layer);
}

TEST_P(SequenceGroups, GiveTheBitsOfEachSequenceAloneWhereValuesHaveAnotherWidth) {
  Layer narrow(4, 2, 8, GetParam());
  narrow.fill({8, 5, 3});
  expect_equal_to_each_alone(narrow);
  Layer wide(3, 3, 13, GetParam());
  wide.fill({9, 13, 4});
  expect_equal_to_each_alone(wide);
}

TEST(SequenceGroupLists, HoldEverySequenceWithKeysOnceAndNoPadding) {
  at::manual_seed(2);
  const auto members = members_of(ragged_lengths());
  const auto sequences = gathered_sequences(members, at::kCPU);
  std::vector<std::vector<int64_t>> keys(sequences.all.size());
  std::set<int64_t> expected;
  for (int64_t i = 0; i < sequences.count(); ++i) {
    for (int64_t key = 0; key < std::min(i % 4, sequences.all[i].length); ++key) {
      keys[i].push_back(key);
      expected.insert(i);
    }
  }
  for (const auto& grouping : {kAlone, kPadded, Grouping::of(at::kCPU)}) {
    std::multiset<int64_t> found;
    for (const auto& group : group_sequences(sequences, keys, {3, 1}, grouping)) {
      found.insert(group.numbers.begin(), group.numbers.end());
      EXPECT_TRUE(grouping.pads || !group.is_padded);
      EXPECT_TRUE(group.count() == 1 ||
                  group.count() * group.length * 3 * group.keys() <= grouping.most_elements);
    }
    EXPECT_EQ(found, std::multiset<int64_t>(expected.begin(), expected.end()));
  }
}

TEST(SequenceGroupLists, TakeManyShortSequencesTogether) {
  const auto members = members_of(std::vector<int64_t>(512, 16));
  const auto sequences = gathered_sequences(members, at::kCPU);
  const auto groups =
      group_sequences(sequences, first_keys(sequences), {9, 1}, Grouping::of(at::kCPU));
  EXPECT_LE(groups.size(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Types, SequenceGroups, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& tested) { return at::toString(tested.param); });

}  // namespace
}  // namespace actsweep
