#include <algorithm>
#include <nlohmann/json.hpp>

#include "sample_sweep.h"

namespace actsweep {
namespace {

/// Tokens that lie together in the sweep.
struct Piece {
  int64_t first_token = 0;
  int64_t tokens = 0;
};

int64_t length(const SampleSweep& sweep, Axis axis, int64_t tokens) {
  return sample_extents(sweep, tokens).at(axis);
}

/// What a member owns of each micro-batch of a segment: the same number of windows as the others,
/// but for the last ones.
std::vector<Piece> pieces_of(const SampleSweep& sweep, const Piece& segment, int64_t member) {
  std::vector<Piece> pieces;
  const int64_t end = segment.first_token + segment.tokens;
  for (int64_t begin = segment.first_token; begin < end; begin += kSampleMicrobatch) {
    const int64_t last = std::min(end, begin + kSampleMicrobatch);
    const int64_t windows = (last - begin) / kSampleWindow;
    const int64_t each = (windows + sweep.members - 1) / sweep.members * kSampleWindow;
    const int64_t first = std::min(last, begin + member * each);
    pieces.push_back({first, std::min(last, first + each) - first});
  }
  return pieces;
}

RowCounts counts_of(const SampleSweep& sweep, int64_t tokens) {
  RowCounts counts;
  for (const Axis axis : concatenated_axes()) counts.along(axis) = length(sweep, axis, tokens);
  if (sweep.per_token != PerToken::kMassive) counts.rows = 0;
  return counts;
}

/// The values as a file alone would have them: numbers count from its beginning.
std::vector<std::byte> own_values(const SampleSweep& sweep, const Dataset& dataset,
                                  const Piece& piece) {
  std::vector<std::byte> values =
      sample_values(sweep, dataset, sweep.first_token + piece.first_token, piece.tokens);
  if (sweep.first_token == 0 || (!dataset.index_of && !dataset.counts_documents)) return values;
  const int64_t before = dataset.index_of ? length(sweep, *dataset.index_of, sweep.first_token)
                                          : sweep.first_token / kSampleDocument;
  auto* numbers = reinterpret_cast<int64_t*>(values.data());
  for (size_t i = 0; i < values.size() / sizeof(int64_t); ++i) numbers[i] -= before;
  return values;
}

/// Writes a concatenated dataset, piece by piece.
void write_pieces(SegmentFile& file, const SampleSweep& sweep, const Dataset& dataset,
                  const std::vector<Piece>& pieces) {
  const auto axis = *concatenation_axis(dataset);
  int64_t first = 0;
  for (const auto& piece : pieces) {
    const int64_t count = length(sweep, dataset.axes[axis], piece.tokens);
    const auto values = own_values(sweep, dataset, piece);
    if (has_unknown_length(dataset.axes[axis])) {
      file.append(dataset.path, count, values.data());
      continue;
    }
    const auto shape = shape_of(dataset, sample_extents(sweep, piece.tokens));
    std::vector<int64_t> offset(shape.size(), 0);
    offset[axis] = first;
    file.write(dataset.path, offset, {shape.begin(), shape.end()}, values.data());
    first += count;
  }
}

/// Where a segment's rows lie in the sweep; those of several members lie between each other's.
RowPlace place_of(const SampleSweep& sweep, const Piece& segment) {
  if (sweep.members > 1) return {};
  const auto counts = [&](int64_t tokens) {
    return RowCounts{.tokens = tokens, .sequences = tokens / kSampleWindow};
  };
  return {counts(segment.first_token), counts(sample_tokens(sweep))};
}

std::string write_member(const SampleSweep& sweep, const SegmentPart& part, const Piece& segment) {
  auto datasets = segment_datasets(declare_datasets(sample_job(sweep)));
  if (part.member > 0) datasets = shared_datasets(datasets);
  const auto pieces = pieces_of(sweep, segment, part.member);
  std::vector<RowCounts> counts;
  for (const auto& piece : pieces) counts.push_back(counts_of(sweep, piece.tokens));
  Extents extents = sample_extents(sweep, sum_of(counts).tokens);
  std::erase_if(extents, [](const auto& entry) { return has_unknown_length(entry.first); });
  SegmentFile file(
      sweep.folder, part, datasets, extents,
      {{"identity", identity_of(sample_job(sweep)).dump()}, {"device", std::string("cpu")}},
      place_of(sweep, segment));
  for (const auto& dataset : datasets) {
    if (concatenation_axis(dataset)) {
      write_pieces(file, sweep, dataset, pieces);
      continue;
    }
    const std::vector<hsize_t> shape = shape_of(dataset, extents);
    file.write(dataset.path, std::vector<int64_t>(shape.size(), 0), {shape.begin(), shape.end()},
               sample_values(sweep, dataset, segment.first_token, segment.tokens).data());
  }
  file.finish(counts);
  file.commit();
  return file.path();
}

/// Gives the path of member 0's file.
std::string write_segment(const SampleSweep& sweep, int64_t number, int64_t first_token) {
  const Piece segment{first_token, sweep.segment_tokens[static_cast<size_t>(number)]};
  for (int64_t member = sweep.members - 1; member > 0; --member) {
    write_member(sweep, {number, member, sweep.members}, segment);
  }
  return write_member(sweep, {number, 0, sweep.members}, segment);
}

}  // namespace

std::vector<std::string> write_sample_segments(const SampleSweep& sweep) {
  std::vector<std::string> paths;
  int64_t first_token = 0;
  for (size_t number = 0; number < sweep.segment_tokens.size(); ++number) {
    paths.push_back(write_segment(sweep, static_cast<int64_t>(number), first_token));
    first_token += sweep.segment_tokens[number];
  }
  const auto next = static_cast<int64_t>(sweep.segment_tokens.size());
  paths.push_back(write_sample_capture(sweep, "summer", next, 7));
  paths.push_back(write_sample_capture(sweep, "long", next + 1, 33));
  return paths;
}

}  // namespace actsweep
