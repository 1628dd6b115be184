# lanes: each file for its own processor, chosen at run time; nothing else may be compiled with these
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/num/lane_math_avx512.c PROPERTIES COMPILE_OPTIONS
                              "-mavx512f;-mavx512dq;-mfma;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/num/lane_normal_avx512.c PROPERTIES COMPILE_OPTIONS
                              "-O3;-mavx512f;-mavx512dq;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/num/lane_math_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/num/lane_math_avx.c PROPERTIES COMPILE_OPTIONS "-mavx")
endif()
