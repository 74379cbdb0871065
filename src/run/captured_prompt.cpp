#include "run/captured_prompt.h"

#include <ATen/ATen.h>

#include <limits>
#include <span>

#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

std::vector<std::byte> bytes_of(const at::Tensor& values) {
  const auto host = values.to(at::kCPU).contiguous();
  const auto* begin = static_cast<const std::byte*>(host.const_data_ptr());
  return {begin, begin + host.nbytes()};
}

}  // namespace

CapturedPrompt::CapturedPrompt(const SweepInputs& inputs, const Group& group,
                               const std::string& name, SegmentOutput* output)
    : inputs_(inputs),
      group_(group),
      prompt_(inputs.prompts.at(name)),
      folder_("capture/" + name),
      tokens_(static_cast<int64_t>(prompt_.ids.size())),
      output_(output) {}

/// A layer that lacks the site has NaN.
void CapturedPrompt::write_site(const Tap& tap) {
  if (output_ == nullptr) return;
  const auto values = value_width_of(inputs_.checkpoint.architecture());
  const int64_t channels = axis_length(inputs_.facts(), group_of(tap.site, values).channel);
  const auto rows =
      tap.rows.defined()
          ? tap.rows.narrow(0, 0, tokens_)
          : at::full({tokens_, channels}, std::numeric_limits<float>::quiet_NaN(), at::kFloat);
  output_->write(folder_ + "/" + name_of(tap.site), {tap.layer, 0, 0}, {1, tokens_, channels},
                 bytes_of(rows));
}

/// A layer without experts has -1.
void CapturedPrompt::write_experts(int64_t layer, const at::Tensor& chosen) {
  if (output_ == nullptr) return;
  const int64_t choices = inputs_.checkpoint.architecture().experts.chosen;
  const auto rows =
      chosen.defined() ? chosen.narrow(0, 0, tokens_) : at::full({tokens_, choices}, -1, at::kLong);
  output_->write(folder_ + "/expert", {layer, 0, 0}, {1, tokens_, choices}, bytes_of(rows));
}

void CapturedPrompt::write_attention(int64_t layer, const CapturedAttention& whole) {
  if (output_ == nullptr) return;
  const int64_t heads = inputs_.checkpoint.architecture().heads;
  const std::vector<int64_t> offset = {layer, 0, 0, 0}, count = {1, heads, tokens_, tokens_};
  output_->write(folder_ + "/attention_logit", offset, count, bytes_of(whole.logit));
  output_->write(folder_ + "/attention", offset, count, bytes_of(whole.probability));
}

/// The embedding's output has no attention; some layers have another mixer.
void CapturedPrompt::write_what_is_known() {
  if (output_ == nullptr) return;
  const auto& architecture = inputs_.checkpoint.architecture();
  const auto ids = std::as_bytes(std::span(prompt_.ids));
  output_->write(folder_ + "/id", {0}, {tokens_}, {ids.begin(), ids.end()});
  if (!inputs_.job.capture.attention) return;
  const auto nothing = no_attention(architecture.heads, tokens_);
  write_attention(0, nothing);
  for (int64_t layer = 0; layer < architecture.layers; ++layer) {
    if (!architecture.has_attention(layer)) write_attention(layer + 1, nothing);
  }
}

Stream::Listeners CapturedPrompt::listeners() {
  const auto& architecture = inputs_.checkpoint.architecture();
  Stream::Listeners listeners;
  listeners.taps.sites = inputs_.job.capture.sites;
  listeners.taps.on_tap = [this](const Tap& tap) { write_site(tap); };
  if (architecture.experts.chosen > 0) {
    listeners.on_experts = [this](size_t, int64_t layer, const Routing& routing) {
      write_experts(layer, routing.expert);
    };
  }
  if (inputs_.job.capture.attention) {
    listeners.taps.on_attention = [this, &architecture](const AttentionView& view) {
      write_attention(view.layer + 1, captured_attention(architecture, group_, view, tokens_));
    };
  }
  return listeners;
}

}  // namespace actsweep
