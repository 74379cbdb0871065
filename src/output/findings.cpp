#include "output/findings.h"

#include <algorithm>
#include <cmath>

namespace actsweep {
namespace {

constexpr hsize_t kSlabEvents = 1024 * 1024;

struct EventSlab {
  std::vector<int64_t> layer, position, token_id, channel;
  std::vector<float> value, ratio;
};

template <typename T>
std::vector<T> read_column(const H5File& file, const std::string& name, hid_t type, hsize_t begin,
                           hsize_t count) {
  std::vector<T> values(count);
  file.dataset("massive/" + name).read(type, {{begin}, {count}}, values.data());
  return values;
}

EventSlab read_slab(const H5File& file, hsize_t begin, hsize_t count) {
  const auto numbers = [&](const std::string& name) {
    return read_column<int64_t>(file, name, H5T_NATIVE_INT64, begin, count);
  };
  const auto reals = [&](const std::string& name) {
    return read_column<float>(file, name, H5T_NATIVE_FLOAT, begin, count);
  };
  return {numbers("layer"),   numbers("position"), numbers("token_id"),
          numbers("channel"), reals("value"),      reals("ratio_to_sequence_median")};
}

void keep_larger(LargestEvent& largest, const EventSlab& slab, size_t i) {
  if (std::abs(slab.value[i]) <= std::abs(largest.value)) return;
  largest = {slab.value[i], std::abs(slab.value[i]) / slab.ratio[i], slab.ratio[i], slab.layer[i]};
}

void count_event(const EventSlab& slab, size_t i, Findings& findings) {
  LayerFindings& layer = findings.layers[slab.layer[i]];
  ++layer.events;
  ++layer.channels[slab.channel[i]];
  ++layer.positions[slab.position[i]];
  ++layer.tokens[slab.token_id[i]];
  keep_larger(layer.largest, slab, i);

  ChannelFindings& channel = findings.channels[slab.channel[i]];
  const bool is_first = channel.events++ == 0;
  channel.at_position_0 += slab.position[i] == 0 ? 1 : 0;
  channel.first_layer = is_first ? slab.layer[i] : std::min(channel.first_layer, slab.layer[i]);
  channel.last_layer = std::max(channel.last_layer, slab.layer[i]);
  keep_larger(channel.largest, slab, i);
}

}  // namespace

Findings read_findings(const H5File& file) {
  Findings findings;
  const hsize_t events = file.dataset("massive/value").shape().at(0);
  for (hsize_t begin = 0; begin < events; begin += kSlabEvents) {
    const EventSlab slab = read_slab(file, begin, std::min(kSlabEvents, events - begin));
    for (size_t i = 0; i < slab.value.size(); ++i) count_event(slab, i, findings);
  }
  return findings;
}

Vocabulary::Vocabulary(const H5File& file) {
  const H5Dataset bytes = file.dataset("vocabulary/bytes");
  bytes_.resize(bytes.shape().at(0));
  bytes.read_all(H5T_NATIVE_UINT8, bytes_.data());
  const H5Dataset offset = file.dataset("vocabulary/offset");
  offset_.resize(offset.shape().at(0));
  offset.read_all(H5T_NATIVE_UINT64, offset_.data());
  for (size_t i = 0; i + 1 < offset_.size(); ++i) {
    require(offset_[i] <= offset_[i + 1] && offset_[i + 1] <= bytes_.size(), ErrorKind::kOutput,
            "{}: /vocabulary/offset does not rise, or passes the end of /vocabulary/bytes, at {}",
            file.file(), i);
  }
}

std::string Vocabulary::bytes_of(int64_t id) const {
  const auto at = static_cast<size_t>(id);
  if (at + 1 >= offset_.size()) return "";
  return bytes_.substr(offset_[at], offset_[at + 1] - offset_[at]);
}

}  // namespace actsweep
