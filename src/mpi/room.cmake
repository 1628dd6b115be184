# the plug-in for mpirun: built where MPI is (sh tools/setup.sh mpi), opened by the program only when it was started as many ranks
find_package(MPI QUIET COMPONENTS C)
if(MPI_C_FOUND)
  add_library(doppel_mpi MODULE ${CMAKE_SOURCE_DIR}/src/mpi/doppel_mpi.c)
  set_target_properties(doppel_mpi PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} C_VISIBILITY_PRESET default)
  target_link_libraries(doppel_mpi PRIVATE MPI::MPI_C)
  install(TARGETS doppel_mpi DESTINATION lib/doppel)
endif()
