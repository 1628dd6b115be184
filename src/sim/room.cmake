# what stands in tests/spokes: four small spokes, a plug-in for one of them, and the programs that use them
add_library(dp_test_spokes STATIC
  ${CMAKE_SOURCE_DIR}/tests/spokes/frame.c
  ${CMAKE_SOURCE_DIR}/tests/spokes/lingauss.c
  ${CMAKE_SOURCE_DIR}/tests/spokes/birthdeath.c
  ${CMAKE_SOURCE_DIR}/tests/spokes/diffusion.c
  ${CMAKE_SOURCE_DIR}/tests/spokes/plugin.c
  ${CMAKE_SOURCE_DIR}/tests/spokes/subjects.c
  ${CMAKE_SOURCE_DIR}/tests/spokes/test_spokes.c)
target_compile_definitions(dp_test_spokes PUBLIC DP_TEST_PLUGIN="${CMAKE_BINARY_DIR}/logistic_plugin.so")
target_include_directories(dp_test_spokes PUBLIC ${CMAKE_SOURCE_DIR}/tests/spokes)
target_link_libraries(dp_test_spokes PUBLIC dp_sim ${CMAKE_DL_LIBS})
set_target_properties(dp_test_spokes PROPERTIES EXCLUDE_FROM_ALL ON)

add_library(logistic_plugin MODULE ${CMAKE_SOURCE_DIR}/tests/spokes/logistic_plugin.c)
set_target_properties(logistic_plugin PROPERTIES PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} EXCLUDE_FROM_ALL ON)
target_link_libraries(logistic_plugin PRIVATE m)

add_executable(bench_simulate EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/src/sim/tests/bench_simulate.c)
target_link_libraries(bench_simulate PRIVATE dp_test_spokes)

# the tests of this room are made later in the top folder; those that use the spokes are completed there
function(dp_sim_finish)
  foreach(name test_conformance test_sim_spokes test_run_add)
    if(TARGET ${name})
      target_link_libraries(${name} PRIVATE dp_test_spokes)
      add_dependencies(${name} logistic_plugin)
    endif()
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL dp_sim_finish)
