# LibTorch as two interface targets: actsweep_torch (torch_cpu and c10 alone, or with CUDA) and actsweep_nccl_headers.
# Torch's own package file is not used: that of a CUDA wheel demands the CUDA toolkit even for a CPU program.
file(GLOB ACTSWEEP_VENV_TORCH LIST_DIRECTORIES true "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
set(ACTSWEEP_TORCH_DIR "" CACHE PATH "Folder of LibTorch (holds include/ and lib/)")
set(torch_hints ${ACTSWEEP_TORCH_DIR} ${CMAKE_PREFIX_PATH} ${ACTSWEEP_VENV_TORCH})
find_path(TORCH_INCLUDE_DIR ATen/ATen.h HINTS ${torch_hints} PATH_SUFFIXES include REQUIRED)
find_library(TORCH_CPU_LIBRARY torch_cpu HINTS ${torch_hints} PATH_SUFFIXES lib REQUIRED)
find_library(C10_LIBRARY c10 HINTS ${torch_hints} PATH_SUFFIXES lib REQUIRED)
get_filename_component(TORCH_LIBRARY_DIR "${TORCH_CPU_LIBRARY}" DIRECTORY)

# Torch's include folder carries its own fmt, which Debian's spdlog does not fit: spdlog's fmt must be found first.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
list(GET fmt_include 0 fmt_include)
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/fmt_first")
file(CREATE_LINK "${fmt_include}/fmt" "${PROJECT_BINARY_DIR}/fmt_first/fmt" SYMBOLIC)

add_library(actsweep_torch INTERFACE)
target_include_directories(actsweep_torch BEFORE INTERFACE "${PROJECT_BINARY_DIR}/fmt_first")
target_include_directories(actsweep_torch SYSTEM INTERFACE "${TORCH_INCLUDE_DIR}")
target_link_libraries(actsweep_torch INTERFACE "${TORCH_CPU_LIBRARY}" "${C10_LIBRARY}" OpenMP::OpenMP_CXX)
target_link_options(actsweep_torch INTERFACE "LINKER:-rpath,${TORCH_LIBRARY_DIR}")

# Is a CUDA build wanted, and can it be had?
find_package(CUDAToolkit QUIET)
find_library(TORCH_CUDA_LIBRARY torch_cuda HINTS ${torch_hints} PATH_SUFFIXES lib)
find_library(C10_CUDA_LIBRARY c10_cuda HINTS ${torch_hints} PATH_SUFFIXES lib)
get_filename_component(site_packages "${TORCH_INCLUDE_DIR}/../.." ABSOLUTE)
set(nccl_hints "${site_packages}/nvidia/nccl" ${CMAKE_PREFIX_PATH})
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${nccl_hints} PATH_SUFFIXES include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${nccl_hints} PATH_SUFFIXES lib)

if(ACTSWEEP_CUDA STREQUAL "AUTO")
  if(CUDAToolkit_FOUND AND TORCH_CUDA_LIBRARY AND NCCL_LIBRARY AND EXISTS "/dev/nvidiactl")
    set(ACTSWEEP_WITH_CUDA ON)
  else()
    set(ACTSWEEP_WITH_CUDA OFF)
  endif()
else()
  set(ACTSWEEP_WITH_CUDA ${ACTSWEEP_CUDA})
endif()
message(STATUS "actsweep: LibTorch at ${TORCH_LIBRARY_DIR}, CUDA ${ACTSWEEP_WITH_CUDA}")

if(ACTSWEEP_WITH_CUDA)
  foreach(needed CUDAToolkit_FOUND TORCH_CUDA_LIBRARY C10_CUDA_LIBRARY NCCL_LIBRARY NCCL_INCLUDE_DIR)
    if(NOT ${needed})
      message(FATAL_ERROR "ACTSWEEP_CUDA=${ACTSWEEP_CUDA} needs ${needed}, which was not found")
    endif()
  endforeach()
  target_compile_definitions(actsweep_torch INTERFACE ACTSWEEP_WITH_CUDA)
  target_link_libraries(actsweep_torch INTERFACE -Wl,--no-as-needed "${TORCH_CUDA_LIBRARY}" "${C10_CUDA_LIBRARY}"
                        -Wl,--as-needed "${NCCL_LIBRARY}" CUDA::cudart)
endif()
