// make_sample_sweep FOLDER [all|massive|none [TOKENS [quiet|linked]]]: writes FOLDER/sample.h5, a
// finished sweep file of known values, under any number of ranks; "quiet": without events;
// "linked": with rows in its segments.
#include <mpi.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "comm/session.h"
#include "sample_sweep.h"

using namespace actsweep;

int main(int argc, char** argv) {
  MpiSession session(&argc, &argv);
  try {
    require(argc >= 2, ErrorKind::kJob,
            "usage: make_sample_sweep FOLDER [all|massive|none [TOKENS [quiet|linked]]]");
    SampleSweep sweep;
    sweep.folder = std::string(argv[1]) + "/segments";
    const std::string per_token = argc > 2 ? argv[2] : "all";
    if (per_token == "massive") sweep.per_token = PerToken::kMassive;
    if (per_token == "none") sweep.per_token = PerToken::kNone;
    if (argc > 3) sweep.segment_tokens = {std::stoll(argv[3])};
    const std::string how = argc > 4 ? argv[4] : "";
    sweep.has_events = how != "quiet";
    std::vector<std::string> parts;
    if (session.rank() == 0) write_sample_segments(sweep);
    MPI_Barrier(MPI_COMM_WORLD);
    for (const auto& segment : find_segments(sweep.folder)) parts.push_back(segment.path);
    Assembly assembly = sample_assembly(sweep, parts, std::string(argv[1]) + "/sample.h5");
    assembly.links_rows = how == "linked";
    assemble(assembly, MPI_COMM_WORLD);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    session.abort(error.exit_code());
  }
  return 0;
}
