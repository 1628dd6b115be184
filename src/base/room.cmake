# the version is written once, in the project's CMakeLists.txt; fenv.h lives in libm
target_compile_definitions(dp_base PRIVATE DOPPEL_VERSION="${PROJECT_VERSION}")
target_link_libraries(dp_base PUBLIC m)
