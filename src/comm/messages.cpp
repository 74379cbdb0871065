#include "comm/messages.h"

#include <cstdint>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "comm/session.h"

namespace actsweep {
namespace {

int length_of(const std::string& text) {
  ensure(text.size() <= std::numeric_limits<int>::max(), "a text of a message has at most 2 GiB");
  return static_cast<int>(text.size());
}

}  // namespace

void broadcast(std::string& text, MPI_Comm communicator) {
  int length = length_of(text);
  check_mpi(MPI_Bcast(&length, 1, MPI_INT, 0, communicator), "MPI_Bcast");
  text.resize(static_cast<size_t>(length));
  check_mpi(MPI_Bcast(text.data(), length, MPI_CHAR, 0, communicator), "MPI_Bcast");
}

void broadcast(std::vector<std::string>& texts, MPI_Comm communicator) {
  auto count = static_cast<int64_t>(texts.size());
  check_mpi(MPI_Bcast(&count, 1, MPI_INT64_T, 0, communicator), "MPI_Bcast");
  texts.resize(static_cast<size_t>(count));
  for (auto& text : texts) broadcast(text, communicator);
}

std::vector<std::string> gather_texts(const std::string& mine, MPI_Comm communicator) {
  const int length = length_of(mine), ranks = size_of(communicator);
  std::vector<int> lengths(ranks), begins(ranks);
  check_mpi(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, communicator),
            "MPI_Allgather");
  std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
  std::string all(static_cast<size_t>(begins.back() + lengths.back()), '\0');
  check_mpi(MPI_Allgatherv(mine.data(), length, MPI_CHAR, all.data(), lengths.data(), begins.data(),
                           MPI_CHAR, communicator),
            "MPI_Allgatherv");
  std::vector<std::string> texts;
  for (int rank = 0; rank < ranks; ++rank) {
    texts.push_back(all.substr(static_cast<size_t>(begins[rank]), lengths[rank]));
  }
  return texts;
}

}  // namespace actsweep
