#include "output/rows.h"

#include <exception>

#include "comm/agreement.h"
#include "comm/session.h"

namespace actsweep {
namespace {

constexpr int kTag = 1;
constexpr int kWriter = 0;

/// First what follows: of each chunk its bytes and where it begins.
void send(const std::vector<PackedChunk>& chunks, MPI_Comm comm) {
  std::vector<uint64_t> head;
  for (const auto& chunk : chunks) {
    head.push_back(chunk.bytes.size());
    head.insert(head.end(), chunk.offset.begin(), chunk.offset.end());
  }
  check_mpi(MPI_Send(head.data(), static_cast<int>(head.size()), MPI_UINT64_T, kWriter, kTag, comm),
            "MPI_Send");
  for (const auto& chunk : chunks) {
    check_mpi(MPI_Send(chunk.bytes.data(), static_cast<int>(chunk.bytes.size()), MPI_BYTE, kWriter,
                       kTag, comm),
              "MPI_Send");
  }
}

/// The chunks of a dataset of so many axes that a rank sends.
std::vector<PackedChunk> receive(int rank, size_t axes, MPI_Comm comm) {
  MPI_Status status{};
  check_mpi(MPI_Probe(rank, kTag, comm, &status), "MPI_Probe");
  int numbers = 0;
  check_mpi(MPI_Get_count(&status, MPI_UINT64_T, &numbers), "MPI_Get_count");
  std::vector<uint64_t> head(static_cast<size_t>(numbers));
  check_mpi(MPI_Recv(head.data(), numbers, MPI_UINT64_T, rank, kTag, comm, MPI_STATUS_IGNORE),
            "MPI_Recv");
  std::vector<PackedChunk> chunks(head.size() / (axes + 1));
  const auto* number = head.data();
  for (auto& chunk : chunks) {
    chunk.bytes.resize(*number++);
    chunk.offset.assign(number, number + axes);
    number += axes;
    check_mpi(MPI_Recv(chunk.bytes.data(), static_cast<int>(chunk.bytes.size()), MPI_BYTE, rank,
                       kTag, comm, MPI_STATUS_IGNORE),
              "MPI_Recv");
  }
  return chunks;
}

void write_all(const H5Dataset& target, const std::vector<PackedChunk>& chunks) {
  for (const auto& chunk : chunks) target.write_chunk(chunk.offset, chunk.bytes);
}

}  // namespace

RowWriter::RowWriter(TilePacker packer, MPI_Comm comm, std::function<void()> on_progress)
    : packer_(std::move(packer)), comm_(comm), on_progress_(std::move(on_progress)) {}

/// Of a dataset without chunks.
void RowWriter::write_small(const H5File& target, const Dataset& dataset, const RowView& view) {
  const RowTile whole{0, view.layers, 0, view.rows};
  target.dataset(dataset.path)
      .write(memory_type(dataset.type), slab_of(view, whole), packer_.read(whole).data());
}

/// Rank 0 takes what the others send even where it can write no more: they wait for that.
void RowWriter::write_round(const H5Dataset& target, const std::vector<PackedChunk>& own) {
  if (rank_in(comm_) != kWriter) return send(own, comm_);
  std::exception_ptr failure;
  const auto write = [&](const std::vector<PackedChunk>& chunks) {
    try {
      if (!failure) write_all(target, chunks);
    } catch (const Error&) {
      failure = std::current_exception();
    }
  };
  write(own);
  const size_t axes = target.shape().size();
  for (int rank = 1; rank < size_of(comm_); ++rank) write(receive(rank, axes, comm_));
  if (failure) std::rethrow_exception(failure);
}

void RowWriter::write(const H5File& target, const Dataset& dataset, const Extents& extents) {
  const RowView view = view_of(dataset, extents);
  const int rank = rank_in(comm_), ranks = size_of(comm_);
  const std::vector<RowTile> tiles =
      cut_tiles(view.layers, view.rows, view.row_bytes, ranks, view.chunk_rows);
  if (tiles.empty()) return;
  const bool has_chunks = !chunk_shape(dataset, view.shape).empty();
  H5Dataset opened;
  agree(comm_, [&] {
    packer_.begin(dataset, extents);
    if (rank != kWriter) return;
    if (!has_chunks) return write_small(target, dataset, view);
    opened = target.dataset(dataset.path);
  });
  if (!has_chunks) return;
  for (size_t round = 0; round < tiles.size(); round += static_cast<size_t>(ranks)) {
    const size_t mine = round + static_cast<size_t>(rank);
    std::vector<PackedChunk> chunks;
    agree(comm_, [&] {
      if (mine < tiles.size()) chunks = packer_.pack(tiles[mine]);
    });
    agree(comm_, [&] { write_round(opened, chunks); });
    if (on_progress_) on_progress_();
  }
}

}  // namespace actsweep
