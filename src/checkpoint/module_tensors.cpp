#include "checkpoint/module_tensors.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace actsweep {
namespace {

const std::string kWeight = ".weight";

WantedMatrix wanted_of(const TensorRow& row) {
  const auto shape = row.whole_shape();
  const int64_t stacked = row.joined > 0 ? row.joined : row.shape[0];
  return {row.is_stacked ? stacked : 1, shape[0], shape[1]};
}

std::string shapes_text(const std::vector<std::vector<int64_t>>& shapes) {
  std::string text;
  for (const auto& shape : shapes) text += (text.empty() ? "" : " or ") + shape_text(shape);
  return text;
}

int64_t whole_number(const StoredTensor& tensor, int64_t index) {
  int64_t wide = 0;
  int32_t narrow = 0;
  if (tensor.type_name == "I64") {
    std::memcpy(&wide, tensor.data() + index * 8, sizeof(wide));
    return wide;
  }
  std::memcpy(&narrow, tensor.data() + index * 4, sizeof(narrow));
  return narrow;
}

}  // namespace

ModuleTensors::ModuleTensors(const StoredTensors& tensors, const std::string& name,
                             const TensorRow& row, const Origin& origin)
    : tensors_(tensors),
      module_(name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name),
      is_module_(name.ends_with(kWeight)),
      wanted_(wanted_of(row)),
      is_transposed_(row.is_transposed),
      directory_(origin.directory),
      method_(origin.method) {}

std::string ModuleTensors::name_of(const std::string& last_words) const {
  return module_ + (is_module_ ? "." : "") + last_words;
}

const StoredTensor* ModuleTensors::find(const std::string& last_words) const {
  const auto found = tensors_.find(name_of(last_words));
  return found == tensors_.end() ? nullptr : &found->second;
}

const StoredTensor& ModuleTensors::need(const std::string& last_words,
                                        const std::vector<std::string>& types,
                                        const std::vector<std::vector<int64_t>>& shapes) {
  const auto* tensor = find(last_words);
  require(tensor != nullptr, ErrorKind::kModel, "{}: tensor {}: missing; {} needs it with shape {}",
          directory_, name_of(last_words), method_, shapes_text(shapes));
  if (std::ranges::find(types, tensor->type_name) == types.end()) {
    refuse(*tensor, last_words, fmt::format("{}", fmt::join(types, " or ")), tensor->type_name);
  }
  if (std::ranges::find(shapes, tensor->shape) == shapes.end()) {
    refuse(*tensor, last_words, "shape " + shapes_text(shapes), shape_text(tensor->shape));
  }
  parts_.emplace_back(last_words, tensor);
  return *tensor;
}

void ModuleTensors::need_whole_numbers(const std::string& last_words,
                                       const std::vector<int64_t>& numbers) {
  const auto count = static_cast<int64_t>(numbers.size());
  const auto& tensor = need(last_words, {"I64", "I32"}, {{count}});
  std::vector<int64_t> found;
  for (int64_t i = 0; i < count; ++i) found.push_back(whole_number(tensor, i));
  if (found != numbers) refuse(tensor, last_words, shape_text(numbers), shape_text(found));
}

void ModuleTensors::require_out_in(const StoredTensor& weight) const {
  if (is_transposed_)
    refuse(weight, "weight", "numbers: it is stored as [in, out]", weight.type_name);
}

void ModuleTensors::refuse(const StoredTensor& tensor, const std::string& last_words,
                           const std::string& expected, const std::string& found) const {
  fail(ErrorKind::kModel, "{}: tensor {}: {}: expected {}, found {}", tensor.file->path(),
       name_of(last_words), method_, expected, found);
}

}  // namespace actsweep
