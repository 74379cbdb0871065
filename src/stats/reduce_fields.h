// Fields of all members of a model group become those of the group, by their merge rules.
#pragma once

#include <vector>

#include "comm/group.h"
#include "stats/field_set.h"

namespace actsweep {

/// In place. What goes with a maximum is that of the members that have it; of several, the
/// smallest. Collective: all members have the same fields, in the same order.
void reduce_fields(std::vector<Field>& fields, const Group& group);

}  // namespace actsweep
