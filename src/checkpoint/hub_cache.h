// Models in the local cache of Hugging Face, by name.
//
// In: "hf:NAME" or "hf:NAME@REVISION" (NAME is ORG/MODEL, REVISION a branch, a tag or a commit;
// "main" where none is named), or a directory. Out: the directory, of a name the snapshot's.
// Without a network. The cache is where huggingface_hub has it: HF_HUB_CACHE,
// HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub, the
// first one that is set. Refuses (kModel) a name or a revision that the cache lacks, saying which
// it has and what fetches it elsewhere; and a download that was not finished.
#pragma once

#include <string>

namespace actsweep {

/// The directory that `path` of a job means.
std::string model_directory(const std::string& path);

/// What to say behind "missing" of a file of a snapshot whose download was not finished; else
/// nothing.
std::string unfinished_download(const std::string& directory);

/// Where a directory lies in a cache of Hugging Face: "ORG/MODEL" and the commit; empty elsewhere.
struct CachedSnapshot {
  std::string name;
  std::string commit;
};
CachedSnapshot snapshot_of(const std::string& directory);

/// What people call the checkpoint of a directory: ORG/NAME in the cache of Hugging Face, else the
/// directory's own name.
std::string checkpoint_name(const std::string& directory);

}  // namespace actsweep
