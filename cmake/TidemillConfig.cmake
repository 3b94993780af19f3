# Debian's packages of what Tidemill links; scripts/setup names them.
include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/TidemillTargets.cmake)
