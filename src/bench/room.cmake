# The glucose model's text is an example that people read and run; the benchmark carries a copy made from it.
set(example ${CMAKE_SOURCE_DIR}/examples/glucose-day.ant)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/glucose_text.c
  COMMAND ${CMAKE_COMMAND} -DIN=${example} -DOUT=${CMAKE_BINARY_DIR}/glucose_text.c -DNAME=dpi_glucose_text
          -P ${CMAKE_SOURCE_DIR}/src/bench/embed_text.cmake
  DEPENDS ${example} ${CMAKE_SOURCE_DIR}/src/bench/embed_text.cmake)
target_sources(dp_bench PRIVATE ${CMAKE_BINARY_DIR}/glucose_text.c)
find_path(KLU_INCLUDE klu.h PATH_SUFFIXES suitesparse REQUIRED)
target_include_directories(dp_bench SYSTEM PRIVATE ${KLU_INCLUDE})
# compiled derivatives of the peer: as fast as the compiler makes them
file(GLOB peers ${CMAKE_SOURCE_DIR}/src/bench/peer_*.c)
set_source_files_properties(${peers} PROPERTIES COMPILE_OPTIONS "-O3")
# A second build of SUNDIALS beside the installed one, for the peer only: a prefix with static libraries, e.g. the one inside the
# Python package amici (.../site-packages/amici/_installation). Its symbols stay inside the module.
set(DOPPEL_BENCH_SUNDIALS "" CACHE PATH "prefix of another build of SUNDIALS, timed by bench_ensemble --peer-module")
if(DOPPEL_BENCH_SUNDIALS)
  add_library(bench_cvode MODULE ${CMAKE_SOURCE_DIR}/src/bench/bench_cvode.c)
  set_target_properties(bench_cvode PROPERTIES PREFIX "" C_VISIBILITY_PRESET default)
  target_compile_definitions(bench_cvode PRIVATE DPI_BENCH_MODULE)
  target_include_directories(bench_cvode BEFORE PRIVATE ${DOPPEL_BENCH_SUNDIALS}/include
                             ${DOPPEL_BENCH_SUNDIALS}/include/suitesparse)
  set(parts)
  foreach(part sundials_cvodes sundials_sunlinsolklu sundials_sunlinsoldense sundials_sunmatrixsparse sundials_sunmatrixdense
               sundials_nvecserial sundials_sunnonlinsolnewton sundials_core klu btf amd colamd suitesparseconfig)
    if(EXISTS ${DOPPEL_BENCH_SUNDIALS}/lib/lib${part}.a)
      list(APPEND parts ${DOPPEL_BENCH_SUNDIALS}/lib/lib${part}.a)
    endif()
  endforeach()
  target_link_libraries(bench_cvode PRIVATE -Wl,--start-group ${parts} -Wl,--end-group m)
  target_link_options(bench_cvode PRIVATE -Wl,--exclude-libs,ALL -Wl,-Bsymbolic)
endif()
# people under closed-loop control: the kind's own model and table
foreach(pair "model.ant dpi_s2008_text" "people.tsv dpi_s2008_people")
  string(REPLACE " " ";" pair ${pair})
  list(GET pair 0 file)
  list(GET pair 1 name)
  add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/${name}.c
    COMMAND ${CMAKE_COMMAND} -DIN=${CMAKE_SOURCE_DIR}/twins/s2008/${file} -DOUT=${CMAKE_BINARY_DIR}/${name}.c
            -DNAME=${name} -P ${CMAKE_SOURCE_DIR}/src/bench/embed_text.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/twins/s2008/${file} ${CMAKE_SOURCE_DIR}/src/bench/embed_text.cmake)
  target_sources(dp_bench PRIVATE ${CMAKE_BINARY_DIR}/${name}.c)
endforeach()
