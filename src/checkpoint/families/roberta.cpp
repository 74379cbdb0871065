// RoBERTa and XLM-RoBERTa: BERT with the first position in the row behind that of padding.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys roberta_keys(int64_t vocabulary) {
  return bert_keys().but({{"vocab_size", "int", vocabulary},
                          {"pad_token_id", "int|None", 1},
                          {"bos_token_id", "int|None", 0},
                          {"eos_token_id", "int|list[int]|None", 2}});
}

Architecture read_roberta(const Config& config) {
  Architecture facts = read_bert_facts(config);
  const char* key = "pad_token_id";
  const double padding = config.number(key);
  if (padding < 0 || padding + 1 >= static_cast<double>(facts.position_rows)) {
    config.refuse(key, "a row of positions, with others behind it");
  }
  facts.position_offset = static_cast<int64_t>(padding) + 1;
  return facts;
}

std::vector<TensorRow> roberta_rows(const Architecture& a) { return bert_rows(a, "roberta."); }

Family family_of_type(const char* type, const char* brings, int64_t vocabulary) {
  return {type,
          read_roberta,
          roberta_rows,
          {"roberta.pooler.*", "lm_head.*", "classifier.*", "qa_outputs.*"},
          "roberta.",
          brings,
          roberta_keys(vocabulary)};
}

}  // namespace

Family roberta_family() {
  return family_of_type("roberta", "BERT with positions from the row behind padding's on", 50265);
}

Family xlm_roberta_family() {
  return family_of_type("xlm-roberta", "RoBERTa of many languages", 30522);
}

}  // namespace actsweep
