// The laws of Group, one source for every backend: MPI, and NCCL on the device ACTSWEEP_NCCL_DEVICE
// that the build names ("cpu" over the fake, "cuda" for the real one). What a collective gives is
// compared with its definition, computed here from the inputs of all members. No ASSERT: a rank
// that left early would leave the others waiting.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "comm/device.h"
#include "comm/groups.h"
#include "comm/mpi_backend.h"
#include "comm/nccl_backend.h"
#include "comm/session.h"

namespace actsweep {
namespace {

struct Under {
  std::string backend;
  at::DeviceType device;
};

void PrintTo(const Under& under, std::ostream* stream) { *stream << under.backend; }

std::vector<Under> backends() {
  std::vector<Under> all = {{"MPI", at::kCPU}};
#ifdef ACTSWEEP_NCCL_DEVICE
  all.push_back({"NCCL", at::Device(ACTSWEEP_NCCL_DEVICE).type()});
#endif
  return all;
}

// Leading dimension, then the rest of one part; sizes that no vector width or rank count divides.
const std::vector<std::vector<int64_t>> kShapes = {{1},       {3, 5},    {7, 1, 3},
                                                   {1, 1031}, {257, 67}, {5, 0}};

std::vector<int64_t> times(std::vector<int64_t> shape, int members) {
  shape[0] *= members;
  return shape;
}

class GroupLaw : public testing::TestWithParam<Under> {
 protected:
  void SetUp() override {
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank_);
    if (GetParam().device == at::kCUDA) {
      const int gpus = count_gpus();
      const int wanted = find_place_on_node();
      int is_short = gpus < wanted;  // on any node, so that all ranks skip or none
      MPI_Allreduce(MPI_IN_PLACE, &is_short, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
      if (is_short) GTEST_SKIP() << wanted << " ranks need a GPU each, found " << gpus;
    }
  }

  /// Sets this rank's number on its node; returns the ranks that the node has.
  int find_place_on_node() {
    MPI_Comm node = MPI_COMM_NULL;
    int ranks = 0;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &local_rank_);
    MPI_Comm_size(node, &ranks);
    MPI_Comm_free(&node);
    return ranks;
  }

  at::Device device() const {
    if (GetParam().device == at::kCPU) return at::Device(at::kCPU);
    return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank_));
  }

  void TearDown() override { groups_.finish(); }

  const Group& add_to(Groups& groups, MPI_Comm communicator) const {
    return groups.add(communicator, GetParam().backend == "MPI"
                                        ? make_mpi_backend(communicator)
                                        : make_nccl_backend(communicator, device()));
  }

  /// A group over the world that ends with the test.
  const Group& world_group() { return add_to(groups_, MPI_COMM_WORLD); }

  /// Integers from -125 to 125 (0 to 250 for uint8), exact in every type; another sequence for each
  /// member.
  at::Tensor sample(int member, const std::vector<int64_t>& shape, at::ScalarType type) const {
    const int64_t n = c10::multiply_integers(shape);
    const at::Tensor index = at::arange(n, at::kLong);
    const at::Tensor numbers = (index * (31 + 2 * member) + 97 * member).remainder(251);
    return (type == at::kByte ? numbers : numbers - 125).to(type).view(shape);
  }

  /// Reals over six orders of magnitude, whose float32 sum depends on the order of its terms.
  at::Tensor reals(int member, const std::vector<int64_t>& shape, at::ScalarType type) const {
    const at::Tensor index = at::arange(c10::multiply_integers(shape), at::kDouble);
    const at::Tensor numbers =
        at::sin(index * (1.1 + member)) * at::exp(at::cos(index * 0.7 + 2.0 * member) * 7);
    return numbers.to(type).view(shape);
  }

  at::Tensor on_device(const at::Tensor& values) const { return values.to(device(), false, true); }

  int world_rank_ = 0;
  int local_rank_ = 0;
  Groups groups_;
};

#define EXPECT_SAME(found, expected) \
  EXPECT_TRUE(at::equal((found).cpu(), expected)) << (expected).toString() << (expected).sizes()

TEST_P(GroupLaw, AllGatherPutsMembersInRankOrder) {
  const Group& group = world_group();
  for (const auto type :
       {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble, at::kLong, at::kInt, at::kByte}) {
    for (const auto& shape : kShapes) {
      std::vector<at::Tensor> parts;
      for (int member = 0; member < group.size(); ++member)
        parts.push_back(sample(member, shape, type));
      at::Tensor out = on_device(at::zeros(times(shape, group.size()), type));
      const at::Tensor gathered = group.all_gather(on_device(parts[group.rank()]), out);
      EXPECT_SAME(gathered, at::cat(parts));
    }
  }
}

TEST_P(GroupLaw, ReduceScatterAddsInFloat32WhatBelongsToTheRank) {
  const Group& group = world_group();
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& shape : kShapes) {
      at::Tensor sum = at::zeros(times(shape, group.size()), at::kFloat);
      for (int member = 0; member < group.size(); ++member)
        sum += sample(member, sum.sizes().vec(), type);
      at::Tensor out = on_device(at::full(shape, -1.0, at::kFloat));
      group.reduce_scatter(on_device(sample(group.rank(), sum.sizes().vec(), type)), out);
      EXPECT_SAME(out, sum.narrow(0, group.rank() * shape[0], shape[0]));
    }
  }
}

TEST_P(GroupLaw, ReduceScatterLosesNoMoreThanFloat32AndKeepsRankOrder) {
  const Group& group = world_group();
  const std::vector<int64_t> shape = {257, 67};
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const auto whole = times(shape, group.size());
    at::Tensor in_rank_order = reals(0, whole, type).to(at::kFloat);
    at::Tensor exact = reals(0, whole, type).to(at::kDouble);
    at::Tensor magnitude = exact.abs();
    for (int member = 1; member < group.size(); ++member) {
      const at::Tensor part = reals(member, whole, type);
      in_rank_order += part;
      exact += part;
      magnitude += part.abs();
    }
    at::Tensor out = on_device(at::zeros(shape, at::kFloat));
    group.reduce_scatter(on_device(reals(group.rank(), whole, type)), out);
    const auto mine = [&](const at::Tensor& t) {
      return t.narrow(0, group.rank() * shape[0], shape[0]);
    };
    const at::Tensor error = (out.cpu().to(at::kDouble) - mine(exact)).abs();
    const double bound = (group.size() - 1) * 6e-8 * 1.01;
    EXPECT_TRUE((error <= mine(magnitude) * bound + 1e-30).all().item<bool>());
    EXPECT_SAME(out, mine(in_rank_order));
  }
}

TEST_P(GroupLaw, AllToAllSendsPartRToMemberR) {
  const Group& group = world_group();
  for (const auto type :
       {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble, at::kLong, at::kInt, at::kByte}) {
    for (const auto& shape : kShapes) {
      const auto whole = times(shape, group.size());
      std::vector<at::Tensor> parts;
      for (int member = 0; member < group.size(); ++member) {
        parts.push_back(sample(member, whole, type).narrow(0, group.rank() * shape[0], shape[0]));
      }
      at::Tensor out = on_device(at::zeros(whole, type));
      group.all_to_all(on_device(sample(group.rank(), whole, type)), out);
      EXPECT_SAME(out, at::cat(parts));
    }
  }
}

TEST_P(GroupLaw, AllReduceTakesSumMaximumAndMinimum) {
  const Group& group = world_group();
  for (const auto type : {at::kFloat, at::kDouble, at::kLong}) {
    for (const auto& shape : kShapes) {
      std::vector<at::Tensor> inputs;
      for (int member = 0; member < group.size(); ++member)
        inputs.push_back(sample(member, shape, type));
      const at::Tensor all = at::stack(inputs);
      const auto reduced = [&](Reduction reduction) {
        at::Tensor values = on_device(inputs[group.rank()]);
        group.all_reduce(values, reduction);
        return values;
      };
      EXPECT_SAME(reduced(Reduction::kSum), all.sum(0));
      EXPECT_SAME(reduced(Reduction::kMax), all.amax(0));
      EXPECT_SAME(reduced(Reduction::kMin), all.amin(0));
    }
  }
}

TEST_P(GroupLaw, AllReduceAddsFloatsInRankOrder) {
  const Group& group = world_group();
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const auto& shape : kShapes) {
      at::Tensor in_rank_order = reals(0, shape, type);
      for (int member = 1; member < group.size(); ++member) {
        in_rank_order += reals(member, shape, type);
      }
      at::Tensor sum = on_device(reals(group.rank(), shape, type));
      group.all_reduce(sum, Reduction::kSum);
      EXPECT_SAME(sum, in_rank_order);
    }
  }
}

TEST_P(GroupLaw, GroupsOfOneWorldDoNotMix) {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int halves =
      (size + 1) / 2;  // ranks 0, 1 | 2, 3, the last group smaller where the world is odd
  for (const int color : {world_rank_ / 2, world_rank_ % halves}) {
    const Communicator communicator(split(MPI_COMM_WORLD, color));
    Groups groups;
    const Group& group = add_to(groups, communicator.get());
    for (int round = 0; round <= color; ++round) {  // groups make different numbers of calls
      at::Tensor colors = on_device(at::full({3}, color, at::kLong));
      group.all_reduce(colors, Reduction::kSum);
      EXPECT_SAME(colors, at::full({3}, int64_t{color} * group.size(), at::kLong));
    }
    groups.finish();
  }
}

TEST_P(GroupLaw, GroupsOfOneSessionEndTogether) {
  const Communicator half(split(MPI_COMM_WORLD, world_rank_ % 2));
  Groups groups;
  const Group& world = add_to(groups, MPI_COMM_WORLD);
  const Group& part = add_to(groups, half.get());
  at::Tensor ones = on_device(at::ones({3}, at::kLong));
  part.all_reduce(ones, Reduction::kSum);
  EXPECT_SAME(ones, at::full({3}, int64_t{part.size()}, at::kLong));
  world.all_reduce(ones, Reduction::kMax);
  EXPECT_SAME(ones, at::full({3}, int64_t{world.size() + 1} / 2, at::kLong));
  world.check();
  part.check();
  groups.finish();
}

TEST_P(GroupLaw, CallsOfOneGroupKeepTheirOrder) {
  const Group& group = world_group();
  at::Tensor values = on_device(at::full({group.size(), 3}, group.rank() + 1.0, at::kFloat));
  at::Tensor part = on_device(at::zeros({1, 3}, at::kFloat));
  for (int round = 0; round < 20; ++round) {  // a sum, shared out again, halved to stay exact
    group.reduce_scatter(values, part);
    part /= group.size();
    values = on_device(at::zeros({group.size(), 3}, at::kFloat));
    values = group.all_gather(part, values).view({group.size(), 3}).clone();
  }
  EXPECT_SAME(values, at::full({group.size(), 3}, (group.size() + 1) / 2.0, at::kFloat));
}

INSTANTIATE_TEST_SUITE_P(Backends, GroupLaw, testing::ValuesIn(backends()),
                         [](const auto& instance) { return instance.param.backend; });

}  // namespace
}  // namespace actsweep
