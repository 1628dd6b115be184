# KLU's header stands in SuiteSparse's own folder; its factors are taken out by its own function (cvode_corrector.c).
# The loops over directions want the vectoriser: it changes no result (no reassociation, no contraction).
find_path(KLU_INCLUDE klu.h PATH_SUFFIXES suitesparse REQUIRED)
find_library(KLU_LIBRARY klu REQUIRED)
if(TARGET dp_solve)
  get_target_property(dp_solve_type dp_solve TYPE)
  if(NOT dp_solve_type STREQUAL "INTERFACE_LIBRARY")
    target_include_directories(dp_solve SYSTEM PRIVATE ${KLU_INCLUDE})
    target_link_libraries(dp_solve PUBLIC ${KLU_LIBRARY})
    if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
      target_compile_options(dp_solve PRIVATE -O3)
    endif()
  endif()
endif()
# lanes: each file for its own processor, chosen at run time; nothing else may be compiled with these
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/solve/lanes_avx512.c PROPERTIES COMPILE_OPTIONS
                              "-mavx512f;-mavx512dq;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/solve/cvode/cvode_columns_avx512.c PROPERTIES COMPILE_OPTIONS
                              "-mavx512f;-mavx512dq;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/solve/cvode/cvode_columns_avx.c PROPERTIES COMPILE_OPTIONS "-mavx")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/solve/lanes_avx.c PROPERTIES COMPILE_OPTIONS "-mavx")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/solve/linear/incidence_avx512.c PROPERTIES COMPILE_OPTIONS
                              "-mavx512f;-mavx512dq;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/solve/linear/incidence_avx.c PROPERTIES COMPILE_OPTIONS "-mavx")
endif()
