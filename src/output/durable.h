// File operations that survive a kill or a loss of power, with errno's text in their errors
// (ErrorKind::kOutput).
#pragma once

#include <cstdint>
#include <string>

namespace actsweep {

inline constexpr double kSharedFileLimit_s = 90;  // NFS looks anew after 60 s at most

/// The folder that holds the path; "." for a bare name.
std::string folder_of(const std::string& path);
/// Creates the folder and those above it where they are missing.
void make_folder(const std::string& folder);
/// Has the system begin to write what it holds of the file, so that a later sync_path waits less.
/// Where it cannot, nothing happens.
void start_writing(const std::string& path);
/// Waits until the file's, or the folder's, contents are on disk.
void sync_path(const std::string& path);
/// Waits until the file can be seen, for `limit_s` at most: where several nodes share a file system
/// (NFS), one may not see for a while what another has made.
void wait_for_file(const std::string& path, double limit_s = kSharedFileLimit_s);
/// Gives the file its new name at once; an older file of that name is replaced.
void rename_file(const std::string& from, const std::string& to);
/// Sets blocks aside behind the file's end, without changing its length, so that later writes find
/// room. Where the file system cannot do so, the free space must be enough.
void reserve_bytes(const std::string& path, int64_t bytes);
/// Gives back the blocks behind the file's end.
void release_reserve(const std::string& path);

}  // namespace actsweep
