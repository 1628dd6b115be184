# libSBML's exceptions are caught in C++ (sbml/sbml_guard.h) and pass through C frames on their way
target_sources(dp_lang PRIVATE ${CMAKE_SOURCE_DIR}/src/lang/sbml/sbml_guard.cc)
target_compile_options(dp_lang PRIVATE $<$<COMPILE_LANGUAGE:C>:-fexceptions>)
# lanes: each file for its own processor, chosen at run time; nothing else may be compiled with these
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/lang/tape_lanes_avx512.c PROPERTIES COMPILE_OPTIONS
                              "-mavx512f;-mavx512dq;-mfma;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/lang/tape_lanes_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/lang/tape_lanes_avx.c PROPERTIES COMPILE_OPTIONS "-mavx")
endif()
