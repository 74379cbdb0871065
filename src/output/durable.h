// File operations that survive a kill or a loss of power, with errno's text in their errors
// (ErrorKind::kOutput).
#pragma once

#include <cstdint>
#include <string>

namespace actsweep {

/// The folder that holds the path; "." for a bare name.
std::string folder_of(const std::string& path);
/// Creates the folder and those above it where they are missing.
void make_folder(const std::string& folder);
/// Has the system begin to write what it holds of the file, so that a later sync_path waits less.
/// Where it cannot, nothing happens.
void start_writing(const std::string& path);
/// Waits until the file's, or the folder's, contents are on disk.
void sync_path(const std::string& path);
/// Gives the file its new name at once; an older file of that name is replaced.
void rename_file(const std::string& from, const std::string& to);
/// Sets blocks aside behind the file's end, without changing its length, so that later writes find
/// room. Where the file system cannot do so, the free space must be enough.
void reserve_bytes(const std::string& path, int64_t bytes);
/// Gives back the blocks behind the file's end.
void release_reserve(const std::string& path);

}  // namespace actsweep
