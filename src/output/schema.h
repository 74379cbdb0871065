// The published schema: every dataset of the format as Markdown tables, one table a group of the
// file.
#pragma once

#include <string>
#include <vector>

#include "schema/declare.h"

namespace actsweep {

std::string schema_markdown(const std::vector<Dataset>& datasets);

}  // namespace actsweep
