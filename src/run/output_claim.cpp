#include "run/output_claim.h"

#include <exception>
#include <filesystem>

#include "comm/agreement.h"
#include "comm/messages.h"
#include "output/output_place.h"

namespace actsweep {
namespace {

bool needs_lock(const std::string& path) {
  std::error_code ignored;
  return !std::filesystem::exists(path, ignored) ||
         std::filesystem::exists(segment_folder(path), ignored);
}

}  // namespace

OutputClaim::OutputClaim(const Job& job, const MpiSession& session)
    : exceptions_(std::uncaught_exceptions()) {
  const LockedShard shard = {job.corpus.shard.index, job.corpus.shard.count};
  agree(MPI_COMM_WORLD, [&] {
    if (session.rank() != 0) return;
    path_ = resolve_output(job.output.path);
    if (!needs_lock(path_)) return;
    check_writable(path_);
    lock_.emplace(path_, shard);
    remove_unfinished(path_, shard);
    lock_path_ = lock_->path();
    lock_text_ = lock_->text();
  });
  for (auto* text : {&path_, &lock_path_, &lock_text_}) broadcast(*text, MPI_COMM_WORLD);
}

OutputClaim::~OutputClaim() {
  const bool fails = std::uncaught_exceptions() > exceptions_;
  if (fails && !lock_) give_up();
}

void OutputClaim::give_up() const {
  if (!lock_path_.empty()) release_lock(lock_path_, lock_text_);
}

void OutputClaim::check_held() const {
  require(lock_.has_value(), ErrorKind::kOutput,
          "{}: expected the file that was there a moment ago, found none; start the run again",
          path_);
}

void OutputClaim::remove_segments() {
  if (!lock_) return;
  actsweep::remove_segments(path_);
  lock_.reset();
}

}  // namespace actsweep
