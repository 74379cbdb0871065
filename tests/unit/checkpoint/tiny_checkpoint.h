// A checkpoint directory that lives as long as one test: config.json and random float32 tensors.
#pragma once

#include <ATen/ATen.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "checkpoint/family.h"
#include "temporary_folder.h"

namespace actsweep {

class TinyCheckpoint {
 public:
  /// Tensors by the rows of the config's family, without `lacking` at the beginning of their names;
  /// of a tied pair the embedding.
  explicit TinyCheckpoint(const nlohmann::json& config, const std::string& lacking = "") {
    std::ofstream(folder_ / "config.json") << config.dump();
    const Config read(config, "config.json");
    const auto architecture = read_architecture(family_of(read), read);
    at::manual_seed(3);
    for (const auto& row : family_of(read).rows(architecture)) {
      if (row.is_zero || (row.weight == Weight::kHead && !row.tied_to.empty())) continue;
      const int64_t copies = row.is_per_layer() ? architecture.layers : 1;
      for (int64_t layer = 0; layer < copies; ++layer) {
        auto name = tensor_name(row, layer);
        if (name.starts_with(lacking)) name.erase(0, lacking.size());
        if (!tensors_.contains(name)) tensors_[name] = at::randn(row.shape);
      }
    }
    write();
  }

  const std::string& path() const { return folder_.path(); }
  const at::Tensor& operator[](const std::string& name) const { return tensors_.at(name); }

 private:
  /// As https://huggingface.co/docs/safetensors describes the format.
  void write() const {
    nlohmann::json header;
    int64_t offset = 0;
    for (const auto& [name, tensor] : tensors_) {
      const auto end = offset + static_cast<int64_t>(tensor.nbytes());
      header[name] = {
          {"dtype", "F32"}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, end}}};
      offset = end;
    }
    auto text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    const uint64_t length = text.size();
    std::ofstream file(folder_ / "model.safetensors", std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file << text;
    for (const auto& [name, tensor] : tensors_) {
      file.write(static_cast<const char*>(tensor.const_data_ptr()),
                 static_cast<std::streamsize>(tensor.nbytes()));
    }
  }

  TemporaryFolder folder_;
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace actsweep
