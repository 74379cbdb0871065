// The stored tensors of one module, by the last words of their names, and what a family asks of
// them: a matrix, or several that are stacked.
//
// Refuses (kModel) a tensor that a method of quantisation needs and that is missing, or has another
// type or shape; each message names the method.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

using StoredTensors = std::map<std::string, StoredTensor>;

/// What a family asks for, in the weight's own order of axes.
struct WantedMatrix {
  int64_t matrices = 1;  // in one tensor
  int64_t rows = 0, columns = 0;

  bool operator==(const WantedMatrix&) const = default;
};

class ModuleTensors {
 public:
  /// For messages.
  struct Origin {
    std::string directory;
    std::string method;
  };

  /// `name`: what a tensor of numbers would be called.
  ModuleTensors(const StoredTensors& tensors, const std::string& name, const TensorRow& row,
                const Origin& origin);

  /// "model.layers.0.self_attn.q_proj"
  const std::string& module() const { return module_; }
  const WantedMatrix& wanted() const { return wanted_; }

  /// None where it is not stored.
  const StoredTensor* find(const std::string& last_words) const;
  /// As one of these types and shapes, or refused. It is part of the weight from here on.
  const StoredTensor& need(const std::string& last_words, const std::vector<std::string>& types,
                           const std::vector<std::vector<int64_t>>& shapes);
  /// The same of a small tensor of I64 or I32 that must hold these numbers.
  void need_whole_numbers(const std::string& last_words, const std::vector<int64_t>& numbers);
  const std::vector<std::pair<std::string, const StoredTensor*>>& parts() const { return parts_; }
  /// Refuses a matrix that the family stores as [in, out].
  void require_out_in(const StoredTensor& weight) const;
  /// Refuses the module, naming a tensor of it.
  [[noreturn]] void refuse(const StoredTensor& tensor, const std::string& last_words,
                           const std::string& expected, const std::string& found) const;

 private:
  std::string name_of(const std::string& last_words) const;

  const StoredTensors& tensors_;
  std::string module_;
  bool is_module_;  // its tensors' names begin with the module's and a dot
  WantedMatrix wanted_;
  bool is_transposed_;
  std::string directory_;
  std::string method_;
  std::vector<std::pair<std::string, const StoredTensor*>> parts_;
};

}  // namespace actsweep
