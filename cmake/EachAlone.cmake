# With ACTSWEEP_EACH_ALONE each source is read by itself, without a precompiled header, and nothing is made of it: a header
# that it does not include is missing. Objects, libraries and programs are empty files, by which ninja knows what was read.
set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
set(CMAKE_CXX_COMPILE_OBJECT "<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -fsyntax-only <SOURCE>" "touch <OBJECT>")
set(CMAKE_CXX_CREATE_STATIC_LIBRARY "touch <TARGET>")
set(CMAKE_CXX_LINK_EXECUTABLE "touch <TARGET>")
