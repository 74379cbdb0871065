#include "probe/site.h"

namespace actsweep {

const std::vector<Site>& sites() {
  static const std::vector<Site> list = {
      {"residual", "residual stream: the embedding output and the output of each block"}};
  return list;
}

}  // namespace actsweep
