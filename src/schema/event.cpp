#include "schema/event.h"

#include <cstring>

namespace actsweep {

namespace {

/// One member of all events, end to end.
template <typename T>
Column column_of(const char* path, std::span<const Event> events, T Event::*member) {
  Column column{path, std::vector<std::byte>(events.size() * sizeof(T))};
  for (size_t i = 0; i < events.size(); ++i) {
    std::memcpy(column.values.data() + i * sizeof(T), &(events[i].*member), sizeof(T));
  }
  return column;
}

}  // namespace

std::vector<Column> event_columns(std::span<const Event> events) {
  return {
      column_of("massive/layer", events, &Event::layer),
      column_of("massive/sequence", events, &Event::sequence),
      column_of("massive/position", events, &Event::position),
      column_of("massive/document", events, &Event::document),
      column_of("massive/token", events, &Event::token),
      column_of("massive/token_id", events, &Event::token_id),
      column_of("massive/class", events, &Event::token_class),
      column_of("massive/channel", events, &Event::channel),
      column_of("massive/value", events, &Event::value),
      column_of("massive/ratio_to_sequence_median", events, &Event::ratio_to_sequence_median),
      column_of("massive/ratio_to_token_median", events, &Event::ratio_to_token_median),
      column_of("massive/reading", events, &Event::reading),
  };
}

std::vector<Column> update_columns(std::span<const Event> events) {
  return {
      column_of("massive/before", events, &Event::before),
      column_of("massive/attention_update", events, &Event::attention_update),
      column_of("massive/mlp_update", events, &Event::mlp_update),
      column_of("massive/next_attention_update", events, &Event::next_attention_update),
      column_of("massive/next_mlp_update", events, &Event::next_mlp_update),
  };
}

}  // namespace actsweep
